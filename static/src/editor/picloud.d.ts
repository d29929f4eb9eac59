// picloud.d.ts: what PiCloud scripts can reach, SDK 1.2.
// Check a script without the browser's and Node's globals:
//   tsc --noEmit --allowJs --checkJs --lib es2023 --typeRoots . picloud.d.ts script.js

/** What is kept, sent and received: anything JSON can hold. */
type Json = null | boolean | number | string | Json[] | { [name: string]: Json | undefined };

/** Bytes in a script: a list of numbers from 0 to 255. */
type Bytes = number[];

/** The HTTP request that a script answers. */
interface HttpRequest {
  method: string;
  host: string;
  path: string;
  /** Absolute, with the query as it came; without /~slug. */
  url: string;
  /** What the route's :names (and its host parameter) matched. */
  params: { [name: string]: string };
  /** A string each, a list when the name was repeated. */
  query: { [name: string]: string | string[] };
  /** Names in lower case; repeated ones joined with ", ". */
  headers: { [name: string]: string };
  /** By content-type: JSON as its value, a form as an object of strings, text as a string, null when empty, anything else as base64. */
  body: any;
  /** The body as it was received when it is text, else base64. */
  rawBody: string;
  /** True when body and rawBody are base64. */
  is_base64?: true;
  /** What a prefix route left over, without the leading slash. */
  rest: string;
  remoteAddress: string;
}

/** A change in the key-value store. */
interface KvEvent {
  source: "kv";
  op: "insert" | "update" | "delete";
  /** value is absent on delete, oldValue on insert. */
  kv: { collection: string; key: string; value?: any; oldValue?: any };
}

/** An event that used up its attempts. */
interface DeadLetterEvent {
  source: "dead_letter";
  dead_letter: {
    id: string;
    /** The whole original event, whatever its source. */
    original: any;
    attempts: number;
    last_error: string;
    trigger_id: string | null;
    script_id: string | null;
    first_attempt_at: string;
    last_attempt_at: string;
  };
}

/** A schedule's time has come. */
interface CronEvent {
  source: "cron";
  op: "tick";
  cron: {
    schedule: string;
    timezone: string;
    /** When it was due, RFC 3339 in UTC. */
    scheduled_at: string;
    /** How much later it was put into the outbox. */
    late_ms: number;
    /** Somebody asked for it: "run now". */
    manual: boolean;
  };
}

/** A message was published. */
interface PubSubEvent {
  source: "pubsub";
  op: "publish";
  pubsub: { topic: string; message: any; published_at: string };
}

/** What the handler is called with. */
interface Context {
  app: { id: string; slug: string };
  script: { id: string; name: string; version: number };
  executionId: string;
  /** The first execution of the chain of events that led here. */
  rootExecutionId: string;
  /** How far from the root; events caused here run one deeper. */
  depth: number;
  /** From 1. */
  attempt: number;
  /** The same for every attempt of one event: hand it to services outside. */
  idempotencyKey: string;
  /** When the time limit ends, in Unix milliseconds. */
  deadline: number;
  /** Only for scripts that were invoked: the arguments, null when there were none. */
  args: any;
  /** Who acts; null for public HTTP. */
  principal: null | { id: string; username: string; role: "viewer" | "editor" | "app_admin" | null };
  /** Only for HTTP. */
  request: HttpRequest;
  /** Only for triggered runs: "event" in ctx. */
  event: KvEvent | DeadLetterEvent | CronEvent | PubSubEvent | QueueEvent | InvokeEvent;
  /** Commits what was written so far; it survives a later throw. */
  commit(): void;
}

/** An answer with a status of its own. */
interface HttpResponse {
  /** 200 to 599. */
  statusCode: number;
  /** A list gives the header several values. */
  headers?: { [name: string]: string | number | boolean | string[] | null | undefined } | Headers;
  /** Sent as JSON, but a string with another content-type is sent as it is. */
  body?: any;
  /** The body is bytes in base64. */
  isBase64?: boolean;
}

