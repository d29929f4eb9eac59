// The web's classes, as in other runtimes. Only scripts for QuickJS have them.

type HeadersInit = Headers | Iterable<[string, string] | string[]> | { [name: string]: string };
type BodyInit = string | ArrayBuffer | ArrayBufferView | Blob | FormData | URLSearchParams | ReadableStream | null;

/** Names and values of headers; names in any case. */
declare class Headers {
  constructor(init?: HeadersInit);
  append(name: string, value: string): void;
  delete(name: string): void;
  get(name: string): string | null;
  /** Each cookie by itself: get joins repeated headers with ", ". */
  getSetCookie(): string[];
  has(name: string): boolean;
  set(name: string, value: string): void;
  forEach(f: (value: string, name: string, headers: Headers) => void, self?: any): void;
  entries(): IterableIterator<[string, string]>;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string>;
  [Symbol.iterator](): IterableIterator<[string, string]>;
}

/** What Request and Response share. A body can be read once; clone() makes a second one. */
interface Body {
  readonly headers: Headers;
  readonly body: ReadableStream | null;
  readonly bodyUsed: boolean;
  text(): Promise<string>;
  json(): Promise<any>;
  bytes(): Promise<Uint8Array>;
  arrayBuffer(): Promise<ArrayBuffer>;
  blob(): Promise<Blob>;
  formData(): Promise<FormData>;
}

interface RequestInit {
  method?: string;
  headers?: HeadersInit;
  body?: BodyInit;
  redirect?: "follow" | "error" | "manual";
  signal?: AbortSignal;
}

interface Request extends Body {}
declare class Request {
  constructor(input: string | URL | Request, init?: RequestInit);
  /** Absolute. */
  readonly url: string;
  readonly method: string;
  readonly signal: AbortSignal;
  readonly redirect: string;
  readonly cache: string;
  readonly credentials: string;
  readonly mode: string;
  readonly keepalive: boolean;
  clone(): Request;
}

interface ResponseInit {
  /** 200 to 599. */
  status?: number;
  statusText?: string;
  headers?: HeadersInit;
}

interface Response extends Body {}
/** What a fetch handler answers, and any other handler may. */
declare class Response {
  constructor(body?: BodyInit, init?: ResponseInit);
  static json(data: any, init?: ResponseInit): Response;
  static redirect(url: string | URL, status?: 301 | 302 | 303 | 307 | 308): Response;
  static error(): Response;
  readonly status: number;
  readonly statusText: string;
  readonly ok: boolean;
  readonly url: string;
  readonly redirected: boolean;
  readonly type: string;
  clone(): Response;
}

/** The context of a fetch handler. */
interface FetchContext extends Context {
  /** Waits for the promise before the execution ends; what it writes is part of the one commit, and its failure fails the execution. */
  waitUntil(promise: any): void;
  /** Does nothing: there is no server behind this one. */
  passThroughOnException(): void;
}

/** The second argument of a fetch handler: slug and name of its app and script. */
interface FetchEnv {
  APP: string;
  SCRIPT: string;
}

/** A default export of this form answers requests, as in other runtimes. */
interface FetchHandler {
  fetch(request: Request, env: FetchEnv, ctx: FetchContext): Response | Promise<Response>;
}

/** A URL by the WHATWG's rules. */
declare class URL {
  constructor(url: string | URL, base?: string | URL);
  static canParse(url: string | URL, base?: string | URL): boolean;
  static parse(url: string | URL, base?: string | URL): URL | null;
  href: string;
  readonly origin: string;
  protocol: string;
  username: string;
  password: string;
  host: string;
  hostname: string;
  port: string;
  pathname: string;
  search: string;
  hash: string;
  readonly searchParams: URLSearchParams;
  toString(): string;
  toJSON(): string;
}

declare class URLSearchParams {
  constructor(init?: string | Iterable<[string, string] | string[]> | { [name: string]: any });
  readonly size: number;
  append(name: string, value: any): void;
  delete(name: string, value?: any): void;
  get(name: string): string | null;
  getAll(name: string): string[];
  has(name: string, value?: any): boolean;
  set(name: string, value: any): void;
  sort(): void;
  forEach(f: (value: string, name: string, params: URLSearchParams) => void, self?: any): void;
  entries(): IterableIterator<[string, string]>;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string>;
  toString(): string;
  [Symbol.iterator](): IterableIterator<[string, string]>;
}

