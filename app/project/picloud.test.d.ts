// What *.test.js and *.test.ts can use. picloud test deploys the project to an instance of
// its own; the tests talk to it from outside, as callers do.

/** Registers a test. It fails when fn throws, or when the promise that it returns rejects. */
declare function test(name: string, fn: () => unknown): void;

/** Answer of request. */
interface PiCloudTestResponse {
  status: number;
  /** Names in lower case. */
  headers: Record<string, string>;
  /** The body as text. */
  text: string;
  /** The body, parsed when it is JSON. */
  body: any;
}

/** Sends a request to the app's routes. A body that is no string is sent as JSON. */
declare function request(method: string, path: string, body?: unknown, headers?: Record<string, string>): PiCloudTestResponse;

/** Waits until fn returns something truthy, and returns that; throws after the time (5000 ms). */
declare function until<T>(fn: () => T, milliseconds?: number): NonNullable<T>;

/** The app's data, as the admin API shows it. */
declare const data: {
  get(collection: string, key: string): any;
  set(collection: string, key: string, value: unknown): void;
  delete(collection: string, key: string): void;
};

declare const assert: {
  (ok: unknown, message?: string): asserts ok;
  /** Compares values, and objects and lists by what they hold. */
  equal(got: unknown, want: unknown, message?: string): void;
  notEqual(got: unknown, unwanted: unknown, message?: string): void;
  match(text: string, pattern: RegExp, message?: string): void;
  throws(fn: () => unknown, pattern?: RegExp, message?: string): void;
};
