import { connection } from '../lib/connection.svelte';

/** An answer of the API that is not a success, or no answer at all (status 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly detail: Record<string, unknown> = {},
  ) {
    super(message);
  }

  get offline() {
    return this.status === 0;
  }

  /** Where in a script's source the error is, when it says so; both count from 1. */
  get position(): { line: number; column: number } | null {
    const { line, column } = this.detail;
    if (typeof line === 'number' && line > 0) return { line, column: typeof column === 'number' && column > 0 ? column : 1 };
    const text = /line (\d+)(?:,? col(?:umn)? (\d+))?/i.exec(this.message) ?? /:(\d+):(\d+)/.exec(this.message);
    return text ? { line: Number(text[1]), column: Number(text[2] ?? 1) } : null;
  }
}

export function asApiError(e: unknown): ApiError {
  if (e instanceof ApiError) return e;
  return new ApiError(-1, 'internal', e instanceof Error ? e.message : String(e));
}

const base = '/api/v1/admin';

let onUnauthenticated: (path: string) => void = () => {};

/** Sets what happens when the server no longer knows who asks. */
export function whenUnauthenticated(f: (path: string) => void) {
  onUnauthenticated = f;
}

export interface RequestOptions {
  body?: unknown;
  signal?: AbortSignal;
  base?: string;
}

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
}

/** One request whose answer is given as it is, whatever its status. */
export async function raw(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
  const init: RequestInit = { method, credentials: 'same-origin', cache: 'no-store', signal: options.signal };
  if (options.body !== undefined) {
    init.body = JSON.stringify(options.body);
    init.headers = { 'content-type': 'application/json' };
  }
  let answer: Response;
  let text: string;
  try {
    answer = await fetch((options.base ?? base) + path, init);
    text = await answer.text();
  } catch (e) {
    if (e instanceof DOMException && e.name === 'AbortError') throw e;
    connection.lost();
    throw new ApiError(0, 'offline', 'PiCloud does not answer. Is the machine on and in the same network?');
  }
  connection.found();
  return { status: answer.status, headers: answer.headers, text };
}

async function request<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
  const answer = await raw(method, path, options);
  if (answer.status >= 200 && answer.status < 300) return (answer.text ? JSON.parse(answer.text) : undefined) as T;
  if (answer.status === 401) onUnauthenticated(path);
  throw failure(answer);
}

function failure(answer: Answer): ApiError {
  try {
    const { error } = JSON.parse(answer.text);
    return new ApiError(answer.status, String(error.code), String(error.message), error);
  } catch {
    return new ApiError(answer.status, 'internal', `The server answered ${answer.status} without saying why.`);
  }
}

export const api = {
  get: <T>(path: string, signal?: AbortSignal) => request<T>('GET', path, { signal }),
  post: <T = void>(path: string, body: unknown = {}) => request<T>('POST', path, { body }),
  put: <T = void>(path: string, body: unknown) => request<T>('PUT', path, { body }),
  patch: <T = void>(path: string, body: unknown) => request<T>('PATCH', path, { body }),
  del: (path: string) => request<void>('DELETE', path),
};

/** A query string of the values that are set: "" or "?a=1&b=2". */
export function query(values: Record<string, string | number | boolean | null | undefined>): string {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(values)) if (v !== undefined && v !== null && v !== '' && v !== false) q.set(k, String(v));
  const text = q.toString();
  return text && '?' + text;
}

/** A path of the API whose parts are escaped: path`/apps/${slug}/kv/${name}`. */
export function path(strings: TemplateStringsArray, ...parts: string[]): string {
  return strings.reduce((out, s, i) => out + encodeURIComponent(parts[i - 1]) + s);
}
