const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto', style: 'short' });
const exactFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'long' });
const clockFormat = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3 });
const numbers = new Intl.NumberFormat();

const units: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['week', 604_800],
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
];

/** "3 min. ago", "in 2 days", "just now". */
export function ago(time: string, now: number): string {
  const seconds = (Date.parse(time) - now) / 1000;
  for (const [unit, size] of units) if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  if (Math.abs(seconds) < 5) return 'just now';
  return relative.format(Math.trunc(seconds), 'second');
}

export const exact = (time: string) => exactFormat.format(new Date(time));

export const clock = (time: string) => clockFormat.format(new Date(time));

export function duration(ms: number): string {
  if (ms < 1) return ms > 0 ? '<1 ms' : '0 ms';
  if (ms < 10) return ms.toFixed(1) + ' ms';
  if (ms < 1000) return Math.round(ms) + ' ms';
  if (ms < 60_000) return (ms / 1000).toFixed(ms < 10_000 ? 2 : 1) + ' s';
  return span(ms / 1000);
}

/** "3 d 4 h", "5 min 2 s". */
export function span(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return join(Math.floor(s / 60), 'min', s % 60, 's');
  if (s < 86_400) return join(Math.floor(s / 3600), 'h', Math.floor((s % 3600) / 60), 'min');
  return join(Math.floor(s / 86_400), 'd', Math.floor((s % 86_400) / 3600), 'h');
}

function join(a: number, unitA: string, b: number, unitB: string) {
  return b ? `${a} ${unitA} ${b} ${unitB}` : `${a} ${unitA}`;
}

export function bytes(n: number): string {
  if (n < 1024) return `${n} B`;
  const names = ['KiB', 'MiB', 'GiB', 'TiB'];
  let i = -1;
  do {
    n /= 1024;
    i++;
  } while (n >= 1024 && i < names.length - 1);
  return `${n < 10 ? n.toFixed(1) : Math.round(n)} ${names[i]}`;
}

export const number = (n: number) => numbers.format(n);

/** "1 key", "2 keys". */
export const count = (n: number, one: string, many = one + 's') => `${number(n)} ${n === 1 ? one : many}`;

export const json = (value: unknown) => JSON.stringify(value, null, 2) ?? 'undefined';

/** The part of an id that tells it from its neighbours: the random end. */
export const shortId = (id: string) => id.slice(-8);
