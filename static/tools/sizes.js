// Prints what the dashboard weighs, and fails when the first load grows past its bound.
import { readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const firstLoadBound = 150 * 1024;
const laterBound = 220 * 1024;

const dist = new URL('../dist/', import.meta.url);
const index = readFileSync(new URL('index.html', dist), 'utf8');
let first = 0;
let later = 0;
for (const name of readdirSync(dist, { recursive: true, withFileTypes: true })
  .filter((e) => e.isFile())
  .map((e) => `${e.parentPath ?? e.path}/${e.name}`)
  .sort()) {
  const bytes = readFileSync(name);
  const size = gzipSync(bytes, { level: 9 }).length;
  const file = name.slice(dist.pathname.length).replace(/^\/+/, '');
  const atOnce = file === 'index.html' || index.includes(file);
  if (atOnce) first += size;
  else later += size;
  console.log(`${String(bytes.length).padStart(8)} ${String(size).padStart(8)} gz  ${atOnce ? 'first load' : 'on demand '}  ${file}`);
}
console.log(`first load ${first} bytes compressed (at most ${firstLoadBound}), on demand ${later} (at most ${laterBound})`);
if (first > firstLoadBound || later > laterBound) process.exit(1);
