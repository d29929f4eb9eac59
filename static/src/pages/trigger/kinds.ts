import type { Component } from 'svelte';
import type { Trigger } from '../../api/types';
import type { Scripts } from '../../lib/names.svelte';
import Cron from './kinds/Cron.svelte';
import DeadLetter from './kinds/DeadLetter.svelte';
import Kv from './kinds/Kv.svelte';
import Pubsub from './kinds/Pubsub.svelte';
import Queue from './kinds/Queue.svelte';

/** What a kind's form gets: the values to bind, and what it may offer to choose from. */
export interface FieldsOf<D> {
  draft: D;
  names: Scripts;
  triggers: Trigger[];
}

/** A kind of trigger: a new one is a line in kinds, and its form. */
export interface Kind<D = any> {
  kind: string;
  title: string;
  about: string;
  /** In the choice of what to wait for. */
  when: string;
  /** Its handler runs once and has no retry policy. */
  once?: boolean;
  fields: Component<FieldsOf<D>, {}, 'draft'>;
  /** The values of the form, of a trigger or for a fresh one. */
  draft(t?: Trigger): D;
  /** The values as the API takes them; was tells those of the trigger before. */
  body(d: D, was?: Trigger): Record<string, unknown>;
  /** What it waits for, in words. */
  filter(t: Trigger, names: Scripts): string;
}

export interface KvDraft {
  collection_glob: string;
  ops: string[];
}
export interface CronDraft {
  schedule: string;
  timezone: string;
  catch_up: NonNullable<Trigger['catch_up']>;
  max_lateness_seconds: number | null;
}
export interface QueueDraft {
  queue: string;
  batch_size: number | null;
  concurrency: number | null;
  visibility_timeout_seconds: number | null;
}
export interface PubsubDraft {
  topic: string;
}
export interface DeadLetterDraft {
  source_filter: string;
  trigger_id_filter: string;
  script_id_filter: string;
}

/** The entries of o that have a value: what was left empty is the instance's default. */
const given = (o: object) => Object.fromEntries(Object.entries(o).filter(([, v]) => v !== null && v !== ''));

const kv: Kind<KvDraft> = {
  kind: 'kv',
  title: 'When data changes',
  about: 'A key was inserted, updated or deleted.',
  when: 'Data changes',
  fields: Kv,
  draft: (t) => ({ collection_glob: t?.collection_glob ?? '*', ops: t?.ops ?? [] }),
  body: (d) => ({ collection_glob: d.collection_glob.trim(), ops: [...d.ops] }),
  filter: (t) => `${t.ops?.length ? t.ops.join(', ') : 'any change'} in ${t.collection_glob ?? '*'}`,
};

const cron: Kind<CronDraft> = {
  kind: 'cron',
  title: 'By the clock',
  about: 'A time of its schedule has come.',
  when: 'The time comes',
  fields: Cron,
  draft: (t) => ({
    schedule: t?.schedule ?? '',
    timezone: t?.timezone ?? Intl.DateTimeFormat().resolvedOptions().timeZone,
    catch_up: t?.catch_up ?? 'none',
    max_lateness_seconds: t?.max_lateness_seconds ?? null,
  }),
  body: (d) => ({ ...given(d), schedule: d.schedule.trim() }),
  filter: (t) => `${t.schedule}${t.timezone && t.timezone !== 'UTC' ? `, ${t.timezone}` : ''}`,
};

const queue: Kind<QueueDraft> = {
  kind: 'queue',
  title: 'When a queue has messages',
  about: 'It takes them, and they are gone when it succeeds.',
  when: 'A queue has messages',
  fields: Queue,
  draft: (t) => ({
    queue: t?.queue ?? '',
    batch_size: t?.batch_size ?? null,
    concurrency: t?.concurrency ?? null,
    visibility_timeout_seconds: t?.visibility_timeout_seconds || null,
  }),
  body: (d) => ({ ...given(d), queue: d.queue.trim() }),
  filter: (t) => `${t.queue}${t.batch_size && t.batch_size > 1 ? `, ${t.batch_size} at a time` : ''}`,
};

const pubsub: Kind<PubsubDraft> = {
  kind: 'pubsub',
  title: 'When something is published',
  about: 'A message came to a topic.',
  when: 'Something is published',
  fields: Pubsub,
  draft: (t) => ({ topic: t?.topic ?? '' }),
  body: (d) => ({ topic: d.topic.trim() }),
  filter: (t) => t.topic ?? '*',
};

const deadLetter: Kind<DeadLetterDraft> = {
  kind: 'dead_letter',
  title: 'When an event fails for good',
  about: 'A dead letter was written. Its handler runs once.',
  when: 'An event fails for good',
  once: true,
  fields: DeadLetter,
  draft: (t) => ({
    source_filter: t?.source_filter ?? '',
    trigger_id_filter: t?.trigger_id_filter ?? '',
    script_id_filter: t?.script_id_filter ?? '',
  }),
  // A filter that was taken away is sent as "none"; one that never was is left out.
  body: (d, was) => Object.fromEntries(Object.entries(d).filter(([name, value]) => value || was?.[name as keyof Trigger])),
  filter: (t, names) =>
    [
      t.source_filter && `source ${t.source_filter}`,
      t.script_id_filter && `function ${names.name(t.script_id_filter)}`,
      t.trigger_id_filter && `trigger …${t.trigger_id_filter.slice(-6)}`,
    ]
      .filter(Boolean)
      .join(', ') || 'any dead letter',
};

/** All kinds, in the order in which they are shown. */
export const kinds: Kind[] = [kv, cron, queue, pubsub, deadLetter];

export const kindOf = (kind: string) => kinds.find((k) => k.kind === kind);

/** What a trigger waits for, in words. */
export const filterOf = (t: Trigger, names: Scripts) => kindOf(t.kind)?.filter(t, names) ?? t.kind;
