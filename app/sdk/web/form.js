    // Blob, File and FormData.

    // part makes bytes of what a Blob is put together from.
    function part(v) {
      if (isBlob(v)) { return blobBytes(v); }
      return isBytes(v) ? bytesOf(v) : encodeText(String(v));
    }

    class Blob {
      #bytes; #type;
      constructor(parts = [], options = {}) {
        this.#bytes = joined(Array.from(parts, part));
        this.#type = String(options.type ?? "").toLowerCase();
      }
      get size() { return this.#bytes.length; }
      get type() { return this.#type; }
      async arrayBuffer() { return this.#bytes.slice().buffer; }
      async bytes() { return this.#bytes.slice(); }
      async text() { return decodeBytes(this.#bytes); }
      stream() { return new ReadableStream(made, this.#bytes); }
      slice(from = 0, to = this.size, type = "") { return new Blob([this.#bytes.slice(from, to)], { type }); }
      static {
        isBlob = (v) => typeof v === "object" && v !== null && #bytes in v;
        blobBytes = (b) => b.#bytes;
      }
    }
    var isBlob, blobBytes;

    class File extends Blob {
      #name; #at;
      constructor(parts, name, options = {}) {
        super(parts, options);
        this.#name = String(name);
        this.#at = Number(options.lastModified ?? Date.now());
      }
      get name() { return this.#name; }
      get lastModified() { return this.#at; }
    }

    function formValue(v, name) {
      if (!isBlob(v)) { return String(v); }
      return v instanceof File && name === undefined ? v : new File([v], name ?? "blob", { type: v.type });
    }

    class FormData {
      #list = [];
      append(name, value, file) { this.#list.push([String(name), formValue(value, file)]); }
      set(name, value, file) {
        const at = this.#list.findIndex((p) => p[0] === String(name)), entry = [String(name), formValue(value, file)];
        if (at < 0) {
          this.#list.push(entry);
        } else {
          this.#list = this.#list.filter((p, i) => i <= at || p[0] !== entry[0]);
          this.#list[at] = entry;
        }
      }
      get(name) { return this.#list.find((p) => p[0] === String(name))?.[1] ?? null; }
      getAll(name) { return this.#list.filter((p) => p[0] === String(name)).map((p) => p[1]); }
      has(name) { return this.#list.some((p) => p[0] === String(name)); }
      delete(name) { this.#list = this.#list.filter((p) => p[0] !== String(name)); }
      forEach(f, self) { for (const [n, v] of this.#list) { f.call(self, v, n, this); } }
      *entries() { for (const [n, v] of this.#list) { yield [n, v]; } }
      *keys() { for (const p of this.#list) { yield p[0]; } }
      *values() { for (const p of this.#list) { yield p[1]; } }
      [Symbol.iterator]() { return this.entries(); }
      static { isForm = (v) => typeof v === "object" && v !== null && #list in v; }
    }
    var isForm;
    for (const c of [Blob, File, FormData]) { reveal(c.name, c); }

    // writeForm is form as multipart/form-data.
    function writeForm(form) {
      const boundary = "picloud-" + call("random.uuid", "[]"), chunks = [];
      const quoted = (s) => '"' + s.replace(/\r\n|\r|\n/g, "%0D%0A").replace(/"/g, "%22") + '"';
      for (const [name, v] of form) {
        let head = "--" + boundary + "\r\ncontent-disposition: form-data; name=" + quoted(name);
        if (isBlob(v)) { head += "; filename=" + quoted(v.name) + "\r\ncontent-type: " + (v.type || "application/octet-stream"); }
        chunks.push(encodeText(head + "\r\n\r\n"), isBlob(v) ? blobBytes(v) : encodeText(v), encodeText("\r\n"));
      }
      chunks.push(encodeText("--" + boundary + "--\r\n"));
      return [joined(chunks), "multipart/form-data; boundary=" + boundary];
    }

    // parseForm reads a body by its content-type.
    function parseForm(content, type) {
      const form = new FormData();
      if (/^application\/x-www-form-urlencoded\s*(;|$)/i.test(type)) {
        for (const [n, v] of readForm(typeof content === "string" ? content : decodeBytes(content))) { form.append(n, v); }
        return form;
      }
      const bytes = typeof content === "string" ? encodeText(content) : content;
      const parts = call("web.multipart", "[" + stringify(type) + "," + stringify(toBase64(bytes)) + "]");
      if (parts === undefined) { throw new TypeError("the body is not a form: its content-type is " + stringify(type)); }
      for (const p of parts) {
        const b = fromBase64(p.data);
        form.append(p.name, p.file === undefined ? decodeBytes(b) : new File([b], p.file, { type: p.type }));
      }
      return form;
    }
