// What tests see: see picloud.test.d.ts.
(() => {
  const host = globalThis.__host;
  delete globalThis.__host;
  const tests = [];

  function ask(op, args) {
    const answer = JSON.parse(host(op, JSON.stringify(args ?? null)));
    if ("error" in answer) throw new Error(answer.error);
    return answer.value;
  }

  function show(v) {
    if (typeof v === "string") return v;
    if (v instanceof Error) return v.name + ": " + v.message;
    try { return JSON.stringify(v) ?? String(v); } catch { return String(v); }
  }

  function quote(v) { return typeof v === "string" ? JSON.stringify(v) : show(v); }

  function same(a, b) {
    if (Object.is(a, b)) return true;
    if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
    if (Array.isArray(a) !== Array.isArray(b)) return false;
    if (a instanceof Date || b instanceof Date) return a instanceof Date && b instanceof Date && a.getTime() === b.getTime();
    const keys = Object.keys(a);
    return keys.length === Object.keys(b).length && keys.every((k) => Object.hasOwn(b, k) && same(a[k], b[k]));
  }

  class AssertionError extends Error {
    get name() { return "AssertionError"; }
  }

  function fail(text, message) { throw new AssertionError(message === undefined ? text : message + ": " + text); }

  globalThis.test = (name, fn) => {
    if (typeof name !== "string" || typeof fn !== "function") throw new TypeError("write test(name, function)");
    tests.push({ name, fn });
  };

  globalThis.assert = Object.assign((ok, message) => { if (!ok) fail("got " + quote(ok) + ", want something true", message); }, {
    equal(got, want, message) { if (!same(got, want)) fail("got " + quote(got) + ", want " + quote(want), message); },
    notEqual(got, unwanted, message) { if (same(got, unwanted)) fail("got " + quote(got) + ", want anything else", message); },
    match(text, pattern, message) { if (!pattern.test(text)) fail("got " + quote(text) + ", want a match of " + pattern, message); },
    throws(fn, pattern, message) {
      try { fn(); } catch (e) {
        if (pattern && !pattern.test(show(e))) fail("threw " + quote(show(e)) + ", want a match of " + pattern, message);
        return;
      }
      fail("it did not throw", message);
    },
  });

  globalThis.request = (method, path, body, headers) => {
    const sent = { method, path, headers: { ...headers }, body: "" };
    if (body !== undefined) {
      sent.body = typeof body === "string" ? body : JSON.stringify(body);
      const named = Object.keys(sent.headers).some((h) => h.toLowerCase() === "content-type");
      if (!named) sent.headers["content-type"] = typeof body === "string" ? "text/plain" : "application/json";
    }
    const got = ask("request", sent);
    const json = /^application\/([^;]*\+)?json/.test(got.headers["content-type"] ?? "");
    return { ...got, body: json && got.text !== "" ? JSON.parse(got.text) : got.text };
  };

  globalThis.data = {
    get: (collection, key) => ask("data", { method: "GET", collection, key }) ?? undefined,
    set: (collection, key, value) => { ask("data", { method: "PUT", collection, key, value }); },
    delete: (collection, key) => { ask("data", { method: "DELETE", collection, key }); },
  };

  globalThis.until = (fn, milliseconds = 5000) => {
    for (const end = Date.now() + milliseconds; ;) {
      const v = fn();
      if (v) return v;
      if (Date.now() > end) throw new AssertionError("it did not come true within " + milliseconds + " ms");
      ask("pause");
    }
  };

  const print = (...args) => { ask("print", args.map(show).join(" ")); };
  globalThis.console = { log: print, info: print, warn: print, error: print, debug: print };

  globalThis.__run = async () => {
    for (const { name, fn } of tests) {
      ask("begin", name);
      let failure = "";
      try { await fn(); } catch (e) {
        failure = e instanceof Error ? show(e) + "\n" + (e.stack ?? "") : "threw " + quote(e);
      }
      ask("end", failure);
    }
    ask("done", "");
  };
})();
