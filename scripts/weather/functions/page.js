const html = `<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Weather station</title>
<style>
  body { font: 1rem system-ui, sans-serif; margin: 2rem auto; max-width: 32rem; padding: 0 1rem; }
  #now { font-size: 4rem; margin: 0; }
  td { padding: 0.2rem 1rem 0.2rem 0; }
</style>
<h1>Weather station</h1>
<p id="now">–</p>
<table id="list"></table>
<script>
  function show(r) {
    document.getElementById("now").textContent = r.temperature + " °C";
    const row = document.getElementById("list").insertRow(0);
    for (const text of [new Date(r.at).toLocaleString(), r.temperature + " °C", r.wind + " km/h"]) row.insertCell().textContent = text;
  }
  fetch("readings").then((r) => r.json()).then((all) => {
    all.reverse().forEach(show);
    new EventSource("realtime/topics/weather").onmessage = (e) => show(JSON.parse(e.data).message);
  });
</script>`;

export default () => ({ statusCode: 200, headers: { "content-type": "text/html; charset=utf-8" }, body: html });
