import { api, query } from '../api/http';
import type { Execution } from '../api/types';

/** What an app did in the last minutes, in buckets of equal length, oldest first. */
export interface Traffic {
  counts: number[];
  errors: number[];
  /** The median duration of each bucket in ms; 0 where nothing ran. */
  latency: number[];
  total: number;
  failed: number;
  perMinute: string;
  errorRate: string;
  median: number;
  p95: number;
  /** The time from which on everything is counted: later than asked for when there is much. */
  since: number;
  recent: Execution[];
}

const bad = new Set(['error', 'timeout', 'budget', 'conflict', 'dead']);

export const failed = (e: Execution) => bad.has(e.status);

interface Page {
  items: Execution[];
  next_cursor: string | null;
}

/** Reads up to pages x 200 executions; a busy app's window is shorter for it. */
export async function lastMinutes(app: string, minutes: number, pages: number, signal?: AbortSignal): Promise<Traffic> {
  const now = Date.now();
  const from = now - minutes * 60_000;
  const items: Execution[] = [];
  let cursor: string | null = null;
  let since = from;
  for (let i = 0; i < pages; i++) {
    const q: string = query({ limit: 200, since: new Date(from).toISOString(), cursor });
    const page: Page = await api.get<Page>(`/apps/${app}/executions${q}`, signal);
    items.push(...page.items);
    cursor = page.next_cursor;
    if (!cursor) break;
  }
  const oldest = items.at(-1)?.started_at;
  if (cursor && oldest) since = Date.parse(oldest);
  return summarize(items, since, now);
}

const buckets = 30;

export function summarize(items: Execution[], since: number, now: number): Traffic {
  const size = (now - since) / buckets || 1;
  const counts = Array<number>(buckets).fill(0);
  const errors = Array<number>(buckets).fill(0);
  const times: number[][] = Array.from({ length: buckets }, () => []);
  for (const e of items) {
    const i = Math.min(buckets - 1, Math.max(0, Math.floor((Date.parse(e.started_at ?? '') - since) / size)));
    if (Number.isNaN(i)) continue;
    counts[i]++;
    times[i].push(e.duration_ms);
    if (failed(e)) errors[i]++;
  }
  const allTimes = items.map((e) => e.duration_ms).sort((a, b) => a - b);
  const total = items.length;
  const bads = errors.reduce((a, b) => a + b, 0);
  const perMinute = total / ((now - since) / 60_000 || 1);
  return {
    counts,
    errors,
    latency: times.map((t) =>
      quantile(
        t.sort((a, b) => a - b),
        0.5,
      ),
    ),
    total,
    failed: bads,
    perMinute: perMinute >= 10 || perMinute === 0 ? perMinute.toFixed(0) : perMinute.toFixed(1),
    errorRate: total ? ((100 * bads) / total).toFixed(bads && bads < total ? 1 : 0) : '0',
    median: quantile(allTimes, 0.5),
    p95: quantile(allTimes, 0.95),
    since,
    recent: items,
  };
}

function quantile(sorted: number[], q: number) {
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] : 0;
}
