export default function (ctx: Context) {
  const name = ctx.request!.params.name;
  const visits = kv.collection("visits").increment(name);
  return { hello: name, visits };
}