/** The default export of a script. Undefined answers 204, an HttpResponse or a Response its status, anything else 200 as JSON. */
type Handler = (ctx: Context) => any;

/** Thrown by a handler, it answers that status and body and commits nothing. */
declare class HttpError extends Error {
  constructor(status: number, body?: any);
  readonly status: number;
  readonly body: any;
}

/**
 * The name of what the SDK throws: "invalid", "forbidden", "not_found", "conflict",
 * "too_large", "budget_exceeded".
 */
type ErrorCode = "invalid" | "forbidden" | "not_found" | "conflict" | "too_large" | "budget_exceeded";

/** CommonJS scripts set module.exports instead of a default export. */
declare const module: { exports: any };
declare const exports: any;

/** Which keys list() and entries() answer. */
interface KvListOptions {
  /** Only keys that begin with this. */
  prefix?: string;
  /** Where to go on: next_cursor of the page before. */
  cursor?: string | null;
  /** How many keys at most, 1 to 1000; 100 when left out. */
  limit?: number;
  /** From the last key to the first. */
  reverse?: boolean;
}

/**
 * A collection of the app's key-value store. Reads see one snapshot plus this execution's own
 * writes; writes are seen by everyone when the execution commits at its end, all or none. Keys
 * are 1 to 1024 bytes, values up to 1 MiB as JSON.
 */
interface KvCollection<T = any> {
  readonly name: string;
  /** The value of key, undefined when it is absent. */
  get(key: string): T | undefined;
  /** Stores value; with ttl (seconds, 0 for ever) the key goes away by itself. */
  set(key: string, value: T, options?: { ttl?: number }): void;
  has(key: string): boolean;
  /** Removes key; true when it was there. */
  delete(key: string): boolean;
  /** Adds by (1) to the number at key (0 when absent) and answers the new value. A read and a write: it may make a re-run necessary. */
  increment(key: string, by?: number): number;
  /** Adds by (1) when the execution commits, without an answer: for hot counters, never a reason for a re-run. */
  add(key: string, by?: number): void;
  /** The values of those keys (at most 1000) that are there, by key. */
  getMany(keys: string[]): { [key: string]: T };
  /** A page of keys in order of their bytes; next_cursor is null on the last one. */
  list(options?: KvListOptions): { keys: string[]; next_cursor: string | null };
  list(cursor: string | null | undefined, limit?: number): { keys: string[]; next_cursor: string | null };
  /** A page of keys with their values. */
  entries(options?: KvListOptions): { entries: { key: string; value: T }[]; next_cursor: string | null };
  entries(cursor: string | null | undefined, limit?: number): { entries: { key: string; value: T }[]; next_cursor: string | null };
}

/** The app's key-value store. */
declare const kv: {
  /** The collection of that name (1 to 128 bytes); it need not exist. */
  collection<T = any>(name: string): KvCollection<T>;
};

/**
 * Writes a line into the execution's log, at most 1000 lines and 64 KiB. A second argument that is
 * an object is kept as the line's fields; anything else is appended to the message.
 */
type LogFunction = (message: unknown, ...more: unknown[]) => void;

/** The execution's log. */
declare const log: {
  debug: LogFunction;
  info: LogFunction;
  warn: LogFunction;
  error: LogFunction;
};

/** The same as log, under its usual name. */
declare const console: {
  log: LogFunction;
  debug: LogFunction;
  info: LogFunction;
  warn: LogFunction;
  error: LogFunction;
};

/** An event that used up its attempts, with the history of all of them. */
interface DeadLetter {
  id: string;
  app_id: string;
  source: string;
  op: string;
  trigger_id: string | null;
  script_id: string | null;
  payload: any;
  attempt_count: number;
  attempts: { at: string; execution_id: string; duration_ms: number; error: string }[];
  first_attempt_at: string;
  last_attempt_at: string;
  last_error: string;
  created_at: string;
  /** Null while it is open. */
  resolved_at: string | null;
  resolution?: "replayed" | "ignored" | "handled_by_script" | "handler_failed";
}

