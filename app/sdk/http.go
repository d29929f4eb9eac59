package sdk

import (
	"strconv"

	"picloud/app/cloud"
	"picloud/app/outbound"
)

// httpModule calls other machines. Which of them is the guard's business in app/outbound;
// here requests are read and answers written.
var httpModule = Module{
	Name: "http",
	Funcs: map[string]Func{
		"http.request": httpRequest,
		"http.later":   httpLater,
	},
	JS: `
var fields = ["method", "url", "headers", "query", "json", "body", "form", "timeout", "redirect", "as"];
function known(from) {
  var all = [], i;
  for (i = from; i < fields.length; i++) { own(all, i - from, fields[i], true); }
  return join(all, ", ");
}
function isBytes(v) { return typeof v === "object" && v !== null && !isArray(v) && v.BYTES_PER_ELEMENT === 1 && typeof v.length === "number"; }
// options writes the options of o as the fields of a JSON object; from skips those that have
// an argument of their own.
function options(o, from, what) {
  var out = "", k, i, v;
  if (o === undefined || o === null) { return out; }
  if (typeof o !== "object" || isArray(o) || isBytes(o)) { throw fault("invalid", what + " takes its options as an object, such as {json: {a: 1}, timeout: 5}"); }
  for (k in o) {
    for (i = from; i < fields.length && fields[i] !== k; i++) { }
    if (i === fields.length) {
      throw fault("invalid", what + " has no option " + k + ": there are " + known(from) + "; to send an object as JSON write {json: …}");
    }
    v = k === "headers" ? headersOf(o[k]) : k === "query" || k === "form" ? record(o[k], k) : o[k];
    if (v !== undefined) { out += ",\"" + k + "\":" + (k === "body" ? arg(v, 2) : json(v, "the option " + k)); }
  }
  return out;
}
function send(method, url, more) { return call("http.request", "[{\"method\":\"" + method + "\",\"url\":" + json(url, "the URL") + more + "}]"); }
// content is a body given as an argument: text and bytes as they are, anything else as JSON.
function content(v) {
  if (v === undefined || v === null) { return ""; }
  return typeof v === "string" || isBytes(v) ? ",\"body\":" + arg(v, 2) : ",\"json\":" + json(v, "the body");
}
function without(method, name) {
  return function (url, o) { return send(method, url, options(o, 2, "http." + name)); };
}
function withBody(method, name) {
  return function (url, a, b) {
    if (b !== undefined || typeof a === "string" || isArray(a) || isBytes(a)) { return send(method, url, content(a) + options(b, 2, "http." + name)); }
    return send(method, url, options(a, 2, "http." + name));
  };
}
expose("http", {
  get: without("GET", "get"),
  post: withBody("POST", "post"),
  put: withBody("PUT", "put"),
  patch: withBody("PATCH", "patch"),
  "delete": withBody("DELETE", "delete"),
  request: function request(o) {
    var text = options(o, 0, "http.request");
    if (text === "") { throw fault("invalid", "http.request takes an object such as {method: \"GET\", url: \"https://example.org/\"}"); }
    return call("http.request", "[{" + cut(text, 1) + "}]");
  },
  later: function later(o) {
    var text = options(o, 0, "http.later");
    if (text === "") { throw fault("invalid", "http.later takes an object such as {method: \"POST\", url: \"https://example.org/\", json: {a: 1}}"); }
    return call("http.later", "[{" + cut(text, 1) + "}]");
  }
});`,
	Globals: []string{"fetch"},
	Modern: `
// fetch is http.request under its usual name. The host call waits for the answer, so the
// promise is settled when it is made.
async function fetch(input, init) {
  const r = new Request(input, init), signal = requestSignal(r), pairs = [];
  signal?.throwIfAborted();
  let content = takeBody(r);
  if (content instanceof Promise) { content = await content; }
  signal?.throwIfAborted();
  const headers = Object.create(null);
  for (const [n, v] of headerList(r.headers)) { (headers[n] ??= []).push(v); }
  const o = { method: r.method, url: r.url, headers, redirect: r.redirect, as: "raw" };
  if (typeof content === "string") { o.body = content; } else if (content !== null) { o.base64 = toBase64(content); }
  const ms = signal === undefined ? Infinity : signalTimeout(signal);
  if (ms < Infinity) { o.timeout = Math.min(Math.max(ms / 1000, 0.001), 300); }
  let res;
  try { res = call("http.request", "[" + stringify(o) + "]"); } catch (e) {
    throw e.name === "timeout" && ms < Infinity ? new DOMException(e.message, "TimeoutError") : e;
  }
  for (const n of Object.keys(res.headers)) {
    for (const v of [].concat(res.headers[n])) { pairs.push([n, v]); }
  }
  const body = res.body === "" ? null : res.is_base64 ? fromBase64(res.body) : res.body;
  return new Response(made, { content: body, headers: new Headers(pairs), status: res.status, statusText: res.text, url: res.url, redirected: res.redirected, type: "basic" });
}
reveal("fetch", fetch);`,
	Types: `
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
declare function fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;`,
}

// DefaultRequests is how many requests one execution may send.
const DefaultRequests = 50

func httpRequest(c *Call, in []byte) ([]byte, error) {
	o, r, err := c.readRequest(in)
	if err != nil {
		return nil, err
	}
	res, err := c.send(r)
	if err != nil {
		return nil, err
	}
	return o.answer(res)
}

// send sends a request and counts it. From the first one on the execution can't run again.
func (c *Call) send(r *outbound.Request) (*outbound.Response, error) {
	if c.services.HTTP == nil {
		return nil, cloud.Errorf(cloud.Forbidden, "this instance lets no script call other machines")
	}
	r.Hops = c.hops()
	if err := c.services.HTTP.Prepare(r); err != nil {
		return nil, err
	}
	most := DefaultRequests
	if c.services.Requests > 0 {
		most = c.services.Requests
	}
	if c.requests++; c.requests > most {
		return nil, cloud.Errorf(cloud.BudgetExceeded, "more than %d requests in one execution: let several events share the work", most)
	}
	if c.Unit != nil {
		c.Unit.NoRerun()
	}
	if away := c.services.Away; away != nil {
		defer away(c.Inv.Async)()
	}
	return c.services.HTTP.Do(c.Ctx, c.Inv.App, r)
}

// hops is how many requests of scripts led to this execution, as far as its own request says.
func (c *Call) hops() int {
	if c.Inv.Request == nil {
		return 0
	}
	n, err := strconv.Atoi(c.Inv.Request.Headers["x-picloud-hops"])
	if err != nil || n < 0 {
		return 0
	}
	return n
}
