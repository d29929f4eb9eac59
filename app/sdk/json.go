package sdk

// jsonModule is JSON that throws `invalid` for all it can't read or write. It stays inside
// the engine: nothing needs the host.
var jsonModule = Module{
	Name: "json",
	JS: `
expose("json", {
  parse: function (text) {
    if (typeof text !== "string") { throw fault("invalid", "json.parse reads a string, not " + (text === null ? "null" : "a value of type " + typeof text)); }
    try { return parse(text); } catch (e) { throw fault("invalid", "this is not JSON: " + e.message); }
  },
  stringify: function (value) { return json(value, "the value"); },
  stringifyPretty: function (value) {
    json(value, "the value");
    return stringify(value, undefined, 2);
  }
});`,
	Types: `
/** JSON that throws "invalid" for everything it can't read or write. */
declare const json: {
  parse(text: string): any;
  stringify(value: unknown): string;
  /** With line breaks and two spaces per level. */
  stringifyPretty(value: unknown): string;
};`,
}
