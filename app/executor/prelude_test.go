package executor

// testPrelude is a small prelude with the contract of sdk.Prelude, for tests of engines alone.
const testPrelude = `(function (global) {
  "use strict";
  return function (host) {
    var parse = JSON.parse, str = JSON.stringify;
    function call(op, args) {
      var out = host(op, str(args));
      if (out === "") { return undefined; }
      if (out.charAt(0) === "!") { var f = parse(out.slice(1)), e = new Error(f[1]); e.name = f[0]; throw e; }
      return parse(out);
    }
    function HttpError(status, body) { this.status = status; this.body = body; }
    global.HttpError = HttpError;
    global.call = function (op) { return call(op, [].slice.call(arguments, 1)); };
    global.log = { info: function (m) { call("log", [String(m)]); } };
    global.kv = { get: function (k) { return call("kv.get", [k]); }, set: function (k, v) { call("kv.set", [k, v]); } };
    return {
      adapt: function (o) { return undefined; },
      begin: function (json) { return parse(json); },
      finish: function (v) { var s = str(v); return "v" + (s === undefined ? "" : s); },
      fail: function (e) { return e instanceof HttpError ? "h" + str([e.status, e.body]) : ""; },
      describe: function (e) {
        try {
          if (e instanceof Error) { return str({ name: String(e.name), message: String(e.message), stack: String(e.stack) }); }
          return str({ name: "", message: "threw " + String(e), stack: "" });
        } catch (x) { return str({ name: "", message: "?", stack: "" }); }
      }
    };
  };
})(this)`
