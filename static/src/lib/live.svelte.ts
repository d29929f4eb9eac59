import type { Execution } from '../api/types';
import { connection } from './connection.svelte';

/**
 * Hears of an app's executions as they finish, for as long as the component lives and on()
 * is true. The browser connects again by itself when the stream breaks.
 */
export function live(app: () => string, on: () => boolean, hear: (e: Execution) => void): { readonly open: boolean } {
  let open = $state(false);
  $effect(() => {
    connection.epoch;
    if (!on()) return;
    const source = new EventSource(`/api/v1/admin/apps/${app()}/executions/stream`);
    const read = (m: MessageEvent) => hear(JSON.parse(m.data));
    source.onopen = () => {
      open = true;
      connection.found();
    };
    source.onmessage = read;
    source.addEventListener('execution', read);
    source.onerror = () => {
      open = false;
      connection.probe();
    };
    return () => {
      source.close();
      open = false;
    };
  });
  return {
    get open() {
      return open;
    },
  };
}
