// The prelude builds the surface that scripts see. Its value is a function that takes the
// host call and returns what the engine works with. It is ES5, for every engine.
//
// Contexts are warm: a script may have changed any prototype or global before its next
// execution. So everything that is needed later is captured here, bare property reads go to
// own properties only, and what crosses to the host is put together from strings.
(function (global) {
  "use strict";
  return function (host, modern) {
    var parse = JSON.parse, stringify = JSON.stringify, Err = Error, TypeErr = TypeError, Text = String,
        create = Object.create, define = Object.defineProperty, freeze = Object.freeze, isArray = Array.isArray, keys = Object.keys,
        protoOf = Object.getPrototypeOf, plainProto = Object.prototype, isFinite = global.isFinite, names = Object.getOwnPropertyNames, descriptor = Object.getOwnPropertyDescriptor,
        uncurry = Function.prototype.bind.bind(Function.prototype.call),
        cut = uncurry("".substring), join = uncurry([].join), has = uncurry({}.hasOwnProperty);
    var called = false; // the execution is of a script that another one invoked
    var last = null, lastCode = ""; // the newest exception of the SDK, for describe

    // own gives o a property of its own, whatever its prototypes say.
    function own(o, name, value, enumerable, fixed) {
      var d = create(null);
      d.value = value;
      d.enumerable = !!enumerable;
      d.writable = d.configurable = !fixed;
      return define(o, name, d);
    }

    // fault is an exception of the SDK: code is one of the API's error codes.
    function fault(code, message) {
      var e = new Err(message);
      own(e, "name", code);
      last = e;
      lastCode = code;
      return e;
    }

    // call runs a host function; args is a JSON array as text.
    function call(op, args) {
      var out = host(op, args), e;
      if (out === "") { return undefined; }
      if (out[0] !== "!") { return parse(out); }
      e = parse(cut(out, 1));
      throw fault(e[0], e[1]);
    }

    // json is v as JSON, which must be able to hold it.
    function json(v, what) {
      var text;
      if (typeof v === "string") { return stringify(v); }
      if (typeof v === "number") {
        if (isFinite(v)) { return stringify(v); }
        throw fault("invalid", what + " is " + v + ", which JSON can't hold");
      }
      try {
        text = stringify(v);
      } catch (e) {
        if (!(e instanceof TypeErr)) { throw e; }
        throw fault("invalid", what + " can't be written as JSON: " + e.message);
      }
      if (text === undefined) {
        throw fault("invalid", what + " is " + (v === undefined ? "undefined" : "a " + typeof v) + ", which JSON can't hold");
      }
      return text;
    }

    // arg is one argument of a host call: undefined travels as null, bytes in a typed array
    // as a list of numbers.
    function arg(v, n) {
      if (v === undefined || v === null) { return "null"; }
      if (typeof v === "object" && !isArray(v) && v.BYTES_PER_ELEMENT === 1 && typeof v.length === "number") {
        if (v.length > 1048576) { throw fault("too_large", "argument " + n + " has more than 1 MiB"); }
        return "[" + join(v, ",") + "]";
      }
      return json(v, "argument " + n);
    }

    // tell refuses v, a value in an object of names and values, when JSON would leave it out or
    // make null of it without a word.
    function tell(v, name, what) {
      if (typeof v === "number" ? !isFinite(v) : typeof v === "function" || typeof v === "symbol") {
        throw fault("invalid", what + ": " + name + " is " + (typeof v === "number" ? v : "a " + typeof v) + ", where a string, a number or a boolean belongs");
      }
    }
    // record is v, which must be such an object when it is one at all: its values survive JSON,
    // and it isn't of a kind that JSON makes {} of, as it does of a Map.
    function record(v, what) {
      var all, i, j, one;
      if (typeof v !== "object" || v === null || isArray(v)) { return v; }
      all = keys(v);
      for (i = 0; i < all.length; i++) {
        one = v[all[i]];
        if (!isArray(one)) { tell(one, all[i], what); continue; }
        for (j = 0; j < one.length; j++) { tell(one[j], all[i], what); }
      }
      if (all.length === 0 && typeof v.toJSON !== "function" && (one = protoOf(v)) !== plainProto && one !== null) {
        throw fault("invalid", what + ": want a plain object of names and values, not one of a class such as Map");
      }
      return v;
    }
    // headersOf is v as a plain object of headers, when it is a Headers.
    function headersOf(v) {
      return record(web !== null && web.headersObject(v) || v, "headers");
    }

    // options is o, the last argument of the function what, as an object to read options from: a
    // key that isn't in known, or what is no such object, would be a wish that goes unheard. For
    // messages, example is one.
    var none = freeze(create(null));
    function options(o, known, what, example) {
      var k;
      if (o === undefined || o === null) { return none; }
      if (typeof o !== "object" || isArray(o)) {
        throw fault("invalid", "options: want an object such as " + example + ", not a " + (isArray(o) ? "list" : typeof o));
      }
      for (k in o) {
        if (known[k] !== true) { throw fault("invalid", what + " has no option " + k + ": there is " + join(names(known), ", ")); }
      }
      return o;
    }
    // oneOf makes the known ones from a list.
    function oneOf(list) {
      var all = create(null), i;
      for (i = 0; i < list.length; i++) { all[list[i]] = true; }
      return freeze(all);
    }

    // pass is a function that hands its arguments to a host function.
    function pass(op) {
      return function () {
        var args = "", i;
        for (i = 0; i < arguments.length; i++) { args += (i ? "," : "") + arg(arguments[i], i + 1); }
        return call(op, "[" + args + "]");
      };
    }

    // seal freezes o and the functions it holds.
    function seal(o) {
      var all = names(o), i;
      for (i = 0; i < all.length; i++) { if (typeof o[all[i]] === "function") { freeze(o[all[i]]); } }
      return freeze(o);
    }

    // expose makes o a global that scripts can't change.
    function expose(name, o) { own(global, name, seal(o), false, true); }

    // lift exposes host functions as they are.
    function lift(name, functions) {
      var o = {}, i;
      for (i = 0; i < functions.length; i++) { o[functions[i]] = pass(name + "." + functions[i]); }
      expose(name, o);
    }

    // HttpError answers the caller with a status of its own: throw new HttpError(404, {…}).
    function HttpError(status, body) {
      var e = this instanceof HttpError ? this : create(HttpError.prototype);
      own(e, "name", "HttpError");
      own(e, "message", typeof body === "string" ? body : "HTTP " + Text(status));
      own(e, "status", status, true);
      own(e, "body", body, true);
      own(e, "stack", new Err().stack);
      return e;
    }
    HttpError.prototype = create(Err.prototype);
    own(HttpError.prototype, "constructor", HttpError);
    freeze(HttpError.prototype);
    own(global, "HttpError", freeze(HttpError), false, true);

    // The web's classes are a program of their own, which is loaded when it is first needed.
    var web = null, getters = create(null), modernNames = /*GLOBALS*/;
    function theWeb() {
      var i, d;
      if (web !== null) { return web; }
      web = modern({ call: call, fault: fault, json: json, stringify: stringify, own: own });
      for (i = 0; i < modernNames.length; i++) {
        d = descriptor(global, modernNames[i]);
        if (d && d.get === getters[modernNames[i]] && d.configurable) { own(global, modernNames[i], web.globals[modernNames[i]]); }
      }
      return web;
    }
    function later(name) {
      var d = create(null);
      d.get = getters[name] = function () { return theWeb().globals[name]; };
      d.set = function (v) { own(global, name, v, true); };
      d.configurable = true;
      define(global, name, d);
    }
    function allLater() { for (var i = 0; i < modernNames.length; i++) { later(modernNames[i]); } }
    if (modern) { allLater(); }

/*MODULES*/
    function commit() { call("ctx.commit", "[]"); }
    freeze(commit);

    function begin(text) {
      var ctx = parse(text);
      last = null;
      called = has(ctx, "args");
      return own(ctx, "commit", commit, true);
    }

    // What finish and fail write for sdk.Answer: a letter for the form, then the text.
    //   u nothing, s a string as it is, j JSON, x why the value can't be sent
    //   r a response, h that of an HttpError: status and headers as JSON, a line feed, and the body as above
    //   f a Response (written by the web's part): the same, but the body is u, t text as it is or b bytes in base64
    function form(v) {
      if (v === undefined) { return "u"; }
      return typeof v === "string" ? "s" + v : "j" + json(v, "the answer");
    }
    function response(letter, status, headers, isBase64, body) {
      var head = stringify({ statusCode: status, headers: headersOf(headers), isBase64: isBase64 });
      return letter + head + "\n" + (body === null ? "u" : form(body));
    }
    function attempt(write, v) {
      try { return write(v); } catch (e) { return "x" + brief(e); }
    }
    function answer(v) {
      if (web !== null && web.isResponse(v)) {
        if (called) { throw fault("invalid", "a Response can't be handed to the script that invoked this one: return a plain value"); }
        return web.answer(v);
      }
      if (called) { return form(v); }
      if (typeof v === "object" && v !== null && "statusCode" in v) {
        return response("r", v.statusCode, v.headers, v.isBase64, v.body);
      }
      return form(v);
    }
    function refusal(e) { return response("h", e.status, undefined, undefined, e.body); }
    function isRefusal(e) {
      try { return e instanceof HttpError; } catch (_) { return false; }
    }

    // words is v for people, at most n characters of it; it never throws.
    function words(v, n) {
      try {
        var s = typeof v === "string" ? v : v === undefined ? "" : Text(v);
        return s.length > n ? cut(s, 0, n) + "…" : s;
      } catch (_) { return ""; }
    }
    function part(e, name, n) {
      try { return words(e[name], n); } catch (_) { return ""; }
    }
    function isObject(e) { return typeof e === "object" && e !== null || typeof e === "function"; }
    function brief(e) { return isObject(e) ? part(e, "message", 1000) : words(e, 1000); }
    function describe(e) {
      var d = { name: "", message: "", stack: "" };
      if (isObject(e)) {
        d = { name: part(e, "name", 200), message: part(e, "message", 4000), stack: part(e, "stack", 8000) };
      }
      if (d.message === "") {
        try { d.message = words(typeof e === "object" && d.name === "" ? stringify(e) : e, 4000); } catch (_) { d.message = "?"; }
      }
      if (e !== null && e === last) { d = { name: d.name, message: d.message, stack: d.stack, code: lastCode }; }
      return stringify(d);
    }

    return {
      adapt: function (o) { return modern && typeof o.fetch === "function" ? theWeb().adapt(o) : undefined; },
      begin: begin,
      finish: function (v) { return attempt(answer, v); },
      fail: function (e) { return isRefusal(e) ? attempt(refusal, e) : ""; },
      describe: describe
    };
  };
})(this);
