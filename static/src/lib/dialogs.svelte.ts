import { asApiError } from '../api/http';

export interface Question {
  title: string;
  text: string;
  action: string;
  danger?: boolean;
  /** What must be typed before the action can be taken. */
  typed?: string;
  answer: (yes: boolean) => void;
}

export interface Toast {
  id: number;
  text: string;
  kind: 'ok' | 'error';
  link?: { href: string; text: string };
}

class Dialogs {
  question = $state.raw<Question | undefined>();
  toasts = $state.raw<Toast[]>([]);
  private next = 1;

  /** Asks before something that can't be undone. */
  confirm(q: Omit<Question, 'answer'>): Promise<boolean> {
    this.question?.answer(false);
    return new Promise((resolve) => {
      this.question = {
        ...q,
        answer: (yes) => {
          this.question = undefined;
          resolve(yes);
        },
      };
    });
  }

  say(text: string, link?: Toast['link']) {
    this.add({ text, kind: 'ok', link }, 5000);
  }

  complain(e: unknown) {
    this.add({ text: asApiError(e).message, kind: 'error' }, 12_000);
  }

  dismiss(id: number) {
    this.toasts = this.toasts.filter((t) => t.id !== id);
  }

  private add(toast: Omit<Toast, 'id'>, ms: number) {
    const id = this.next++;
    this.toasts = [...this.toasts.slice(-3), { ...toast, id }];
    setTimeout(() => this.dismiss(id), ms);
  }
}

export const dialogs = new Dialogs();

/** Does something for a click; a failure is shown, and the answer says whether it went well. */
export async function attempt(f: () => Promise<unknown>, done?: string): Promise<boolean> {
  try {
    await f();
  } catch (e) {
    dialogs.complain(e);
    return false;
  }
  if (done) dialogs.say(done);
  return true;
}
