// Writes what the sources take from the binary: the types of the admin API, made from the
// schemas of its OpenAPI document, and picloud.d.ts, which the editor completes from. With --check it only
// tells whether the committed files are in step.
import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import openapi, { astToString } from 'openapi-typescript';
import { PiCloud } from '../e2e/picloud.js';

const check = process.argv.includes('--check');

async function keep(path, text) {
  const file = new URL('../' + path, import.meta.url);
  const before = await readFile(file, 'utf8').catch(() => '');
  if (before === text) return;
  if (!check) return writeFile(file, text);
  console.error(`static/${path} is not what the binary says: run npm run types in static`);
  process.exitCode = 1;
}

const picloud = await PiCloud.start();
try {
  const document = await (await fetch(picloud.origin + '/api/v1/openapi.json')).json();
  const ast = await openapi({ ...document, paths: {} }, { alphabetize: true });
  await keep('src/api/schema.d.ts', '// Made by tools/types.js from the OpenAPI document of the admin API.\n\n' + astToString(ast));
} finally {
  await picloud.end();
}
await keep('src/editor/picloud.d.ts', execFileSync(process.env.PICLOUD_BIN, ['types'], { encoding: 'utf8' }));