/** The app's dead letters. Needs a principal with app:admin; for public HTTP everything is "forbidden". */
declare const deadLetters: {
  /** Puts the original event back into the outbox when this execution commits. */
  replay(id: string): void;
  /** Closes the letter when this execution commits; the reason is kept with it. */
  resolve(id: string, reason?: string): void;
  /** A page of letters, newest first; next_cursor is null on the last one. limit is 1 to 200, 50 when left out; large letters make a page shorter. */
  list(filter?: { unresolved?: boolean; source?: string; limit?: number; cursor?: string | null }): {
    dead_letters: DeadLetter[];
    next_cursor: string | null;
  };
};

/** How a request is sent. */
interface HttpOptions {
  /** A value each, a list for a header that is repeated. */
  headers?: { [name: string]: string | number | boolean | string[] | null } | Headers;
  /** Is added to the URL's own query; null is left out, a list repeats its name. */
  query?: { [name: string]: string | number | boolean | null | (string | number | boolean)[] };
  /** The body, as JSON. */
  json?: unknown;
  /** The body: text, or bytes. */
  body?: string | Bytes | Uint8Array;
  /** The body, as the fields of an HTML form. */
  form?: { [name: string]: string | number | boolean | null | (string | number | boolean)[] };
  /** Seconds for all of it, at most 300; 10 when left out. */
  timeout?: number;
  /** Up to 5 redirects are followed, which is "follow"; "manual" answers the redirect, "error" throws. */
  redirect?: "follow" | "manual" | "error";
  /** What the answer's body becomes: "auto" goes by its content-type. */
  as?: "auto" | "json" | "text" | "base64";
}

/** What a server answered, whatever the status. */
interface HttpAnswer<T = any> {
  status: number;
  /** The status is 200 to 299. */
  ok: boolean;
  /** Names in lower case; repeated ones joined with ", ", but set-cookie is a list. */
  headers: { [name: string]: string } & { "set-cookie"?: string[] };
  /** By content-type: JSON as its value, text as a string, null when empty, anything else as base64. */
  body: T;
  /** True when body is base64. */
  is_base64?: true;
  /** Where the answer came from, after redirects. */
  url: string;
  redirected: boolean;
}

/**
 * Calls other machines, and waits for the answer; only while a handler runs. Throws "forbidden" for addresses
 * that scripts may not reach, "unreachable", "timeout" and "too_large". An execution that has called
 * out is not run again after a conflict: it fails. At most 50 requests per execution.
 */
declare const http: {
  get<T = any>(url: string, options?: HttpOptions): HttpAnswer<T>;
  /** A body of its own may come before the options: text and bytes go as they are, anything else as JSON. */
  post<T = any>(url: string, body: unknown, options: HttpOptions): HttpAnswer<T>;
  post<T = any>(url: string, options?: HttpOptions | string | unknown[] | Uint8Array): HttpAnswer<T>;
  put<T = any>(url: string, body: unknown, options: HttpOptions): HttpAnswer<T>;
  put<T = any>(url: string, options?: HttpOptions | string | unknown[] | Uint8Array): HttpAnswer<T>;
  patch<T = any>(url: string, body: unknown, options: HttpOptions): HttpAnswer<T>;
  patch<T = any>(url: string, options?: HttpOptions | string | unknown[] | Uint8Array): HttpAnswer<T>;
  delete<T = any>(url: string, options?: HttpOptions): HttpAnswer<T>;
  request<T = any>(request: HttpOptions & { url: string; method?: string }): HttpAnswer<T>;
  /**
   * Stores the request; it is sent when this execution has committed, and again until the host takes it, over days if need be: in order per
   * host, with an Idempotency-Key header that stays the same, which is also the answer. Secrets in it are stored by their names.
   */
  later(request: Omit<HttpOptions, "as"> & { url: string; method?: string }): string;
};

