// What people do with the dashboard, from the first start on.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually, fillLogin, launch, login, owner, PiCloud, type, visit } from './picloud.js';

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

describe('first run', () => {
  let picloud;
  before(async () => (picloud = await PiCloud.start()));
  after(() => picloud?.end());

  test('from the setup link to an edited function that answers', async () => {
    const page = await visit(browser, picloud);
    await page.goto('/admin/');
    await page.getByRole('heading', { name: 'Welcome to PiCloud' }).waitFor();

    await page.goto('/admin/setup?token=' + picloud.setupToken);
    await page.getByLabel('User name').fill(owner.username);
    await page.getByLabel('Password', { exact: true }).fill(owner.password);
    await page.getByLabel('Password again').fill(owner.password);
    await page.getByRole('button', { name: 'Create the owner' }).click();

    await page.getByRole('heading', { name: 'Your first function' }).waitFor();
    await page.getByRole('button', { name: 'Next' }).click();
    await page.getByRole('heading', { name: 'Change it' }).waitFor();
    await type(page, 'Source of hello', 'export default function () {\n  return { greeting: "from the tour" };\n}\n');
    await page.getByRole('button', { name: 'Save and go on' }).click();
    await page.getByRole('button', { name: 'Call it' }).click();
    await page.getByRole('region', { name: 'answer' }).getByText('from the tour').waitFor();

    assert.deepEqual(await (await fetch(picloud.origin + '/hello')).json(), { greeting: 'from the tour' });
    await page.getByRole('link', { name: 'Open the function' }).click();
    await page.getByText('version 2').waitFor();
    page.assertCalm();
    await page.context().close();
  });

  test('the setup link works only once', async () => {
    const page = await visit(browser, picloud);
    await page.goto('/admin/setup?token=anything');
    await page.getByRole('heading', { name: 'Already set up' }).waitFor();
    page.assertCalm();
    await page.context().close();
  });
});

