// Every page: what axe-core finds in it, light and dark, and a picture of each for people,
// also as wide as a phone.
import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { eventually, launch, login, PiCloud, visit } from './picloud.js';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const pictures = new URL('../.screenshots/', import.meta.url);

let browser, picloud, client, app, scripts, letter, execution;

before(async () => {
  await mkdir(pictures, { recursive: true });
  browser = await launch();
  picloud = await PiCloud.start({ PICLOUD_TRIGGER_RETRY_BASE_MS: '20' });
  client = await picloud.setup();
  await furnish();
});
after(async () => {
  await browser?.close();
  await picloud?.end();
});

/** An instance that somebody has lived in. */
async function furnish() {
  app = (await client.get('/apps')).items.find((a) => a.slug === 'default');
  await client.post('/apps', { slug: 'greenhouse', name: 'Greenhouse', description: 'Waters the tomatoes when the sensors say so.' });
  const sources = {
    'place-order': `export default function (ctx) {
  const orders = kv.collection("orders");
  const id = "2026-" + orders.increment("count");
  orders.set(id, { item: ctx.request.query.item ?? "tea", paid: false });
  log.info("order placed", { id });
  return { id };
}
`,
    'send-receipt': `export default function (ctx) {
  const { key, value } = ctx.event.kv;
  log.info("receipt for", { key });
  if (!value.address) throw new Error("order " + key + " has no address to send to");
}
`,
  };
  scripts = {};
  for (const [name, source] of Object.entries(sources)) scripts[name] = await client.post(`/apps/${app.id}/scripts`, { name, source });
  await client.post(`/scripts/${scripts['place-order'].id}/routes`, {
    host_kind: 'any',
    path_kind: 'exact',
    path: '/orders',
    method: 'GET',
    dispatch_mode: 'sync',
  });
  await client.post(`/scripts/${scripts['place-order'].id}/routes`, {
    host_kind: 'any',
    path_kind: 'param',
    path: '/orders/:id/again',
    method: 'POST',
    dispatch_mode: 'async',
  });
  await client.post(`/apps/${app.id}/triggers/kv`, { script_id: scripts['send-receipt'].id, collection_glob: 'orders', ops: ['insert'] });
  await client.post(`/apps/${app.id}/triggers/dead_letter`, { script_id: scripts['place-order'].id, source_filter: 'http' });
  await client.patch(`/scripts/${scripts['send-receipt'].id}`, { source: sources['send-receipt'].replace('receipt for', 'writing the receipt for') });
  // This one waits long for its second attempt, so that the outbox isn't empty.
  await client.post(`/apps/${app.id}/triggers/kv`, {
    script_id: scripts['send-receipt'].id,
    collection_glob: 'parcels',
    ops: [],
    retry_base_ms: 600_000,
  });
  await client.put(`/apps/${app.id}/kv/parcels/first`, { value: { weight: 2 } });
  await client.post(`/apps/${app.id}/triggers/cron`, {
    script_id: scripts['place-order'].id,
    schedule: '0 7 * * 1-5',
    timezone: 'Europe/Berlin',
    catch_up: 'last',
  });
  await client.post(`/apps/${app.id}/triggers/pubsub`, { script_id: scripts['place-order'].id, topic: 'weather/*' });
  await client.post(`/apps/${app.id}/triggers/queue`, { script_id: scripts['send-receipt'].id, queue: 'parcels', batch_size: 5 });
  await client.post(`/apps/${app.id}/queues/parcels/pause`, {});
  await client.post(`/apps/${app.id}/queues/parcels/messages`, { message: { to: 'Ann', weight: 2 }, key: 'Ann' });
  await client.put(`/apps/${app.id}/topics/weather`, { external_subscribable: true, auth_mode: 'public' });
  await client.put(`/apps/${app.id}/topics/orders`, { external_subscribable: true, auth_mode: 'token' });
  await client.put(`/apps/${app.id}/secrets/SMTP_PASSWORD`, { value: 'correct horse' });
  await client.put(`/apps/${app.id}/outbound`, { allow: ['192.168.1.20'] });
  scripts.prices = await client.post(`/apps/${app.id}/scripts`, {
    name: 'prices',
    kind: 'module',
    source: 'export const prices = { tea: 3, coffee: 4 };\n',
  });
  const project = { functions: [{ name: 'watered', source: 'export default () => "yes"' }] };
  const deployed = (await client.get('/apps')).items.find((a) => a.slug === 'greenhouse');
  for (const answer of ['yes', 'no']) {
    project.functions[0].source = `export default () => "${answer}"`;
    await client.post(`/apps/${deployed.id}/deploy`, project);
  }
  const grace = await client.post('/admins', { username: 'grace', password: 'nanoseconds are short', instance_role: 'member' });
  await client.put(`/apps/${app.id}/members/${grace.id}`, { role: 'editor' });
  await client.post(`/apps/${app.id}/domains`, { host: 'shop.example.org', kind: 'exact' });
  await client.post('/api-keys', { name: 'nightly backup', scopes: ['script:read', 'log:read'] });
  for (let i = 0; i < 24; i++) {
    const answer = await fetch(picloud.origin + (i % 3 ? '/hello' : '/orders?item=coffee'));
    await answer.arrayBuffer();
    if (i === 0) execution = answer.headers.get('x-picloud-execution-id');
  }
  letter = await eventually('a dead letter', async () => (await client.get(`/apps/${app.id}/dead_letters?unresolved=true`)).dead_letters[0]);
}

