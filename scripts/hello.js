// Says hello to the name in the JSON body, or in ?name=, or to the world.
export default function (ctx) {
  const { body, query } = ctx.request;
  const name = body?.name ?? query.name ?? "world";
  return { message: `Hello, ${name}!` };
}