/**
 * http.request as other runtimes have it. The answer is there when it returns: several requests run one after the other. What http throws
 * rejects it, with the same names; a signal made by AbortSignal.timeout bounds it.
 */
declare function fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;

/** The app's secrets, which are set by the API, the dashboard or picloud secrets, and read here alone. */
declare const secrets: {
  /** The value of a secret, undefined when it isn't set; only while a handler runs. What was read is hidden in the execution's log. */
  get(name: string): string | undefined;
};

/** Messages to everybody who listens to a topic: triggers, and subscribers from outside where the topic is registered for them. */
declare const pubsub: {
  /**
   * Publishes message when this execution commits. Each trigger that listens gets it as an event of its own, with its own
   * retries. Topics are 1 to 128 bytes, messages up to 256 KiB as JSON.
   */
  publishDurable(topic: string, message: any): void;
  /**
   * A token with which its holder may listen to topics (each a name or "prefix*") that are registered for subscribers from
   * outside, at /realtime/topics/…, for ttlSeconds: 10 seconds to 24 hours, an hour when left out. It can't be taken back.
   */
  subscriberToken(topics: string | string[], ttlSeconds?: number): string;
};

/** How a message is sent. */
interface QueueOptions {
  /** How long until it may be received, up to a year; 0 when left out. */
  delaySeconds?: number;
  /** Messages with one key (up to 256 bytes) are received in the order in which they were sent, one at a time. */
  key?: string;
  /** A second message with it (up to 256 bytes) is not stored, for 5 minutes unless the operator changed that. */
  dedupId?: string;
}

/** One message, as its receiver sees it. */
interface QueueMessage<T = any> {
  /** The same for every attempt: what to hand on as idempotency key. */
  id: string;
  body: T;
  /** 1 for the first. */
  attempt: number;
  enqueued_at: string;
  key?: string;
}

/** ctx.event of the script that receives a queue's messages. Returning acknowledges all of them, a throw none; {failed: [ids]} all but those. */
interface QueueEvent<T = any> {
  source: "queue";
  op: "receive";
  queue: { name: string; messages: QueueMessage<T>[] };
}

/** The app's queues. Messages wait until a trigger receives them. */
declare const queue: {
  /**
   * Puts a message (up to 256 KiB as JSON) into the queue of that name (1 to 128 bytes) when this execution commits, and answers its
   * id; the queue need not exist. With a dedupId that is known, it answers the id of the first message and stores nothing.
   */
  enqueue(name: string, message: any, options?: QueueOptions): string;
};

/** Cryptographically secure random values. */
declare const random: {
  /** A whole number from low to high, both included. */
  int(low: number, high: number): number;
  /** A number from 0 up to, but not including, 1. */
  float(): number;
  /** n bytes, at most 65536. */
  bytes(n: number): Bytes;
  /** n characters of A-Z, a-z and 0-9, at most 4096. */
  string(n: number): string;
  /** A random UUID (version 4). */
  uuid(): string;
};

/** An instant: milliseconds since 1970, or text in RFC 3339 such as "2026-01-02T15:04:05Z". */
type Instant = number | string;

/** Instants, in UTC everywhere. */
declare const time: {
  /** Now, as "2026-01-02T15:04:05.000Z". */
  now(): string;
  /** Now, in milliseconds since 1970. */
  nowMs(): number;
  /** Reads RFC 3339, or a date such as "2026-01-02", into milliseconds since 1970. */
  parse(text: string): number;
  /**
   * Writes t by a layout as strftime has it: %Y %m %d %H %M %S %L (milliseconds) %e %j %y %I %p
   * %a %A %b %B %u %w %s %Z %z %F %T %%. Without one: "2026-01-02T15:04:05.000Z".
   */
  format(t: Instant, layout?: string): string;
  /** t plus n seconds (fractions are fine), in the form that t has. */
  addSeconds<T extends Instant>(t: T, n: number): T extends number ? number : string;
  /** The seconds of a minus b: positive when a is the later one. */
  diffSeconds(a: Instant, b: Instant): number;
};

