    // Bytes and text.

    // bytesOf is a copy of the bytes of an ArrayBuffer or a view of one.
    function bytesOf(v) {
      if (isView(v)) { return new U8(v.buffer, v.byteOffset, v.byteLength).slice(); }
      return new U8(v).slice();
    }
    function isBytes(v) { return isView(v) || v instanceof ArrayBuffer; }
    function encodeText(s) { return new U8(codec.utf8(s)); }
    // decodeBytes reads UTF-8; what isn't becomes U+FFFD or, when fatal, throws.
    function decodeBytes(u, fatal) { return codec.text(u.buffer, u.byteOffset, u.byteLength, !!fatal); }
    function toBase64(u) { return codec.base64(u.buffer, u.byteOffset, u.byteLength); }
    // fromBase64 is undefined for what is no base64.
    function fromBase64(s) {
      const b = codec.unbase64(s);
      return b === undefined ? undefined : new U8(b);
    }
    function joined(chunks) {
      let size = 0, at = 0;
      for (const c of chunks) { size += c.length; }
      const all = new U8(size);
      for (const c of chunks) {
        all.set(c, at);
        at += c.length;
      }
      return all;
    }

    class TextEncoder {
      get encoding() { return "utf-8"; }
      encode(text = "") { return encodeText(String(text)); }
      encodeInto(text, into) {
        let read = 0, written = 0;
        for (const c of String(text)) {
          const b = encodeText(c);
          if (written + b.length > into.length) { break; }
          into.set(b, written);
          read += c.length;
          written += b.length;
        }
        return { read, written };
      }
    }

    // unfinished is how many bytes at the end of u begin a character that more bytes may complete.
    function unfinished(u) {
      for (let n = 1; n <= 3 && n <= u.length; n++) {
        const c = u[u.length - n];
        if ((c & 0xc0) !== 0x80) { return c >= 0xf0 && n < 4 || c >= 0xe0 && n < 3 || c >= 0xc2 && n < 2 ? n : 0; }
      }
      return 0;
    }

    class TextDecoder {
      #fatal; #keepBOM; #rest = new U8(0); #begun = false;
      constructor(label = "utf-8", options = {}) {
        if (!/^\s*(utf-?8|unicode-1-1-utf-8|unicode11utf8|unicode20utf8|x-unicode20utf8)\s*$/i.test(label)) {
          throw new RangeError("TextDecoder reads utf-8, not " + label);
        }
        this.#fatal = !!options.fatal;
        this.#keepBOM = !!options.ignoreBOM;
      }
      get encoding() { return "utf-8"; }
      get fatal() { return this.#fatal; }
      get ignoreBOM() { return this.#keepBOM; }
      decode(input, options = {}) {
        let u = input === undefined ? new U8(0) : bytesOf(input);
        if (this.#rest.length > 0) { u = joined([this.#rest, u]); }
        const n = options.stream ? unfinished(u) : 0;
        this.#rest = u.slice(u.length - n);
        let text = decodeBytes(u.subarray(0, u.length - n), this.#fatal);
        if (!this.#keepBOM && !this.#begun && text[0] === "\ufeff") { text = text.slice(1); }
        this.#begun = options.stream ? this.#begun || text !== "" : false;
        return text;
      }
    }

    function btoa(text) {
      const s = String(text), u = new U8(s.length);
      for (let i = 0; i < s.length; i++) {
        const c = s.charCodeAt(i);
        if (c > 255) { throw new DOMException("btoa takes characters up to U+00FF: encode text with TextEncoder first", "InvalidCharacterError"); }
        u[i] = c;
      }
      return toBase64(u);
    }
    function atob(text) {
      const s = String(text).replace(/[\t\n\f\r ]/g, ""), u = fromBase64(s);
      if (u === undefined) { throw new DOMException("atob takes base64", "InvalidCharacterError"); }
      let out = "";
      for (let i = 0; i < u.length; i += 4096) { out += String.fromCharCode(...u.subarray(i, i + 4096)); }
      return out;
    }
    function queueMicrotask(f) {
      if (typeof f !== "function") { throw new TypeError("queueMicrotask takes a function"); }
      Promise.resolve().then(() => f());
    }

    // clone copies what JSON can hold, and dates, maps, sets, bytes and errors; cycles stay cycles.
    function clone(v, seen) {
      if (typeof v === "function" || typeof v === "symbol") { throw new DOMException("a " + typeof v + " can't be cloned", "DataCloneError"); }
      if (typeof v !== "object" || v === null) { return v; }
      if (seen.has(v)) { return seen.get(v); }
      const keep = (copy) => { seen.set(v, copy); return copy; };
      if (isArray(v)) {
        const copy = keep([]);
        for (const x of v) { copy.push(clone(x, seen)); }
        return copy;
      }
      if (v instanceof Date) { return keep(new Date(v.getTime())); }
      if (v instanceof RegExp) { return keep(new RegExp(v.source, v.flags)); }
      if (v instanceof ArrayBuffer) { return keep(v.slice(0)); }
      if (isView(v)) {
        const buffer = clone(v.buffer, seen);
        return keep(v instanceof DataView ? new DataView(buffer, v.byteOffset, v.byteLength) : new v.constructor(buffer, v.byteOffset, v.length));
      }
      if (v instanceof Map) {
        const copy = keep(new Map());
        for (const [k, x] of v) { copy.set(clone(k, seen), clone(x, seen)); }
        return copy;
      }
      if (v instanceof Set) {
        const copy = keep(new Set());
        for (const x of v) { copy.add(clone(x, seen)); }
        return copy;
      }
      const copy = keep(v instanceof Error ? new Error(v.message) : {});
      if (v instanceof Error) { own(copy, "name", v.name); }
      for (const k of Object.keys(v)) { copy[k] = clone(v[k], seen); }
      return copy;
    }
    function structuredClone(v) { return clone(v, new Map()); }

    for (const f of [TextEncoder, TextDecoder, btoa, atob, queueMicrotask, structuredClone]) { reveal(f.name, f); }
