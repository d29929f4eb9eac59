import type { Script } from '../api/types';
import { all, load } from './load.svelte';

/** The functions of an app, to show names instead of ids and to choose from. */
export function scripts(app: () => string) {
  const loaded = load((signal) => all<Script>(`/apps/${app()}/scripts`, 1000, signal));
  return {
    get loaded() {
      return loaded;
    },
    get all(): Script[] {
      return loaded.data ?? [];
    },
    /** Those that can be run: modules can't. */
    get functions(): Script[] {
      return (loaded.data ?? []).filter((s) => s.kind !== 'module');
    },
    /** The function's name, or the end of its id when it is gone. */
    name(id: string | null | undefined): string {
      if (!id) return '—';
      return loaded.data?.find((s) => s.id === id)?.name ?? (loaded.data ? `(deleted …${id.slice(-6)})` : '…');
    },
    has(id: string | null | undefined): boolean {
      return !!loaded.data?.some((s) => s.id === id);
    },
  };
}

export type Scripts = ReturnType<typeof scripts>;