/**
 * Regular expressions in RE2's syntax: linear time, no look-around, no back-references. A pattern
 * has up to 1 KiB, a text up to 1 MiB. Write (?i), (?m) or (?s) in front for flags.
 */
declare const regex: {
  isMatch(pattern: string, text: string): boolean;
  /** The first match, undefined when there is none. */
  find(pattern: string, text: string): string | undefined;
  findAll(pattern: string, text: string): string[];
  /** Replaces the first match. In by, $1 and ${name} are groups, $& is the match, $$ a dollar. */
  replace(pattern: string, text: string, by: string): string;
  replaceAll(pattern: string, text: string, by: string): string;
  /** The pieces between the matches, at most limit of them. */
  split(pattern: string, text: string, limit?: number): string[];
  /** The first match and its groups (null for one that took no part), those with names also in groups; undefined without a match. */
  captures(pattern: string, text: string): ((string | null)[] & { groups: { [name: string]: string | null } }) | undefined;
};

/** JSON that throws "invalid" for everything it can't read or write. */
declare const json: {
  parse(text: string): any;
  stringify(value: unknown): string;
  /** With line breaks and two spaces per level. */
  stringifyPretty(value: unknown): string;
};

/** Base64 of text (as UTF-8) or bytes. Decoding gives text, or bytes when asked for. */
declare const base64: {
  encode(data: string | Bytes): string;
  /** Throws "invalid" for what isn't base64, and for text that isn't UTF-8. */
  decode(text: string): string;
  decode(text: string, as: "bytes"): Bytes;
  /** With - and _ and without padding. */
  encodeUrl(data: string | Bytes): string;
  decodeUrl(text: string): string;
  decodeUrl(text: string, as: "bytes"): Bytes;
};

/** Hexadecimal of text (as UTF-8) or bytes: lower case out, either case in. */
declare const hex: {
  encode(data: string | Bytes): string;
  decode(text: string): string;
  decode(text: string, as: "bytes"): Bytes;
};

/** URLs and their parts. */
declare const url: {
  /** Percent-encodes everything but A-Z a-z 0-9 - . _ ~ */
  encode(text: string): string;
  /** Undoes encode; a + stays a +. */
  decode(text: string): string;
  /** "a=1&b=x%20y", names sorted; a list repeats its name, null and undefined are left out. */
  encodeQuery(query: { [name: string]: string | number | boolean | null | undefined | (string | number | boolean)[] }): string;
  /** Takes an absolute URL apart. Throws "invalid" for anything else. */
  parse(text: string): {
    scheme: string;
    username: string;
    /** Without the port. */
    host: string;
    /** Empty when it isn't written. */
    port: string;
    path: string;
    /** A string each, a list when the name was repeated. */
    query: { [name: string]: string | string[] };
    fragment: string;
  };
};

/** Digests, in lower-case hexadecimal, of text (as UTF-8) or bytes. */
declare const crypto: {
  sha256(data: string | Bytes): string;
  hmacSha256(key: string | Bytes, data: string | Bytes): string;
  /** Compares without telling by its time where the two differ. */
  timingSafeEqual(a: string | Bytes, b: string | Bytes): boolean;
};

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

/** A call that invoke.later asked for. */
interface InvokeEvent {
  source: "invoke";
  op: "call";
  /** script is what it was called by; args are also ctx.args. */
  invoke: { script: string; args: any };
}

/** Calls another script of the app, by its name or id. */
declare const invoke: {
  /**
   * Runs it now, in this execution: its writes are part of the one commit, its time is what is left of this one's. It finds the
   * arguments as ctx.args and has no ctx.request. Answers what it returned; what it throws is thrown here.
   */
  <T = any>(script: string, args?: unknown): T;
  /** Runs it in an execution of its own, which begins after this one has committed; attempts and dead letters are like those of any event. Answers the event's id. */
  later(script: string, args?: unknown, options?: { delaySeconds?: number }): string;
};
