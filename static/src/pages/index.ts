import type { Component } from 'svelte';
import { match, type Params } from '../lib/router.svelte';
import Account from './Account.svelte';
import Apps from './Apps.svelte';
import Audit from './Audit.svelte';
import Data from './Data.svelte';
import DeadLetter from './DeadLetter.svelte';
import DeadLetters from './DeadLetters.svelte';
import Deployments from './Deployments.svelte';
import Domains from './Domains.svelte';
import Execution from './Execution.svelte';
import Executions from './Executions.svelte';
import Function from './Function.svelte';
import Functions from './Functions.svelte';
import Keys from './Keys.svelte';
import Login from './Login.svelte';
import Members from './Members.svelte';
import Missing from './Missing.svelte';
import Outbox from './Outbox.svelte';
import Overview from './Overview.svelte';
import Queues from './Queues.svelte';
import Routes from './Routes.svelte';
import Secrets from './Secrets.svelte';
import Settings from './Settings.svelte';
import Setup from './Setup.svelte';
import System from './System.svelte';
import Topics from './Topics.svelte';
import Tour from './Tour.svelte';
import Triggers from './Triggers.svelte';
import Users from './Users.svelte';

export interface Page {
  pattern: string;
  // Every page takes the parts that its pattern names.
  view: Component<any>;
  /** Shown without the frame around it, and before a login. */
  bare?: boolean;
}

/** All pages, by their path below /admin. */
export const pages: Page[] = [
  { pattern: '/login', view: Login, bare: true },
  { pattern: '/setup', view: Setup, bare: true },
  { pattern: '/', view: Apps },
  { pattern: '/tour', view: Tour },
  { pattern: '/users', view: Users },
  { pattern: '/keys', view: Keys },
  { pattern: '/system', view: System },
  { pattern: '/audit', view: Audit },
  { pattern: '/account', view: Account },
  { pattern: '/apps/:app', view: Overview },
  { pattern: '/apps/:app/functions', view: Functions },
  { pattern: '/apps/:app/functions/:script', view: Function },
  { pattern: '/apps/:app/functions/:script/:tab', view: Function },
  { pattern: '/apps/:app/routes', view: Routes },
  { pattern: '/apps/:app/triggers', view: Triggers },
  { pattern: '/apps/:app/data', view: Data },
  { pattern: '/apps/:app/data/:collection', view: Data },
  { pattern: '/apps/:app/queues', view: Queues },
  { pattern: '/apps/:app/queues/:queue', view: Queues },
  { pattern: '/apps/:app/topics', view: Topics },
  { pattern: '/apps/:app/secrets', view: Secrets },
  { pattern: '/apps/:app/deployments', view: Deployments },
  { pattern: '/apps/:app/outbox', view: Outbox },
  { pattern: '/apps/:app/dead-letters', view: DeadLetters },
  { pattern: '/apps/:app/dead-letters/:letter', view: DeadLetter },
  { pattern: '/apps/:app/executions', view: Executions },
  { pattern: '/apps/:app/executions/:execution', view: Execution },
  { pattern: '/apps/:app/members', view: Members },
  { pattern: '/apps/:app/domains', view: Domains },
  { pattern: '/apps/:app/audit', view: Audit },
  { pattern: '/apps/:app/settings', view: Settings },
];

const missing: Page = { pattern: '', view: Missing };

export interface Found {
  page: Page;
  params: Params;
  /** The same for pages that keep their state when one leads to the other. */
  key: string;
}

export function find(path: string): Found {
  for (const page of pages) {
    const params = match(page.pattern, path);
    if (params) return { page, params, key: key(page, params) };
  }
  return { page: missing, params: {}, key: path };
}

// The parts of a page that are its own states, not another page.
const states = /\/:(tab|collection|queue)$/;

function key(page: Page, { tab: _tab, collection: _collection, queue: _queue, ...params }: Params) {
  return page.pattern.replace(states, '') + JSON.stringify(params);
}
