import { api, ApiError, whenUnauthenticated } from '../api/http';
import type { App, Me, Role } from '../api/types';
import { root, router } from './router.svelte';

const order: Role[] = ['viewer', 'editor', 'app_admin'];

/** Who is logged in, and what they may do. The server decides; this only hides what it would refuse. */
class Session {
  me = $state.raw<Me | undefined>();
  setupNeeded = $state(false);
  /** The first question to the server failed: nothing can be shown yet. */
  failure = $state.raw<ApiError | undefined>();
  ready = $state(false);

  get isInstanceAdmin() {
    return this.me?.instance_role === 'owner' || this.me?.instance_role === 'admin';
  }

  get isOwner() {
    return this.me?.instance_role === 'owner';
  }

  roleIn(app: App | undefined): Role | undefined {
    if (!app || !this.me) return undefined;
    if (this.isInstanceAdmin) return 'app_admin';
    return app.my_role ?? this.me.roles?.[app.id];
  }

  /** Whether the user has at least this role in app. */
  can(app: App | undefined, role: Role): boolean {
    const have = this.roleIn(app);
    return !!have && order.indexOf(have) >= order.indexOf(role);
  }

  /** Finds out who is there; called once at the start and after recoveries. */
  async start() {
    this.failure = undefined;
    try {
      this.me = await api.get<Me>('/auth/me');
    } catch (e) {
      if (!(e instanceof ApiError)) throw e;
      if (e.status !== 401) {
        this.failure = e;
        return;
      }
      await this.checkSetup();
    }
    this.ready = true;
  }

  async login(username: string, password: string) {
    this.me = await api.post<Me>('/auth/login', { username, password });
  }

  async setup(token: string, username: string, password: string) {
    this.me = await api.post<Me>('/auth/setup', { token, username, password });
    this.setupNeeded = false;
  }

  async logout() {
    await api.post('/auth/logout');
    this.me = undefined;
    await router.go('/login');
  }

  async refresh() {
    this.me = await api.get<Me>('/auth/me');
  }

  /** The server no longer knows us: log in, then come back to this very place. */
  expired() {
    if (!this.ready || !this.me) return;
    this.me = undefined;
    router.go('/login?next=' + encodeURIComponent(router.path + router.search), { replace: true, force: true });
  }

  private async checkSetup() {
    this.me = undefined;
    const { needed } = await api.get<{ needed: boolean }>('/auth/setup');
    this.setupNeeded = needed;
    const here = router.path;
    if (needed && here !== '/setup') await router.go('/setup', { replace: true });
    if (!needed && here !== '/login' && here !== '/setup')
      await router.go(here === '/' ? '/login' : '/login?next=' + encodeURIComponent(here + router.search), { replace: true });
  }
}

export const session = new Session();

// These answer 401 for what was typed, not for who asks.
const askForSecrets = ['/auth/login', '/auth/setup', '/auth/me', '/auth/password'];

whenUnauthenticated((path) => {
  if (!askForSecrets.includes(path)) session.expired();
});

/** Where to go after a login: a page of ours, never another site. */
export function nextPage(): string {
  const next = router.query.get('next') ?? '/';
  const url = new URL(root + (next.startsWith('/') ? next : '/' + next), location.origin);
  return url.origin === location.origin && url.pathname.startsWith(root + '/') ? url.pathname.slice(root.length) + url.search : '/';
}