declare class TextEncoder {
  readonly encoding: string;
  encode(text?: string): Uint8Array;
  encodeInto(text: string, into: Uint8Array): { read: number; written: number };
}

/** Reads UTF-8. */
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  readonly encoding: string;
  readonly fatal: boolean;
  readonly ignoreBOM: boolean;
  decode(input?: ArrayBuffer | ArrayBufferView, options?: { stream?: boolean }): string;
}

declare class Blob {
  constructor(parts?: Iterable<string | ArrayBuffer | ArrayBufferView | Blob>, options?: { type?: string });
  readonly size: number;
  readonly type: string;
  arrayBuffer(): Promise<ArrayBuffer>;
  bytes(): Promise<Uint8Array>;
  text(): Promise<string>;
  stream(): ReadableStream;
  slice(from?: number, to?: number, type?: string): Blob;
}

declare class File extends Blob {
  constructor(parts: Iterable<string | ArrayBuffer | ArrayBufferView | Blob>, name: string, options?: { type?: string; lastModified?: number });
  readonly name: string;
  readonly lastModified: number;
}

declare class FormData {
  append(name: string, value: any, file?: string): void;
  delete(name: string): void;
  get(name: string): string | File | null;
  getAll(name: string): (string | File)[];
  has(name: string): boolean;
  set(name: string, value: any, file?: string): void;
  forEach(f: (value: string | File, name: string, form: FormData) => void, self?: any): void;
  entries(): IterableIterator<[string, string | File]>;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string | File>;
  [Symbol.iterator](): IterableIterator<[string, string | File]>;
}

/** A body in pieces. Answers are sent when the handler has ended, so one is read to its end first. */
declare class ReadableStream {
  constructor(source?: {
    start?(controller: ReadableStreamDefaultController): any;
    pull?(controller: ReadableStreamDefaultController): any;
    cancel?(reason?: any): any;
  });
  static from(list: Iterable<any> | AsyncIterable<any>): ReadableStream;
  readonly locked: boolean;
  getReader(): ReadableStreamDefaultReader;
  cancel(reason?: any): Promise<void>;
  tee(): [ReadableStream, ReadableStream];
  values(): AsyncIterableIterator<any>;
  [Symbol.asyncIterator](): AsyncIterableIterator<any>;
}

declare class ReadableStreamDefaultReader {
  constructor(stream: ReadableStream);
  read(): Promise<{ value: any; done: boolean }>;
  cancel(reason?: any): Promise<void>;
  releaseLock(): void;
}

declare class ReadableStreamDefaultController {
  private constructor();
  readonly desiredSize: number;
  enqueue(chunk: any): void;
  close(): void;
  error(why?: any): void;
}

declare class DOMException extends Error {
  constructor(message?: string, name?: string);
  readonly name: string;
  readonly code: number;
}

declare class Event {
  constructor(type: string, init?: { cancelable?: boolean });
  readonly type: string;
  readonly cancelable: boolean;
  readonly defaultPrevented: boolean;
  preventDefault(): void;
}

declare class EventTarget {
  addEventListener(type: string, f: ((event: any) => void) | { handleEvent(event: any): void } | null, options?: boolean | { once?: boolean }): void;
  removeEventListener(type: string, f: any): void;
  dispatchEvent(event: Event): boolean;
}

/** There are no timers: AbortSignal.timeout bounds calls to the outside world only. */
declare class AbortSignal extends EventTarget {
  private constructor();
  static abort(reason?: any): AbortSignal;
  static timeout(milliseconds: number): AbortSignal;
  static any(signals: Iterable<AbortSignal>): AbortSignal;
  onabort: ((event: Event) => void) | null;
  readonly aborted: boolean;
  readonly reason: any;
  throwIfAborted(): void;
}

declare class AbortController {
  readonly signal: AbortSignal;
  abort(reason?: any): void;
}

/** Base64 of a string of bytes (characters up to U+00FF). */
declare function btoa(text: string): string;
declare function atob(text: string): string;
declare function queueMicrotask(f: () => void): void;
/** Copies what JSON can hold, and dates, maps, sets, bytes and errors, with their cycles. */
declare function structuredClone<T>(value: T): T;
