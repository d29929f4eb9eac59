    // Headers.

    const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

    function headerName(name) {
      name = String(name);
      if (!token.test(name)) { throw new TypeError(stringify(name.slice(0, 100)) + " is not a header's name"); }
      return name.toLowerCase();
    }
    function headerValue(name, value) {
      value = String(value).replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
      if (/[\0\n\r]/.test(value)) { throw new TypeError("the header " + name + " holds a line break"); }
      return value;
    }

    class Headers {
      #list = []; // of [name in lower case, value], in the order they came
      constructor(init) {
        if (init === undefined || init === null) { return; }
        if (typeof init !== "object") { throw new TypeError("Headers takes an object, a list of pairs or other Headers"); }
        if (#list in init) {
          for (const [n, v] of init.#list) { this.#list.push([n, v]); }
        } else if (typeof init[Symbol.iterator] === "function") {
          for (const pair of init) {
            const [n, v] = pair;
            if (v === undefined) { throw new TypeError("Headers takes pairs of a name and a value"); }
            this.append(n, v);
          }
        } else {
          for (const n of Object.keys(init)) { this.append(n, init[n]); }
        }
      }
      append(name, value) {
        name = headerName(name);
        this.#list.push([name, headerValue(name, value)]);
      }
      set(name, value) {
        name = headerName(name);
        value = headerValue(name, value);
        const first = this.#list.find((h) => h[0] === name);
        if (first === undefined) {
          this.#list.push([name, value]);
          return;
        }
        this.#list = this.#list.filter((h) => h === first || h[0] !== name);
        first[1] = value;
      }
      get(name) {
        name = headerName(name);
        let text = null;
        for (const [n, v] of this.#list) {
          if (n === name) { text = text === null ? v : text + ", " + v; }
        }
        return text;
      }
      has(name) {
        name = headerName(name);
        return this.#list.some((h) => h[0] === name);
      }
      delete(name) {
        name = headerName(name);
        this.#list = this.#list.filter((h) => h[0] !== name);
      }
      getSetCookie() { return this.#list.filter((h) => h[0] === "set-cookie").map((h) => h[1]); }
      // #sorted are the headers as they are walked through: by name, repeated ones joined, but for cookies.
      #sorted() {
        const at = new Map(), all = [];
        for (const [n, v] of this.#list) {
          const i = n === "set-cookie" ? undefined : at.get(n);
          if (i !== undefined) {
            all[i][1] += ", " + v;
          } else {
            at.set(n, all.length);
            all.push([n, v]);
          }
        }
        return all.sort((a, b) => a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0);
      }
      forEach(f, self) { for (const [n, v] of this.#sorted()) { f.call(self, v, n, this); } }
      *entries() { yield* this.#sorted(); }
      *keys() { for (const h of this.#sorted()) { yield h[0]; } }
      *values() { for (const h of this.#sorted()) { yield h[1]; } }
      [Symbol.iterator]() { return this.entries(); }
      get [Symbol.toStringTag]() { return "Headers"; }

      static {
        headerList = (h) => h.#list;
        isHeaders = (v) => typeof v === "object" && v !== null && #list in v;
      }
    }
    // headerList are a Headers' pairs as they came.
    var headerList, isHeaders;

    // headersObject is a Headers as a plain object, repeated ones joined, but for cookies;
    // undefined for anything else.
    function headersObject(h) {
      if (!isHeaders(h)) { return undefined; }
      const all = Object.create(null);
      for (const [n, v] of headerList(h)) {
        if (n === "set-cookie") {
          (all[n] ??= []).push(v);
        } else {
          all[n] = n in all ? all[n] + ", " + v : v;
        }
      }
      return all;
    }
    reveal("Headers", Headers);
