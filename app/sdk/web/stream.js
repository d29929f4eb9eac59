    // ReadableStream: enough of it to make bodies from, read them and hand them on. What is
    // answered is sent when the handler has ended, so a body is read to its end first.

    class ReadableStreamDefaultController {
      #enqueue; #close; #error;
      constructor(token, enqueue, close, error) {
        if (token !== made) { throw new TypeError("a stream makes its controller"); }
        this.#enqueue = enqueue;
        this.#close = close;
        this.#error = error;
      }
      get desiredSize() { return 1; }
      enqueue(chunk) { this.#enqueue(chunk); }
      close() { this.#close(); }
      error(why) { this.#error(why); }
    }

    class ReadableStreamDefaultReader {
      #stream;
      constructor(stream) {
        this.#stream = stream;
        lockStream(stream, this);
      }
      #held() {
        if (this.#stream === null) { throw new TypeError("the reader was released"); }
        return this.#stream;
      }
      async read() { return readStream(this.#held()); }
      async cancel(reason) { return cancelStream(this.#held(), reason); }
      releaseLock() {
        if (this.#stream !== null) { lockStream(this.#stream, null); }
        this.#stream = null;
      }
    }

    class ReadableStream {
      #source; #controller; #queue = []; #waiting = []; #reader = null;
      #started = false; #pulling = false; #closed = false; #failed = false; #why; #touched = false;
      #whole; // the body that it is the stream of, until somebody reads
      constructor(source = {}, whole) {
        if (source === made) {
          this.#whole = whole;
          return;
        }
        this.#source = source ?? {};
        this.#controller = new ReadableStreamDefaultController(made, (c) => this.#enqueue(c), () => this.#close(), (e) => this.#error(e));
        const begun = typeof this.#source.start === "function" ? this.#source.start(this.#controller) : undefined;
        Promise.resolve(begun).then(() => { this.#started = true; this.#pull(); }, (e) => this.#error(e));
      }
      static from(list) {
        const it = (list[Symbol.asyncIterator] ?? list[Symbol.iterator]).call(list);
        return new ReadableStream({
          async pull(c) {
            const { value, done } = await it.next();
            done ? c.close() : c.enqueue(await value);
          },
          async cancel(why) { await it.return?.(why); },
        });
      }
      get locked() { return this.#reader !== null; }
      getReader() { return new ReadableStreamDefaultReader(this); }
      async cancel(reason) {
        if (this.locked) { throw new TypeError("the stream is locked to a reader"); }
        return this.#cancel(reason);
      }
      tee() {
        const reader = this.getReader(), both = [];
        for (let i = 0; i < 2; i++) { both[i] = []; }
        const branch = (mine, other) => new ReadableStream({
          async pull(c) {
            if (mine.length === 0) {
              const r = await reader.read();
              mine.push(r);
              other.push(r);
            }
            const { value, done } = mine.shift();
            done ? c.close() : c.enqueue(value);
          },
        });
        return [branch(both[0], both[1]), branch(both[1], both[0])];
      }
      async *values() {
        const reader = this.getReader();
        try {
          for (;;) {
            const { value, done } = await reader.read();
            if (done) { return; }
            yield value;
          }
        } finally {
          reader.releaseLock();
        }
      }
      [Symbol.asyncIterator]() { return this.values(); }
      get [Symbol.toStringTag]() { return "ReadableStream"; }

      #open() {
        if (this.#closed || this.#failed) { throw new TypeError("the stream is closed"); }
      }
      #enqueue(chunk) {
        this.#open();
        if (this.#waiting.length > 0) {
          this.#waiting.shift().resolve({ value: chunk, done: false });
        } else {
          this.#queue.push(chunk);
        }
      }
      #close() {
        this.#open();
        this.#closed = true;
        for (const w of this.#waiting) { w.resolve({ value: undefined, done: true }); }
        this.#waiting = [];
      }
      #error(why) {
        if (this.#closed || this.#failed) { return; }
        this.#failed = true;
        this.#why = why;
        this.#queue = [];
        for (const w of this.#waiting) { w.reject(why); }
        this.#waiting = [];
      }
      #pull() {
        if (!this.#started || this.#pulling || this.#closed || this.#failed || this.#waiting.length === 0 || typeof this.#source.pull !== "function") { return; }
        this.#pulling = true;
        new Promise((ok) => ok(this.#source.pull(this.#controller))).then(() => {
          this.#pulling = false;
          this.#pull();
        }, (e) => this.#error(e));
      }
      #read() {
        this.#touched = true;
        if (this.#whole !== undefined) {
          const b = this.#whole;
          this.#whole = undefined;
          this.#closed = true;
          if (b.length > 0) { return { value: typeof b === "string" ? encodeText(b) : b, done: false }; }
        }
        if (this.#queue.length > 0) { return { value: this.#queue.shift(), done: false }; }
        if (this.#failed) { throw this.#why; }
        if (this.#closed) { return { value: undefined, done: true }; }
        return new Promise((resolve, reject) => {
          this.#waiting.push({ resolve, reject });
          this.#pull();
        });
      }
      async #cancel(reason) {
        this.#touched = true;
        this.#whole = undefined;
        this.#queue = [];
        if (this.#closed || this.#failed) { return; }
        this.#close();
        await this.#source?.cancel?.(reason);
      }
      static {
        isStream = (v) => typeof v === "object" && v !== null && #whole in v;
        isTouched = (s) => s.#touched;
        readStream = (s) => s.#read();
        cancelStream = (s, why) => s.#cancel(why);
        lockStream = (s, reader) => {
          if (reader !== null && s.#reader !== null) { throw new TypeError("the stream is locked to another reader"); }
          s.#reader = reader;
        };
        takeWhole = (s) => {
          const b = s.#reader === null ? s.#whole : undefined;
          if (b !== undefined) {
            s.#whole = undefined;
            s.#touched = s.#closed = true;
          }
          return b;
        };
      }
    }
    // takeWhole is the body that a stream was made of, when nobody has read of it; then it is used up.
    var isStream, isTouched, readStream, cancelStream, lockStream, takeWhole;
    for (const c of [ReadableStream, ReadableStreamDefaultReader, ReadableStreamDefaultController]) { reveal(c.name, c); }
