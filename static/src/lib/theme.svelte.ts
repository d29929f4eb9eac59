export type Theme = 'system' | 'light' | 'dark';

const key = 'picloud.theme';

class Themes {
  choice = $state<Theme>((document.documentElement.dataset.theme as Theme | undefined) ?? 'system');

  set(choice: Theme) {
    this.choice = choice;
    if (choice === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = choice;
    remember(key, choice === 'system' ? null : choice);
  }
}

export const themes = new Themes();

/** Keeps a text in this browser; null forgets it. */
export function remember(key: string, value: string | null, store: Storage = localStorage) {
  try {
    if (value === null) store.removeItem(key);
    else store.setItem(key, value);
  } catch {
    // Storage is full or switched off: it is a convenience only.
  }
}

export function recall(key: string, store: Storage = localStorage): string | null {
  try {
    return store.getItem(key);
  } catch {
    return null;
  }
}
