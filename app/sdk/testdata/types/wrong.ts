export default function (ctx: Context) {
  // @ts-expect-error a collection needs its name
  kv.collection();
  // @ts-expect-error keys are strings
  kv.collection("a").get(5);
  // @ts-expect-error a value may be absent
  kv.collection<number>("a").get("n") + 1;
  // @ts-expect-error the surface can't be changed
  kv = null;
  // @ts-expect-error add answers nothing
  kv.collection("a").add("n") + 1;
  // @ts-expect-error the public has no name
  ctx.principal.username;
  // @ts-expect-error an error needs its status
  throw new HttpError();
}
// @ts-expect-error scripts have no timers
setTimeout(() => {}, 1);
fetch("https://example.org");
