    // Handlers of the form {fetch(request, env, ctx)}.

    // requestOf is the request of an execution as a Request.
    function requestOf(r) {
      const headers = new Headers(), list = headerList(headers);
      for (const n of Object.keys(r.headers)) { list.push([n, r.headers[n]]); }
      const content = r.rawBody === "" || r.method === "GET" || r.method === "HEAD" ? null : r.is_base64 ? fromBase64(r.rawBody) ?? null : r.rawBody;
      return new Request(made, { url: r.url, method: r.method, headers, content });
    }

    // adapt makes a handler as the engine calls it of an object with a fetch method.
    function adapt(o) {
      return function (ctx) {
        if (ctx.request === undefined) { throw new TypeError("the script's handler is fetch, which answers requests: for " + sourceOf(ctx) + ", export a function (ctx) from a script of its own"); }
        const waiting = [];
        own(ctx, "waitUntil", (p) => { waiting.push(p); }, true);
        own(ctx, "passThroughOnException", () => {}, true);
        const v = o.fetch(requestOf(ctx.request), { APP: ctx.app.slug, SCRIPT: ctx.script.name }, ctx);
        return isResponse(v) && waiting.length === 0 ? v : conclude(v, waiting);
      };
    }
    function sourceOf(ctx) { return ctx.event === undefined ? "calls" : ctx.event.source + " events"; }

    // conclude waits for the response, and for what was promised beside it: all of it is one
    // execution with one commit.
    async function conclude(v, waiting) {
      const response = await v;
      if (!isResponse(response)) { throw new TypeError("fetch must answer a Response, not " + (response === null ? "null" : "a value of type " + typeof response)); }
      while (waiting.length > 0) { await waiting.shift(); }
      return response;
    }

    // answer is what the engine's finish gives for a Response: its text, or a promise of it.
    function answer(r) {
      const content = takeBody(r);
      return content instanceof Promise ? content.then((c) => written(r, c)) : written(r, content);
    }
    function written(r, content) {
      const head = "f" + stringify({ statusCode: r.status, headers: headersObject(r.headers) }) + "\n";
      return head + (content === null ? "u" : typeof content === "string" ? "t" + content : "b" + toBase64(content));
    }
