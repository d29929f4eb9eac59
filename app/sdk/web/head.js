// The web's classes, as other runtimes for JavaScript have them: what handlers of the form
// {fetch(request, env, ctx)} and the libraries for them need. A program of its own, for modern
// engines, which the prelude loads when a script first touches one of its globals.
//
// Its value is a function: sdk are tools of the prelude, codec are the engine's own functions
// for bytes. Private fields (#x) are what a script can't forge or reach.
(function (global) {
  "use strict";
  return function (sdk, codec) {
    const { call, fault, json, stringify, own } = sdk;
    const U8 = Uint8Array, isView = ArrayBuffer.isView, parse = JSON.parse, isArray = Array.isArray;
    const globals = Object.create(null);
    const made = {}; // the first argument of constructors that only this file may call so

    // reveal makes value a global of scripts.
    function reveal(name, value) { globals[name] = value; }

    class DOMException extends Error {
      #name;
      constructor(message = "", name = "Error") {
        super(message);
        this.#name = String(name);
      }
      get name() { return this.#name; }
      get code() { return { AbortError: 20, TimeoutError: 23, InvalidCharacterError: 5, DataCloneError: 25 }[this.#name] ?? 0; }
    }
    reveal("DOMException", DOMException);
