test("counts visits by name", () => {
  assert.equal(request("GET", "/hello/ann").body, { hello: "ann", visits: 1 });
  assert.equal(request("GET", "/hello/ann").body.visits, 2);
  assert.equal(request("GET", "/hello/bob").body.visits, 1);
  assert.equal(data.get("visits", "ann"), 2);
});
