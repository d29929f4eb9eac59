const handler: FetchHandler = {
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
    ctx.waitUntil(Promise.resolve(kv.collection("seen").increment(url.pathname)));
    if (request.method === "POST") {
      const form = await request.formData();
      return Response.json({ app: env.APP, name: form.get("name"), q: url.searchParams.get("q") }, { status: 201, headers: [["x-a", "b"]] });
    }
    const headers = new Headers(request.headers);
    for (const [name, value] of headers) log.info(name, { value });
    return new Response(new TextEncoder().encode(atob("aGk=")), { headers });
  },
};
export default handler;
