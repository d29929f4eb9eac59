    // URL and URLSearchParams. The host reads URLs, by the WHATWG's rules.

    const [HREF, PROTOCOL, USERNAME, PASSWORD, HOST, HOSTNAME, PORT, PATHNAME, SEARCH, HASH, ORIGIN] = Array(11).keys();

    // readURL gives the parts of a URL, undefined when it is none.
    function readURL(url, base) {
      return call("web.url", "[" + stringify(String(url)) + (base === undefined ? "" : "," + stringify(String(base))) + "]");
    }

    class URL {
      #parts; #query = null;
      constructor(url, base) {
        const parts = url === made ? base : readURL(url, base);
        if (parts === undefined) { throw new TypeError("Invalid URL: " + String(url).slice(0, 200)); }
        this.#parts = parts;
      }
      static canParse(url, base) { return readURL(url, base) !== undefined; }
      static parse(url, base) {
        const parts = readURL(url, base);
        return parts === undefined ? null : new URL(made, parts);
      }
      #set(part, value) {
        this.#parts = call("web.setUrl", "[" + stringify(this.#parts[HREF]) + "," + stringify(part) + "," + stringify(String(value)) + "]");
        if (this.#query !== null && part !== "search") { refreshQuery(this.#query, this.search); }
      }
      get href() { return this.#parts[HREF]; }
      set href(v) {
        const parts = readURL(v);
        if (parts === undefined) { throw new TypeError("Invalid URL: " + String(v).slice(0, 200)); }
        this.#parts = parts;
        if (this.#query !== null) { refreshQuery(this.#query, this.search); }
      }
      get origin() { return this.#parts[ORIGIN]; }
      get protocol() { return this.#parts[PROTOCOL]; }
      set protocol(v) { this.#set("protocol", v); }
      get username() { return this.#parts[USERNAME]; }
      set username(v) { this.#set("username", v); }
      get password() { return this.#parts[PASSWORD]; }
      set password(v) { this.#set("password", v); }
      get host() { return this.#parts[HOST]; }
      set host(v) { this.#set("host", v); }
      get hostname() { return this.#parts[HOSTNAME]; }
      set hostname(v) { this.#set("hostname", v); }
      get port() { return this.#parts[PORT]; }
      set port(v) { this.#set("port", v); }
      get pathname() { return this.#parts[PATHNAME]; }
      set pathname(v) { this.#set("pathname", v); }
      get search() { return this.#parts[SEARCH]; }
      set search(v) {
        this.#set("search", v);
        if (this.#query !== null) { refreshQuery(this.#query, this.search); }
      }
      get hash() { return this.#parts[HASH]; }
      set hash(v) { this.#set("hash", v); }
      get searchParams() {
        this.#query ??= new URLSearchParams(made, this.search, (text) => this.#set("search", text));
        return this.#query;
      }
      toString() { return this.href; }
      toJSON() { return this.href; }
      get [Symbol.toStringTag]() { return "URL"; }
    }

    function unescapeForm(s) {
      s = s.replaceAll("+", " ");
      if (!s.includes("%")) { return s; }
      try { return decodeURIComponent(s); } catch (e) { /* bytes that are no UTF-8 */ }
      const b = [], u = encodeText(s);
      for (let i = 0; i < u.length; i++) {
        const n = u[i] === 37 ? parseInt(String.fromCharCode(u[i + 1], u[i + 2]), 16) : NaN;
        if (n >= 0 && /^[0-9A-Fa-f]{2}$/.test(String.fromCharCode(u[i + 1], u[i + 2]))) {
          b.push(n);
          i += 2;
        } else {
          b.push(u[i]);
        }
      }
      return decodeBytes(U8.from(b));
    }
    function escapeForm(s) {
      try { s = encodeURIComponent(s); } catch (e) { s = encodeURIComponent(decodeBytes(encodeText(s))); } // half a character
      return s.replace(/%20/g, "+").replace(/[!'()~]/g, (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase());
    }
    function readForm(text) {
      const list = [];
      for (const pair of text.split("&")) {
        if (pair === "") { continue; }
        const i = pair.indexOf("=");
        list.push(i < 0 ? [unescapeForm(pair), ""] : [unescapeForm(pair.slice(0, i)), unescapeForm(pair.slice(i + 1))]);
      }
      return list;
    }

    class URLSearchParams {
      #list = []; #changed = null;
      constructor(init = "", text, changed) {
        if (init === made) {
          this.#changed = changed;
          this.#list = readForm(text.replace(/^\?/, ""));
        } else if (typeof init === "object" && init !== null) {
          const pairs = #list in init ? init.#list : typeof init[Symbol.iterator] === "function" ? init : Object.entries(init);
          for (const pair of pairs) {
            const [n, v, more] = pair;
            if (v === undefined || more !== undefined) { throw new TypeError("URLSearchParams takes pairs of a name and a value"); }
            this.#list.push([String(n), String(v)]);
          }
        } else {
          this.#list = readForm(String(init).replace(/^\?/, ""));
        }
      }
      #change() { if (this.#changed !== null) { this.#changed(this.toString()); } }
      get size() { return this.#list.length; }
      append(name, value) {
        this.#list.push([String(name), String(value)]);
        this.#change();
      }
      delete(name, value) {
        this.#list = this.#list.filter((p) => p[0] !== String(name) || value !== undefined && p[1] !== String(value));
        this.#change();
      }
      get(name) { return this.#list.find((p) => p[0] === String(name))?.[1] ?? null; }
      getAll(name) { return this.#list.filter((p) => p[0] === String(name)).map((p) => p[1]); }
      has(name, value) { return this.#list.some((p) => p[0] === String(name) && (value === undefined || p[1] === String(value))); }
      set(name, value) {
        const first = this.#list.find((p) => p[0] === String(name));
        if (first === undefined) {
          this.#list.push([String(name), String(value)]);
        } else {
          this.#list = this.#list.filter((p) => p === first || p[0] !== String(name));
          first[1] = String(value);
        }
        this.#change();
      }
      sort() {
        this.#list.sort((a, b) => a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0);
        this.#change();
      }
      forEach(f, self) { for (const [n, v] of this.#list) { f.call(self, v, n, this); } }
      *entries() { for (const [n, v] of this.#list) { yield [n, v]; } }
      *keys() { for (const p of this.#list) { yield p[0]; } }
      *values() { for (const p of this.#list) { yield p[1]; } }
      [Symbol.iterator]() { return this.entries(); }
      toString() { return this.#list.map((p) => escapeForm(p[0]) + "=" + escapeForm(p[1])).join("&"); }
      get [Symbol.toStringTag]() { return "URLSearchParams"; }

      static { refreshQuery = (q, search) => { q.#list = readForm(search.replace(/^\?/, "")); }; }
    }
    // refreshQuery reads a URL's query again after the URL was changed.
    var refreshQuery;
    reveal("URL", URL);
    reveal("URLSearchParams", URLSearchParams);
