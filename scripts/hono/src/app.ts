// A bookshelf: Hono's router, parameters, middleware, JSON and text, on PiCloud's data.
//   npm install && picloud deploy
import { Hono } from "hono";
import { cors } from "hono/cors";
import { HTTPException } from "hono/http-exception";

type Book = { title: string; read: boolean };
type Env = { Bindings: { APP: string; SCRIPT: string }; Variables: { started: number } };

const app = new Hono<Env>();

app.use("*", async (c, next) => {
  c.set("started", Date.now());
  await next();
  c.header("x-app", c.env.APP);
});
app.use("/books/*", cors());

app.get("/", (c) => c.text(`${c.env.APP} holds ${kv.collection("books").list().keys.length} books`));

app.get("/books", (c) => {
  const wanted = c.req.query("title")?.toLowerCase() ?? "";
  const { entries } = kv.collection("books").entries();
  return c.json(entries.filter((e: any) => e.value.title.toLowerCase().includes(wanted)).map((e: any) => ({ id: e.key, ...e.value })));
});

app.get("/books/:id{[a-z0-9-]+}", (c) => {
  const book = kv.collection("books").get(c.req.param("id")) as Book | undefined;
  if (book === undefined) throw new HTTPException(404, { message: "no such book" });
  return c.json(book);
});

app.put("/books/:id{[a-z0-9-]+}", async (c) => {
  const { title, read = false } = await c.req.json<Partial<Book>>();
  if (!title) return c.json({ error: "a book has a title" }, 400);
  const isNew = !kv.collection("books").has(c.req.param("id"));
  kv.collection("books").set(c.req.param("id"), { title, read });
  c.executionCtx.waitUntil(count(isNew));
  return c.json({ title, read }, isNew ? 201 : 200);
});

app.post("/notes", async (c) => {
  const form = await c.req.parseBody();
  return c.json({ note: form.note, length: String(form.note).length });
});

async function count(isNew: boolean) {
  if (isNew) kv.collection("numbers").increment("books");
}

app.notFound((c) => c.text(`nothing at ${new URL(c.req.url).pathname}`, 404));

export default app;