describe('with an owner', () => {
  let picloud, client, app, hello;
  before(async () => {
    picloud = await PiCloud.start({ PICLOUD_TRIGGER_RETRY_BASE_MS: '20' });
    client = await picloud.setup();
    app = (await client.get('/apps')).items.find((a) => a.slug === 'default');
    hello = (await client.get(`/apps/${app.id}/scripts`)).items.find((s) => s.name === 'hello');
  });
  after(() => picloud?.end());

  test('an error in the source is shown at its line, and saves and rollbacks are versions', async () => {
    const page = await visit(browser, picloud);
    await login(page);
    await page.goto(`/admin/apps/default/functions/${hello.id}`);
    await type(page, 'Source of hello', 'export default function () {\n  return 1;\n}\nconst = 2;\n');
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await page
      .getByRole('alert')
      .getByText(/line 4/i)
      .waitFor();
    await page.locator('.cm-lint-marker-error').waitFor();

    await type(
      page,
      'Source of hello',
      'export default function (ctx) {\n  log.info("asked", { path: ctx.request.path });\n  return { edited: true };\n}\n',
    );
    await page.keyboard.press('ControlOrMeta+s');
    await page.getByText('Saved as version 2').waitFor();

    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await page.getByRole('region', { name: 'answer' }).getByText('"edited": true').waitFor();
    await page.getByRole('region', { name: 'Log lines' }).getByText('asked').waitFor();

    await page.getByRole('link', { name: 'Versions' }).click();
    await page.getByRole('button', { name: 'Version 1' }).click();
    await page.getByRole('button', { name: 'Go back to it' }).click();
    await page.getByRole('button', { name: 'Go back', exact: true }).click();
    await page.getByText('Version 1 is back, as version 3').waitFor();
    page.assertCalm();
    await page.context().close();
  });

  test('the editor completes the names of the SDK', async () => {
    const page = await visit(browser, picloud);
    await login(page);
    await page.goto(`/admin/apps/default/functions/${hello.id}`);
    await type(page, 'Source of hello', 'const visits = kv.collection("visits");\n');
    await page.keyboard.type('visits.incr');
    await page.locator('.cm-tooltip-autocomplete').getByText('increment').waitFor();
    page.assertCalm();
    await page.context().close();
  });

  test('unsaved code outlives the end of a session, which leads back to where one was', async () => {
    const page = await visit(browser, picloud);
    await login(page);
    const here = `/admin/apps/default/functions/${hello.id}`;
    await page.goto(here);
    await type(page, 'Source of hello', '// typed, not saved\nexport default () => 1;\n');
    await page.getByText('not saved', { exact: true }).waitFor();
    await page.context().clearCookies();
    await page.getByRole('button', { name: 'Save', exact: true }).click();

    await page.getByText('Log in to go on where you were.').waitFor();
    await fillLogin(page);
    await page.waitForURL((url) => url.pathname === here);
    await page.getByText('These are your changes from before').waitFor();
    await page.getByRole('textbox', { name: 'Source of hello' }).getByText('// typed, not saved').waitFor();
    await page.getByRole('button', { name: 'Discard them' }).click();
    page.assertCalm();
    await page.context().close();
  });

  test('a dead letter: the badge appears; read, replay, resolve; the badge is gone', async () => {
    const bad = await client.post(`/apps/${app.id}/scripts`, {
      name: 'always-fails',
      source: 'export default function () {\n  throw new Error("the printer is on fire");\n}\n',
    });
    const writer = await client.post(`/apps/${app.id}/scripts`, {
      name: 'writer',
      source: 'export default function () {\n  kv.collection("orders").set("one", { total: 12 });\n  return "ok";\n}\n',
    });
    await client.post(`/scripts/${writer.id}/routes`, { host_kind: 'any', path_kind: 'exact', path: '/order', dispatch_mode: 'sync' });
    await client.post(`/apps/${app.id}/triggers/kv`, { script_id: bad.id, collection_glob: 'orders', ops: [] });

    const page = await visit(browser, picloud);
    await login(page);
    const nav = page.getByRole('navigation', { name: 'App', exact: true });
    await page.goto('/admin/apps/default');
    await page.getByText('What needs attention').waitFor();
    assert.equal((await fetch(picloud.origin + '/order')).status, 200);

    await nav.getByLabel('1 unresolved').waitFor({ timeout: 20_000 });
    await nav.getByRole('link', { name: /Dead letters/ }).click();
    await page.getByRole('link', { name: 'kv insert' }).click();
    await page.getByRole('heading', { name: 'the printer is on fire' }).waitFor();
    await page.getByRole('region', { name: 'payload' }).getByText('"total": 12').waitFor();
    assert.equal(await page.getByRole('cell', { name: /the printer is on fire/ }).count(), 3, 'one row for each attempt');

    await page.getByRole('button', { name: 'Replay' }).click();
    await page.getByText('Replayed: the event is in the outbox again').waitFor();
    // It fails again, into a new letter.
    await eventually('a second letter', async () => {
      const { dead_letters: open } = await client.get(`/apps/${app.id}/dead_letters?unresolved=true`);
      return open.length === 1;
    });
    await nav.getByRole('link', { name: /Dead letters/ }).click();
    await page.getByRole('link', { name: 'kv insert' }).click();
    await page.getByRole('button', { name: 'Mark resolved' }).click();
    await page.getByLabel('Reason').fill('no printer');
    await page.getByRole('dialog').getByRole('button', { name: 'Mark resolved' }).click();
    await page.getByText(/no printer/).waitFor();
    await nav.getByLabel(/unresolved/).waitFor({ state: 'detached' });
    assert.equal((await client.get(`/apps/${app.id}/dead_letters/count`)).unresolved, 0);
    page.assertCalm();
    await page.context().close();
  });

  test('many dead letters are resolved at once', async () => {
    for (let i = 0; i < 3; i++) assert.equal((await fetch(picloud.origin + '/order')).status, 200);
    await eventually('three letters', async () => (await client.get(`/apps/${app.id}/dead_letters/count`)).unresolved === 3);
    const page = await visit(browser, picloud);
    await login(page);
    await page.goto('/admin/apps/default/dead-letters');
    await page.getByLabel('Select all').check();
    await page.getByText('3 selected').waitFor();
    await page.getByRole('button', { name: 'Mark resolved' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Mark resolved' }).click();
    await page.getByText('No unresolved dead letters').waitFor();
    page.assertCalm();
    await page.context().close();
  });

  test('the live tail shows a request that curl makes, and an error leads to its line', async () => {
    const page = await visit(browser, picloud);
    await login(page);
    const thrower = await client.post(`/apps/${app.id}/scripts`, {
      name: 'thrower',
      source: 'export default function () {\n  log.info("before");\n  throw new Error("no such moon");\n}\n',
    });
    await client.post(`/scripts/${thrower.id}/routes`, { host_kind: 'any', path_kind: 'exact', path: '/moon', dispatch_mode: 'sync' });
    await page.goto('/admin/apps/default/executions');
    await page.getByRole('button', { name: 'Live' }).waitFor();
    assert.equal((await fetch(picloud.origin + '/moon')).status, 502);
    const row = page.getByRole('row').filter({ hasText: 'no such moon' });
    await row.waitFor();
    await row.getByRole('link', { name: /^…/ }).click();
    await page.getByRole('heading', { name: /no such moon/ }).waitFor();
    await page.getByRole('region', { name: 'Log lines' }).getByText('before').waitFor();
    await page.getByRole('link', { name: /line 3, column/ }).click();
    await page.locator('.cm-pointed').getByText('no such moon').waitFor();
    page.assertCalm();
    await page.context().close();
  });

  test('the cause chain is a tree from the request to the handler', async () => {
    const page = await visit(browser, picloud);
    await login(page);
    const answer = await fetch(picloud.origin + '/order');
    const id = answer.headers.get('x-picloud-execution-id');
    await eventually('the handler', async () => JSON.stringify(await client.get(`/executions/${id}/chain`)).includes('the printer is on fire'));
    await page.goto(`/admin/apps/default/executions/${id}`);
    await page.getByRole('listitem').filter({ hasText: 'always-fails' }).first().waitFor();
    page.assertCalm();
    await page.context().close();
  });

  test('routes: made, tested, and a clash is explained', async () => {
    const page = await visit(browser, picloud);
    await login(page);
    await page.goto('/admin/apps/default/routes');
    for (const again of [false, true]) {
      await page.getByRole('button', { name: 'Create a route' }).click();
      const dialog = page.getByRole('dialog');
      await dialog.getByLabel('Function').selectOption({ label: 'hello' });
      await dialog.getByLabel('Method').selectOption('GET');
      await dialog.getByLabel('Path', { exact: true }).fill('/users/:id');
      await dialog.getByRole('button', { name: 'Create' }).click();
      if (!again) await page.getByText('The route is live').waitFor();
      else await dialog.getByText('Two routes may not take the same requests').waitFor();
    }
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByLabel('Path').fill('/users/42');
    await page.getByRole('button', { name: 'Try' }).click();
    await page.getByText('params.id = "42"').waitFor();
    page.assertCalm();
    await page.context().close();
  });

  test('data: a key is written, found by its beginning, changed and deleted', async () => {
    const page = await visit(browser, picloud);
    await login(page);
    await page.goto('/admin/apps/default/data');
    await page.getByRole('button', { name: 'Create a collection' }).first().click();
    await page.getByLabel('Name').fill('notes');
    await page.getByRole('button', { name: 'Next' }).click();
    await page.getByLabel('Key', { exact: true }).fill('a/first');
    await type(page, 'Value, as JSON', '{"text": "hi"}');
    await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
    await page.getByRole('button', { name: 'a/first', exact: true }).waitFor();
    assert.deepEqual((await client.get(`/apps/${app.id}/kv/notes/a%2Ffirst`)).value, { text: 'hi' });

    await page.getByLabel('Keys that begin with').fill('zzz');
    await page.getByText('No key begins like this').waitFor();
    await page.getByRole('button', { name: 'Show all keys' }).click();
    await page.getByRole('button', { name: 'Delete a/first' }).click();
    await page.getByRole('button', { name: 'Delete the key' }).click();
    await page.getByText('The key is deleted').waitFor();
    page.assertCalm();
    await page.context().close();
  });

  test('a schedule is made and run now', async () => {
    const page = await visit(browser, picloud);
    await login(page);
    await page.goto('/admin/apps/default/triggers');
    await page.getByRole('button', { name: 'Create a trigger' }).first().click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('When').selectOption({ label: 'The time comes' });
    await dialog.getByLabel('Run the function').selectOption({ label: 'hello' });
    await dialog.getByLabel('Schedule').fill('61 * * * *');
    await dialog.getByRole('button', { name: 'Create' }).click();
    await dialog.getByRole('alert').waitFor();
    await dialog.getByLabel('Schedule').fill('0 4 1 1 *');
    await dialog.getByLabel('Time zone').fill('Europe/Berlin');
    await dialog.getByRole('button', { name: 'Create' }).click();
    await page.getByText('The trigger is on').waitFor();
    const row = page.getByRole('row').filter({ hasText: '0 4 1 1 *, Europe/Berlin' });
    await row.getByText('next').waitFor();
    await row.getByRole('button', { name: 'Run hello now' }).click();
    await page.getByText('It runs').waitFor();
    await eventually('the run', async () => (await client.get(`/apps/${app.id}/executions?source=cron`)).items.length > 0);
    page.assertCalm();
    await page.context().close();
  });

  test('a queue is paused, holds what is sent, and goes on', async () => {
    const taker = await client.post(`/apps/${app.id}/scripts`, {
      name: 'taker',
      source: 'export default (ctx) => kv.collection("taken").set("last", ctx.event.queue.messages[0].body)',
    });
    await client.post(`/apps/${app.id}/triggers/queue`, { script_id: taker.id, queue: 'parcels' });
    const page = await visit(browser, picloud);
    await login(page);
    await page.goto('/admin/apps/default/queues');
    await page.getByRole('button', { name: 'Pause parcels' }).click();
    await page.getByText('parcels is paused').waitFor();
    await page.getByRole('button', { name: 'Send a message' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Queue').fill('parcels');
    await dialog.getByLabel('Message (JSON)').fill('{"weight": 2}');
    await dialog.getByRole('button', { name: 'Send' }).click();
    await page.getByText('The message is in the queue').waitFor();
    await page.getByRole('link', { name: 'parcels', exact: true }).click();
    await page.getByText('"weight": 2').waitFor();
    await page.getByRole('button', { name: 'Resume parcels' }).click();
    await eventually('the message', async () => (await client.get(`/apps/${app.id}/kv/taken/last`)).value.weight === 2);
    page.assertCalm();
    await page.context().close();
  });

  test('the system page says who wears the card', async () => {
    await client.put(`/apps/${app.id}/kv/worn/block`, { value: 'x'.repeat(5000) });
    const page = await visit(browser, picloud);
    await login(page);
    await page.goto('/admin/system');
    const table = page.getByRole('table', { name: 'Card wear by cause' });
    for (const who of ['default', 'platform']) await table.getByRole('row', { name: new RegExp(`^${who} [\\d.]+ [KM]iB `) }).waitFor();
    page.assertCalm();
    await page.context().close();
  });

  test('a topic is registered and listened to', async () => {
    const page = await visit(browser, picloud);
    await login(page);
    await page.goto('/admin/apps/default/topics');
    await page.getByRole('button', { name: 'Register a topic' }).first().click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Topic').fill('weather');
    await dialog.getByLabel('Who may subscribe').selectOption({ label: 'Anybody' });
    await dialog.getByRole('button', { name: 'Save' }).click();
    await page.getByText('The topic can be subscribed to').waitFor();
    await page.getByRole('button', { name: 'Listen' }).click();
    await page.getByText('listening', { exact: true }).waitFor();
    await client.post(`/apps/${app.id}/topics/weather/messages`, { message: { sky: 'clear' } });
    await page.getByRole('dialog').getByText('"sky":"clear"').waitFor();
    page.assertCalm();
    await page.context().close();
  });

  test('a secret is set, and never shown again', async () => {
    const page = await visit(browser, picloud);
    await login(page);
    await page.goto('/admin/apps/default/secrets');
    await page.getByRole('button', { name: 'Add a secret' }).first().click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Name').fill('SMTP_PASSWORD');
    await dialog.getByLabel('Value').fill('a very secret thing');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await page.getByText('The secret is kept').waitFor();
    await page.getByRole('cell', { name: 'SMTP_PASSWORD', exact: true }).waitFor();
    assert.equal(await page.getByText('a very secret thing').count(), 0);
    await page.getByRole('button', { name: 'Set SMTP_PASSWORD anew' }).click();
    assert.equal(await page.getByLabel('Value').inputValue(), '');
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('button', { name: 'Delete SMTP_PASSWORD' }).click();
    await page.getByRole('button', { name: 'Delete the secret' }).click();
    await page.getByText('SMTP_PASSWORD is deleted').waitFor();
    page.assertCalm();
    await page.context().close();
  });

  test('a deployment is taken back', async () => {
    for (const answer of ['one', 'two'])
      await client.post(`/apps/${app.id}/deploy`, { functions: [{ name: 'deployed', source: `export default () => "${answer}"` }] });
    const page = await visit(browser, picloud);
    await login(page);
    await page.goto('/admin/apps/default/deployments');
    await page.getByRole('button', { name: 'Go back to 1' }).click();
    await page.getByRole('dialog').getByText('deployed').waitFor();
    await page.getByRole('dialog').getByRole('button', { name: 'Go back', exact: true }).click();
    await page.getByText('The app is as deployment 1 left it').waitFor();
    const deployed = (await client.get(`/apps/${app.id}/scripts`)).items.find((s) => s.name === 'deployed');
    assert.match(deployed.source, /"one"/);
    page.assertCalm();
    await page.context().close();
  });

  test('a viewer sees no write controls, and the server refuses them anyway', async () => {
    const who = { username: 'vera', password: 'only here to look at' };
    const vera = await client.post('/admins', { ...who, instance_role: 'member' });
    await client.put(`/apps/${app.id}/members/${vera.id}`, { role: 'viewer' });
    const page = await visit(browser, picloud);
    await login(page, who);
    assert.equal(await page.getByRole('button', { name: 'Create an app' }).count(), 0);
    await page.goto(`/admin/apps/default/functions/${hello.id}`);
    await page.getByRole('textbox', { name: 'Source of hello' }).waitFor();
    for (const name of ['Save', 'Run', 'Save and run']) assert.equal(await page.getByRole('button', { name, exact: true }).count(), 0, name);
    const nav = page.getByRole('navigation', { name: 'App', exact: true });
    for (const name of ['Triggers', 'Topics', 'Secrets', 'Deployments', 'Dead letters', 'Outbox', 'Members', 'Settings'])
      assert.equal(await nav.getByRole('link', { name }).count(), 0, name);
    for (const [where, name] of [
      ['functions', 'Create a function'],
      ['routes', 'Create a route'],
      ['data', 'Create a collection'],
    ]) {
      await page.goto('/admin/apps/default/' + where);
      await page.getByRole('heading', { level: 1 }).waitFor();
      assert.equal(await page.getByRole('button', { name }).count(), 0, name);
    }

    const viewer = await picloud.client(who);
    assert.equal((await viewer.send('PATCH', `/scripts/${hello.id}`, { source: 'export default () => 2' })).status, 403);
    assert.equal((await viewer.send('PUT', `/apps/${app.id}/kv/notes/x`, { value: 1 })).status, 403);
    assert.equal((await viewer.send('GET', `/apps/${app.id}/dead_letters`)).status, 403);
    page.assertCalm();
    await page.context().close();
  });

  test('a trigger is made, switched off and changed', async () => {
    const page = await visit(browser, picloud);
    await login(page);
    await page.goto('/admin/apps/default/triggers');
    await page.getByRole('button', { name: 'Create a trigger' }).first().click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Run the function').selectOption({ label: 'hello' });
    await dialog.getByLabel('Collections').fill('visits*');
    await dialog.getByLabel('insert').check();
    await dialog.getByRole('button', { name: 'Create' }).click();
    await page.getByText('The trigger is on').waitFor();
    const row = page.getByRole('row').filter({ hasText: 'insert in visits*' });
    await row.getByRole('switch').uncheck();
    const mine = async () => (await client.get(`/apps/${app.id}/triggers`)).triggers.find((t) => t.collection_glob === 'visits*');
    await eventually('switched off', async () => (await mine()).enabled === false);
    await row.getByRole('button', { name: /^Edit/ }).click();
    await dialog.getByLabel('Attempts').fill('7');
    await dialog.getByLabel('Waits grow').selectOption('linear');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await page.getByText('The trigger is saved').waitFor();
    const { retry_max_attempts, retry_backoff, ops } = await mine();
    assert.deepEqual({ retry_max_attempts, retry_backoff, ops }, { retry_max_attempts: 7, retry_backoff: 'linear', ops: ['insert'] });
    await row.getByRole('button', { name: /^Delete/ }).click();
    await page.getByRole('button', { name: 'Delete the trigger' }).last().click();
    await page.getByText('The trigger is deleted').waitFor();
    assert.equal(await mine(), undefined);
    page.assertCalm();
    await page.context().close();
  });

  test('a changed password ends the other sessions', async () => {
    const who = { username: 'paul', password: 'the first of passwords' };
    await client.post('/admins', { ...who, instance_role: 'admin' });
    const elsewhere = await picloud.client(who);
    const page = await visit(browser, picloud);
    await login(page, who);
    await page.goto('/admin/account');
    await page.getByLabel('Current password').fill(who.password);
    await page.getByLabel('New password', { exact: true }).fill('the second of passwords');
    await page.getByLabel('New password again').fill('the second of passwords');
    await page.getByRole('button', { name: 'Change it' }).click();
    await page.getByText('The password is changed').waitFor();
    assert.equal((await elsewhere.send('GET', '/auth/me')).status, 401);
    page.assertCalm();
    await page.context().close();
  });

  test('a chosen theme stays', async () => {
    const page = await visit(browser, picloud);
    await login(page);
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await background();
    await page.getByRole('button', { name: 'Dark', exact: true }).click();
    const dark = await background();
    assert.notEqual(dark, light);
    await page.reload();
    await page.getByRole('heading', { name: 'Apps', exact: true }).waitFor();
    assert.equal(await background(), dark);
    page.assertCalm();
    await page.context().close();
  });

  test('a key is shown once', async () => {
    const page = await visit(browser, picloud);
    await login(page);
    await page.goto('/admin/keys');
    await page.getByRole('button', { name: 'Create a key' }).first().click();
    await page.getByLabel('Name').fill('test');
    await page.getByLabel('script:read').check();
    await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click();
    const secret = await page.getByTestId('secret').textContent();
    assert.match(secret, /^pic_/);
    await page.getByRole('button', { name: 'I have copied it' }).click();
    await page.getByRole('cell', { name: 'test', exact: true }).waitFor();
    assert.ok(!(await page.content()).includes(secret));
    const answer = await fetch(picloud.origin + '/api/v1/admin/apps', { headers: { authorization: 'Bearer ' + secret } });
    assert.equal(answer.status, 200);
    page.assertCalm();
    await page.context().close();
  });

  test('a server that is away is said so, and the page goes on by itself', async () => {
    const page = await visit(browser, picloud);
    await login(page);
    await page.goto('/admin/apps/default/executions');
    await page.getByRole('button', { name: 'Live' }).waitFor();
    await picloud.kill();
    await page.getByText('PiCloud does not answer.').waitFor();
    await picloud.run();
    await page.getByText('PiCloud is back.').waitFor({ timeout: 20_000 });
    await page.getByRole('button', { name: 'Live' }).waitFor();
    await fetch(picloud.origin + '/hello?after=restart');
    await page.getByRole('row').filter({ hasText: '/hello' }).first().waitFor();
    page.assertCalm();
    await page.context().close();
  });

  test('an app is made, renamed and deleted with its name typed', async () => {
    const page = await visit(browser, picloud);
    await login(page);
    await page.getByRole('button', { name: 'Create an app' }).click();
    await page.getByLabel('Name').fill('My Shop');
    await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click();
    await page.waitForURL('**/admin/apps/my-shop');
    await page.getByRole('link', { name: 'Settings' }).click();
    await page.getByLabel('Slug').fill('shop');
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await page.waitForURL('**/admin/apps/shop/settings');
    await page.getByRole('button', { name: 'Delete the app' }).click();
    const dialog = page.getByRole('dialog');
    assert.ok(await dialog.getByRole('button', { name: 'Delete the app' }).isDisabled());
    await dialog.getByLabel('Type shop to confirm').fill('shop');
    await dialog.getByRole('button', { name: 'Delete the app' }).click();
    await page.getByRole('heading', { name: 'Apps', exact: true }).waitFor();
    assert.equal((await client.send('GET', '/apps/shop')).status, 404);
    page.assertCalm();
    await page.context().close();
  });
});