const pages = () => ({
  apps: '/',
  tour: '/tour',
  users: '/users',
  keys: '/keys',
  system: '/system',
  audit: '/audit',
  account: '/account',
  overview: '/apps/default',
  functions: '/apps/default/functions',
  function: `/apps/default/functions/${scripts['place-order'].id}`,
  versions: `/apps/default/functions/${scripts['send-receipt'].id}/versions`,
  limits: `/apps/default/functions/${scripts['place-order'].id}/settings`,
  routes: '/apps/default/routes',
  triggers: '/apps/default/triggers',
  data: '/apps/default/data/orders',
  module: `/apps/default/functions/${scripts.prices.id}`,
  queues: '/apps/default/queues',
  queue: '/apps/default/queues/parcels',
  topics: '/apps/default/topics',
  secrets: '/apps/default/secrets',
  deployments: '/apps/greenhouse/deployments',
  outbox: '/apps/default/outbox',
  'dead-letters': '/apps/default/dead-letters',
  'dead-letter': `/apps/default/dead-letters/${letter.id}`,
  executions: '/apps/default/executions',
  execution: `/apps/default/executions/${execution}`,
  failure: `/apps/default/executions/${letter.attempts[0].execution_id}`,
  members: '/apps/default/members',
  domains: '/apps/default/domains',
  'app-audit': '/apps/default/audit',
  settings: '/apps/default/settings',
  'empty-functions': '/apps/greenhouse/functions',
  'empty-data': '/apps/greenhouse/data',
  'empty-queues': '/apps/greenhouse/queues',
  'empty-topics': '/apps/greenhouse/topics',
  'empty-secrets': '/apps/greenhouse/secrets',
  missing: '/nowhere',
});

const looks = {
  light: { colorScheme: 'light' },
  dark: { colorScheme: 'dark' },
  phone: { colorScheme: 'light', viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
};

async function settled(page) {
  await page.getByRole('heading', { level: 1 }).first().waitFor();
  await page.waitForFunction(() => !document.querySelector('[aria-label="Loading"]'));
}

async function serious(page) {
  if (!(await page.evaluate('typeof window.axe === "object"'))) await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  return violations
    .filter((v) => v.impact === 'serious' || v.impact === 'critical')
    .map(
      (v) =>
        `${v.id}: ${v.help}\n` +
        v.nodes
          .slice(0, 3)
          .map((n) => `    ${n.html.slice(0, 200)}\n    ${n.any.map((a) => a.message).join('; ')}`)
          .join('\n'),
    );
}

for (const [look, options] of Object.entries(looks)) {
  test(`every page, ${look}`, async () => {
    const page = await visit(browser, picloud, { ...options, bypassCSP: true, reducedMotion: 'reduce' });
    const found = [];
    const see = async (name) => {
      await settled(page);
      await page.screenshot({ path: new URL(`${name}-${look}.png`, pictures).pathname, fullPage: true });
      if (look !== 'phone') for (const v of await serious(page)) found.push(`${name}: ${v}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (wide > 0) found.push(`${name}: ${wide}px wider than the screen`);
    };
    await page.goto('/admin/login');
    await see('login');
    await login(page);
    for (const [name, path] of Object.entries(pages())) {
      await page.goto('/admin' + path);
      await see(name);
    }
    assert.deepEqual(found, [], found.join('\n'));
    page.assertCalm();
    await page.context().close();
  });
}

test('the policy of the server lets the dashboard and its editor work', async () => {
  const page = await visit(browser, picloud);
  const refused = [];
  await page.exposeFunction('refused', (what) => refused.push(what));
  await page.addInitScript(() =>
    document.addEventListener('securitypolicyviolation', (e) => window.refused(`${e.violatedDirective}: ${e.blockedURI} ${e.sample}`)),
  );
  await login(page);
  const answer = await page.goto(`/admin/apps/default/functions/${scripts['place-order'].id}`);
  assert.match(answer.headers()['content-security-policy'] ?? '', /default-src 'none'/);
  await page.locator('.cm-line').first().waitFor();
  const family = await page.locator('.cm-scroller').evaluate((e) => getComputedStyle(e).fontFamily);
  assert.match(family, /mono/i, 'the styles of the editor are there');
  assert.deepEqual(refused, []);
  page.assertCalm();
  await page.context().close();
});

test('everything can be reached and done with the keyboard', async () => {
  const page = await visit(browser, picloud);
  await login(page);
  await page.goto('/admin/apps/default/dead-letters');
  await settled(page);
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the content');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  // The first things of the page are its filters; each shows that it has the focus.
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), 'Which');
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.equal(outline, 'solid');

  await page.getByLabel('Select all').focus();
  await page.keyboard.press('Space');
  await page.getByRole('button', { name: 'Mark resolved' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.equal(await page.evaluate(() => document.activeElement.textContent.trim()), 'Mark resolved', 'the focus is back where it was');
  page.assertCalm();
  await page.context().close();
});
