// The address bar is the state of navigation: paths under /admin/ name pages, the query
// holds filters, so that reload, back and a shared link all show the same.

export const root = '/admin';

class Router {
  path = $state(clean(location.pathname));
  search = $state(location.search);
  query = $derived(new URLSearchParams(this.search));
  private guard: (() => Promise<boolean>) | undefined;

  constructor() {
    window.addEventListener('popstate', async () => {
      const target = location.pathname + location.search;
      if (this.guard && clean(location.pathname) !== this.path) {
        history.pushState(null, '', root + this.path + this.search);
        if (!(await this.leave())) return;
        history.pushState(null, '', target);
      }
      this.read();
    });
    document.addEventListener('click', (e) => this.click(e));
  }

  /** Goes to a page: a path below /admin such as "/apps/default". */
  async go(to: string, options: { replace?: boolean; force?: boolean } = {}) {
    const url = new URL(root + to, location.origin);
    const samePage = clean(url.pathname) === this.path;
    if (!samePage && !options.force && !(await this.leave())) return;
    if (!samePage && options.force) this.guard = undefined;
    history[options.replace ? 'replaceState' : 'pushState'](null, '', url);
    this.read();
    if (!samePage) window.scrollTo(0, 0);
  }

  /** Changes parts of the query in place; empty values go away. */
  set(values: Record<string, string | undefined>) {
    const q = new URLSearchParams(this.search);
    for (const [k, v] of Object.entries(values)) v ? q.set(k, v) : q.delete(k);
    const text = q.toString();
    history.replaceState(null, '', root + this.path + (text && '?' + text));
    this.read();
  }

  /** Asks f before the page is left, until the returned function is called. */
  hold(f: () => Promise<boolean>): () => void {
    this.guard = f;
    return () => {
      if (this.guard === f) this.guard = undefined;
    };
  }

  private async leave() {
    if (!this.guard) return true;
    if (!(await this.guard())) return false;
    this.guard = undefined;
    return true;
  }

  private read() {
    this.path = clean(location.pathname);
    this.search = location.search;
  }

  private click(e: MouseEvent) {
    if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
    const link = (e.target as Element | null)?.closest?.('a');
    if (!link || link.target || link.hasAttribute('download') || link.origin !== location.origin) return;
    if (link.pathname !== root && !link.pathname.startsWith(root + '/')) return;
    e.preventDefault();
    this.go(link.pathname.slice(root.length) + link.search);
  }
}

function clean(pathname: string) {
  const p = pathname.startsWith(root) ? pathname.slice(root.length) : pathname;
  return p.length > 1 ? p.replace(/\/+$/, '') : p || '/';
}

export const router = new Router();

export type Params = Record<string, string>;

/** Fills params from a pattern such as "/apps/:app/functions/:script"; null when it doesn't match. */
export function match(pattern: string, path: string): Params | null {
  const want = pattern.split('/');
  const have = path.split('/');
  if (want.length !== have.length) return null;
  const params: Params = {};
  for (let i = 0; i < want.length; i++) {
    if (want[i].startsWith(':')) {
      try {
        params[want[i].slice(1)] = decodeURIComponent(have[i]);
      } catch {
        return null;
      }
    } else if (want[i] !== have[i]) return null;
  }
  return params;
}

/** An address for href: link`/apps/${slug}/data/${name}` with its parts escaped. */
export function link(strings: TemplateStringsArray, ...parts: string[]): string {
  return root + strings.reduce((out, s, i) => out + encodeURIComponent(parts[i - 1]) + s);
}
