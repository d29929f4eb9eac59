import { untrack } from 'svelte';
import { api, ApiError, asApiError } from '../api/http';
import { connection } from './connection.svelte';

/** Something that is loaded, with its states. Made by load() and list() inside a component. */
class Loaded<T> {
  data = $state.raw<T | undefined>();
  error = $state.raw<ApiError | undefined>();
  loading = $state(true);
  protected abort = new AbortController();

  constructor(protected fetcher: (signal: AbortSignal) => Promise<T>) {}

  /** Loads again; what is there stays on screen meanwhile. */
  reload = async (): Promise<void> => {
    this.abort.abort();
    const { signal } = (this.abort = new AbortController());
    const pending = this.fetcher(signal);
    this.loading = true;
    try {
      const data = await pending;
      if (signal.aborted) return;
      this.data = data;
      this.error = undefined;
    } catch (e) {
      if (signal.aborted) return;
      this.error = asApiError(e);
    }
    this.loading = false;
  };

  /** Binds it to the component: it loads when what fetcher reads changes, and after recoveries. */
  bind() {
    $effect(() => {
      untrack(() => {
        this.data = undefined;
        this.error = undefined;
      });
      this.reload();
      return () => this.abort.abort();
    });
    let epoch = connection.epoch;
    $effect(() => {
      if (connection.epoch === epoch) return;
      epoch = connection.epoch;
      untrack(this.reload);
    });
    return this;
  }
}

export type Resource<T> = Loaded<T>;

export function load<T>(fetcher: (signal: AbortSignal) => Promise<T>): Resource<T> {
  return new Loaded(fetcher).bind();
}

type PageOf<T> = { next_cursor?: string | null } & { items?: T[]; triggers?: T[]; dead_letters?: T[] };
type Items<T> = { items: T[]; next: string | null };

class Listed<T> extends Loaded<Items<T>> {
  loadingMore = $state(false);

  constructor(private url: () => string) {
    super((signal) => fetchPage<T>(url(), signal));
  }

  get items(): T[] {
    return this.data?.items ?? [];
  }

  set items(items: T[]) {
    this.data = { items, next: this.data?.next ?? null };
  }

  get hasMore() {
    return !!this.data?.next;
  }

  more = async () => {
    if (!this.data?.next || this.loadingMore) return;
    this.loadingMore = true;
    const { signal } = this.abort;
    try {
      const page = await fetchPage<T>(withCursor(this.url(), this.data.next), signal);
      if (!signal.aborted) this.data = { items: [...this.items, ...page.items], next: page.next };
    } catch (e) {
      if (!signal.aborted) this.error = asApiError(e);
    }
    this.loadingMore = false;
  };
}

export type List<T> = Listed<T>;

/** A list of the API that loads page by page. */
export function list<T>(url: () => string): List<T> {
  const l = new Listed<T>(url);
  l.bind();
  return l;
}

function withCursor(url: string, cursor: string) {
  return url + (url.includes('?') ? '&' : '?') + 'cursor=' + encodeURIComponent(cursor);
}

async function fetchPage<T>(url: string, signal?: AbortSignal): Promise<Items<T>> {
  const page = await api.get<PageOf<T>>(url, signal);
  return { items: page.items ?? page.triggers ?? page.dead_letters ?? [], next: page.next_cursor ?? null };
}

/** Every item of a list, up to max: for choices such as "which function". */
export async function all<T>(url: string, max = 1000, signal?: AbortSignal): Promise<T[]> {
  const first = url + (url.includes('?') ? '&' : '?') + 'limit=200';
  let { items, next } = await fetchPage<T>(first, signal);
  while (next && items.length < max) {
    const page = await fetchPage<T>(withCursor(first, next), signal);
    items = items.concat(page.items);
    next = page.next;
  }
  return items;
}
