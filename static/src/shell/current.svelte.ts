import { getContext, setContext } from 'svelte';
import { api, asApiError, path, type ApiError } from '../api/http';
import type { App, Role } from '../api/types';
import { session } from '../lib/session.svelte';

/** The app whose pages are shown, kept by the shell for all of them. */
export class CurrentApp {
  app = $state.raw<App | undefined>();
  error = $state.raw<ApiError | undefined>();
  unresolved = $state(0);

  async load(ref: string) {
    if (this.app?.slug !== ref && this.app?.id !== ref) this.app = undefined;
    this.error = undefined;
    try {
      this.set(await api.get<App>(path`/apps/${ref}`));
    } catch (e) {
      this.error = asApiError(e);
    }
  }

  set(app: App) {
    this.app = app;
    if (app.unresolved_dead_letters !== undefined) this.unresolved = app.unresolved_dead_letters;
    this.recount();
  }

  clear() {
    this.app = undefined;
    this.error = undefined;
    this.unresolved = 0;
  }

  /** Counts the open dead letters; those who may not see them see no number. */
  recount = async () => {
    if (!this.app || !session.can(this.app, 'app_admin')) return;
    const { id } = this.app;
    try {
      const { unresolved } = await api.get<{ unresolved: number }>(`/apps/${id}/dead_letters/count`);
      if (this.app?.id === id) this.unresolved = unresolved;
    } catch {
      // The badge keeps its last number; the page itself shows what is wrong.
    }
  };

  can(role: Role) {
    return session.can(this.app, role);
  }
}

const key = Symbol('app');

export const provideApp = (c: CurrentApp) => setContext(key, c);

/** The shell's app, for pages under /apps/:app, which are shown only once it is there. */
export function currentApp(): CurrentApp & { app: App } {
  return getContext(key);
}
