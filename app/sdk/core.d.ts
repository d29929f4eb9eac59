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
