    // Events, and signals that call something off. There are no timers: AbortSignal.timeout
    // bounds calls to the outside, which know how long they take.

    class Event {
      #type; #prevented = false; #cancelable;
      constructor(type, init = {}) {
        this.#type = String(type);
        this.#cancelable = !!init.cancelable;
        this.target = this.currentTarget = null;
      }
      get type() { return this.#type; }
      get cancelable() { return this.#cancelable; }
      get defaultPrevented() { return this.#prevented; }
      preventDefault() { this.#prevented = this.#cancelable; }
    }

    class EventTarget {
      #listeners = [];
      addEventListener(type, f, options) {
        if (f === null || f === undefined || this.#listeners.some((l) => l.type === type && l.f === f)) { return; }
        this.#listeners.push({ type, f, once: typeof options === "object" && options !== null && !!options.once });
      }
      removeEventListener(type, f) { this.#listeners = this.#listeners.filter((l) => l.type !== type || l.f !== f); }
      dispatchEvent(event) {
        event.target = event.currentTarget = this;
        for (const l of this.#listeners.slice()) {
          if (l.type !== event.type) { continue; }
          if (l.once) { this.removeEventListener(l.type, l.f); }
          typeof l.f === "function" ? l.f.call(this, event) : l.f.handleEvent(event);
        }
        return !event.defaultPrevented;
      }
    }

    class AbortSignal extends EventTarget {
      #aborted = false; #reason; #timeout = Infinity; #followers = []; #onabort = null;
      constructor(token) {
        if (token !== made) { throw new TypeError("make a signal with AbortController"); }
        super();
      }
      get onabort() { return this.#onabort; }
      set onabort(f) { this.#onabort = f; }
      get aborted() { return this.#aborted; }
      get reason() { return this.#reason; }
      throwIfAborted() { if (this.#aborted) { throw this.#reason; } }
      #abort(reason) {
        if (this.#aborted) { return; }
        this.#aborted = true;
        this.#reason = reason === undefined ? new DOMException("it was called off", "AbortError") : reason;
        for (const f of this.#followers) { f.#abort(this.#reason); }
        const event = new Event("abort");
        if (typeof this.#onabort === "function") { this.#onabort(event); }
        this.dispatchEvent(event);
      }
      static abort(reason) {
        const s = new AbortSignal(made);
        s.#abort(reason);
        return s;
      }
      static timeout(ms) {
        const s = new AbortSignal(made);
        s.#timeout = Number(ms);
        return s;
      }
      static any(signals) {
        const s = new AbortSignal(made);
        for (const other of signals) {
          s.#timeout = Math.min(s.#timeout, other.#timeout);
          if (other.aborted) { s.#abort(other.reason); }
          other.#followers.push(s);
        }
        return s;
      }
      static {
        abortSignal = (s, reason) => s.#abort(reason);
        signalTimeout = (s) => s.#timeout;
      }
    }
    // signalTimeout is after how many milliseconds a signal calls off; Infinity for most.
    var abortSignal, signalTimeout;

    class AbortController {
      #signal = new AbortSignal(made);
      get signal() { return this.#signal; }
      abort(reason) { abortSignal(this.#signal, reason); }
    }
    for (const c of [Event, EventTarget, AbortSignal, AbortController]) { reveal(c.name, c); }
