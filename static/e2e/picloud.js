// The real binary with a data directory of its own, and a browser to look at it.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const binary = process.env.PICLOUD_BIN;
if (!binary) throw new Error('PICLOUD_BIN: want the path of the picloud binary that is to be tested');

export const owner = { username: 'ada', password: 'a long enough passphrase' };

async function freePort() {
  const server = createServer();
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

/** One instance. Its process can be stopped and started again on the same data and port. */
export class PiCloud {
  static async start(env = {}) {
    const p = new PiCloud();
    p.dir = await mkdtemp(join(tmpdir(), 'picloud-e2e-'));
    p.port = await freePort();
    p.origin = `http://127.0.0.1:${p.port}`;
    p.env = env;
    await p.run();
    return p;
  }

  async run() {
    this.log = '';
    this.process = spawn(binary, ['serve', '--data-dir', this.dir, '--listen', `127.0.0.1:${this.port}`], {
      env: { ...process.env, PICLOUD_DURABILITY: 'relaxed', ...this.env },
    });
    this.exited = new Promise((done) => this.process.once('exit', done));
    for (const stream of [this.process.stdout, this.process.stderr]) stream.on('data', (chunk) => (this.log += chunk));
    for (const until = Date.now() + 20_000; Date.now() < until;) {
      if (this.process.exitCode !== null) break;
      try {
        if ((await fetch(this.origin + '/readyz')).ok) return;
      } catch {
        // Not listening yet.
      }
      await new Promise((again) => setTimeout(again, 50));
    }
    throw new Error('picloud did not start:\n' + this.log);
  }

  /** The setup link that the first start printed. */
  get setupToken() {
    const found = /\/admin\/setup\?token=([\w.~%-]+)/.exec(this.log);
    if (!found) throw new Error('no setup link in the log:\n' + this.log);
    return found[1];
  }

  async kill() {
    this.process.kill('SIGTERM');
    await this.exited;
  }

  async end() {
    await this.kill();
    await rm(this.dir, { recursive: true, force: true });
  }

  /** A client of the admin API with a session of its own. */
  async client(who = owner) {
    const c = new Client(this.origin);
    await c.post('/auth/login', who);
    return c;
  }

  async setup(who = owner) {
    const c = new Client(this.origin);
    await c.post('/auth/setup', { token: this.setupToken, ...who });
    return c;
  }
}

/** Speaks to the admin API as a browser would: with a cookie and an origin. */
export class Client {
  cookie = '';

  constructor(origin) {
    this.origin = origin;
  }

  async send(method, path, body) {
    const answer = await fetch(this.origin + '/api/v1/admin' + path, {
      method,
      headers: { origin: this.origin, cookie: this.cookie, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    for (const c of answer.headers.getSetCookie()) this.cookie = c.split(';')[0];
    const text = await answer.text();
    return { status: answer.status, body: text ? JSON.parse(text) : undefined };
  }

  async must(method, path, body) {
    const answer = await this.send(method, path, body);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  get = (path) => this.must('GET', path);
  post = (path, body = {}) => this.must('POST', path, body);
  put = (path, body) => this.must('PUT', path, body);
  patch = (path, body) => this.must('PATCH', path, body);
}

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** A fresh browser profile on the dashboard. What the page complains about fails the test at assertCalm(). */
export async function visit(browser, picloud, options = {}) {
  const context = await browser.newContext({ baseURL: picloud.origin, viewport: { width: 1280, height: 860 }, colorScheme: 'light', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  const complaints = [];
  page.on('pageerror', (e) => complaints.push('exception: ' + (e.stack ?? e)));
  page.on('console', (m) => {
    // Answers such as 401 and a server that is away are part of the stories. When text in the
    // editor is replaced at once, Chromium tries to keep its look by a style attribute.
    if (m.type() === 'error' && !/Failed to load resource|ERR_|Applying inline style/.test(m.text())) complaints.push(m.text());
  });
  page.on('request', (r) => {
    const url = new URL(r.url());
    if (url.origin !== picloud.origin && url.protocol !== 'data:' && url.protocol !== 'blob:') complaints.push('request to another host: ' + r.url());
  });
  page.assertCalm = () => {
    if (complaints.length) throw new Error('the page complained:\n' + complaints.join('\n'));
  };
  return page;
}

export async function login(page, who = owner) {
  await page.goto('/admin/login');
  await fillLogin(page, who);
  await page.getByRole('heading', { name: 'Apps', exact: true }).waitFor();
}

export async function fillLogin(page, who = owner) {
  await page.getByLabel('User name').fill(who.username);
  await page.getByLabel('Password').fill(who.password);
  await page.getByRole('button', { name: 'Log in' }).click();
}

/** Replaces everything in the code editor. */
export async function type(page, label, text) {
  const editor = page.getByRole('textbox', { name: label });
  await editor.click();
  await page.keyboard.press('ControlOrMeta+A');
  await page.keyboard.insertText(text);
}

/** Waits until f answers something true, and gives that. What f throws, such as a 404 of what isn't there yet, is told at the end only. */
export async function eventually(what, f, ms = 15_000) {
  let cause;
  for (const until = Date.now() + ms; Date.now() < until;) {
    try {
      const value = await f();
      if (value) return value;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    await new Promise((again) => setTimeout(again, 100));
  }
  throw new Error(`${what}: not within ${ms} ms`, { cause });
}
