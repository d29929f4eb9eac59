    // Request and Response.

    // extract is [content, content-type] of what may be a body. Content is null, a string,
    // bytes, or a stream. Text stays text for as long as nobody asks for bytes.
    function extract(v) {
      if (v === null || v === undefined) { return [null, null]; }
      if (typeof v === "string") { return [v, "text/plain;charset=UTF-8"]; }
      if (v instanceof URLSearchParams) { return [v.toString(), "application/x-www-form-urlencoded;charset=UTF-8"]; }
      if (isBytes(v)) { return [bytesOf(v), null]; }
      if (isBlob(v)) { return [blobBytes(v), v.type || null]; }
      if (isForm(v)) { return writeForm(v); }
      if (isStream(v)) {
        if (v.locked || isTouched(v)) { throw new TypeError("the stream is locked or was read already"); }
        return [takeWhole(v) ?? v, null];
      }
      return [String(v), "text/plain;charset=UTF-8"];
    }

    // drained reads a stream to its end.
    async function drained(stream) {
      const chunks = [];
      for (;;) {
        const { value, done } = await readStream(stream);
        if (done) { return joined(chunks); }
        if (typeof value !== "string" && !isBytes(value)) { throw new TypeError("a body's stream must give bytes, not a value of type " + typeof value); }
        chunks.push(typeof value === "string" ? encodeText(value) : bytesOf(value));
      }
    }
    function asText(content) { return content === null ? "" : typeof content === "string" ? content : decodeBytes(content); }
    function asBytes(content) { return content === null ? new U8(0) : typeof content === "string" ? encodeText(content) : content; }

    class Body {
      #content = null; #stream = null; #used = false; #headers;
      constructor(content, headers) {
        this.#headers = headers;
        if (isStream(content)) { this.#stream = content; } else { this.#content = content; }
      }
      get headers() { return this.#headers; }
      get body() {
        if (this.#stream === null && this.#content !== null) {
          this.#stream = new ReadableStream(made, this.#content);
          if (this.#used) { takeWhole(this.#stream); }
          this.#content = null;
        }
        return this.#stream;
      }
      get bodyUsed() { return this.#used || this.#stream !== null && isTouched(this.#stream); }
      // #take uses the body up: its content, or a promise of it when it is a stream to be read.
      #take() {
        if (this.bodyUsed || this.#stream?.locked) { throw new TypeError("the body was used already: clone() before the first use gives a second one"); }
        if (this.#stream === null) {
          this.#used = this.#content !== null;
          return this.#content;
        }
        const whole = takeWhole(this.#stream);
        if (whole !== undefined) { return whole; }
        lockStream(this.#stream, this);
        return drained(this.#stream);
      }
      async text() { return asText(await this.#take()).replace(/^\ufeff/, ""); }
      async json() { return parse(asText(await this.#take()).replace(/^\ufeff/, "")); }
      async bytes() { return asBytes(await this.#take()).slice(); }
      async arrayBuffer() { return asBytes(await this.#take()).slice().buffer; }
      async blob() { return new Blob([asBytes(await this.#take())], { type: this.#headers.get("content-type") ?? "" }); }
      async formData() {
        const type = this.#headers.get("content-type") ?? "", content = await this.#take();
        return parseForm(content ?? "", type);
      }
      static {
        takeBody = (b) => b.#take();
        // twin is the content for a clone.
        twinBody = (b) => {
          if (b.bodyUsed || b.#stream?.locked) { throw new TypeError("the body was used already: clone it before"); }
          if (b.#stream === null) { return b.#content; }
          const whole = takeWhole(b.#stream);
          if (whole !== undefined) {
            b.#stream = null;
            b.#content = whole;
            return whole;
          }
          const [mine, other] = b.#stream.tee();
          b.#stream = mine;
          return other;
        };
      }
    }
    var takeBody, twinBody;

    // headersFor are new Headers with a content-type, unless they have one.
    function headersFor(init, type) {
      const h = new Headers(init);
      if (type !== null && !h.has("content-type")) { headerList(h).push(["content-type", type]); }
      return h;
    }

    class Request extends Body {
      #url; #method; #signal; #redirect;
      constructor(input, init = {}) {
        if (input === made) {
          super(init.content, init.headers);
          this.#url = init.url;
          this.#method = init.method;
          return;
        }
        init ??= {};
        const from = typeof input === "object" && input !== null && #url in input ? input : null;
        const url = from !== null ? from.#url : new URL(input).href;
        const method = methodOf(init.method ?? from?.#method ?? "GET");
        const hasBody = init.body !== undefined && init.body !== null;
        if (hasBody && (method === "GET" || method === "HEAD")) { throw new TypeError("a request with method " + method + " has no body"); }
        const [content, type] = hasBody ? extract(init.body) : [from === null ? null : moved(takeBody(from)), null];
        super(content, headersFor(init.headers ?? from?.headers, type));
        this.#url = url;
        this.#method = method;
        this.#signal = init.signal ?? from?.#signal;
        this.#redirect = init.redirect ?? from?.#redirect;
      }
      get url() { return this.#url; }
      get method() { return this.#method; }
      get signal() { return this.#signal ??= new AbortController().signal; }
      get redirect() { return this.#redirect ?? "follow"; }
      get cache() { return "default"; }
      get credentials() { return "same-origin"; }
      get mode() { return "cors"; }
      get keepalive() { return false; }
      clone() { return copyRequest(this); }
      get [Symbol.toStringTag]() { return "Request"; }
      static {
        isRequest = (v) => typeof v === "object" && v !== null && #url in v;
        requestSignal = (r) => r.#signal;
        copyRequest = (r) => {
          const copy = new Request(made, { url: r.#url, method: r.#method, headers: new Headers(r.headers), content: twinBody(r) });
          copy.#signal = r.#signal;
          copy.#redirect = r.#redirect;
          return copy;
        };
      }
    }
    // requestSignal is the signal that a request was made with, or undefined.
    var isRequest, requestSignal, copyRequest;

    // moved is a body that goes from one request to another.
    function moved(content) { return content instanceof Promise ? ReadableStream.from([content]) : content; }

    function methodOf(m) {
      m = String(m);
      if (!token.test(m) || /^(CONNECT|TRACE|TRACK)$/i.test(m)) { throw new TypeError(stringify(m.slice(0, 100)) + " is not a method that can be used"); }
      return /^(DELETE|GET|HEAD|OPTIONS|POST|PUT|PATCH)$/i.test(m) ? m.toUpperCase() : m;
    }

    const bodyless = new Set([204, 205, 304]);

    class Response extends Body {
      #status; #statusText; #url = ""; #redirected = false; #type = "default";
      constructor(body = null, init = {}) {
        if (body === made) {
          super(init.content, init.headers);
          this.#status = init.status;
          this.#statusText = init.statusText ?? "";
          this.#url = init.url ?? "";
          this.#redirected = init.redirected ?? false;
          this.#type = init.type ?? "default";
          return;
        }
        init ??= {};
        const status = init.status === undefined ? 200 : Number(init.status);
        if (!(status >= 200 && status <= 599) || status % 1 !== 0) { throw new RangeError("a response's status is a whole number from 200 to 599, not " + String(init.status)); }
        if (body !== null && bodyless.has(status)) { throw new TypeError("a response with status " + status + " has no body"); }
        const [content, type] = extract(body);
        super(content, headersFor(init.headers, type));
        this.#status = status;
        this.#statusText = String(init.statusText ?? "");
      }
      static json(data, init = {}) {
        const text = stringify(data);
        if (text === undefined) { throw new TypeError("the value can't be written as JSON"); }
        return new Response(text, { ...init, headers: headersFor(init.headers, "application/json") });
      }
      static redirect(url, status = 302) {
        if (![301, 302, 303, 307, 308].includes(status)) { throw new RangeError("a redirect's status is 301, 302, 303, 307 or 308, not " + status); }
        return new Response(null, { status, headers: { location: String(url) } });
      }
      static error() { return new Response(made, { content: null, headers: new Headers(), status: 0, type: "error" }); }
      get status() { return this.#status; }
      get statusText() { return this.#statusText; }
      get ok() { return this.#status >= 200 && this.#status < 300; }
      get url() { return this.#url; }
      get redirected() { return this.#redirected; }
      get type() { return this.#type; }
      clone() { return copyResponse(this); }
      get [Symbol.toStringTag]() { return "Response"; }
      static {
        isResponse = (v) => typeof v === "object" && v !== null && #status in v;
        copyResponse = (r) => new Response(made, {
          content: twinBody(r), headers: new Headers(r.headers), status: r.#status, statusText: r.#statusText, url: r.#url, redirected: r.#redirected, type: r.#type,
        });
      }
    }
    var isResponse, copyResponse;
    reveal("Request", Request);
    reveal("Response", Response);
