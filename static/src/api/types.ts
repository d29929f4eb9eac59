export type Role = 'viewer' | 'editor' | 'app_admin';
export type InstanceRole = 'owner' | 'admin' | 'member';

export interface User {
  id: string;
  username: string;
  instance_role: InstanceRole;
  is_active: boolean;
  created_at: string;
}

export interface Me extends User {
  roles?: Record<string, Role>;
}

export interface App {
  id: string;
  slug: string;
  name: string;
  description: string;
  created_at: string;
  updated_at: string;
  unresolved_dead_letters: number;
  my_role?: Role;
}

export interface Limits {
  operations?: number;
  memory_bytes?: number;
  stack_bytes?: number;
  output_bytes?: number;
  log_bytes?: number;
  log_lines?: number;
  writes?: number;
  write_bytes?: number;
}

export interface Script {
  id: string;
  app_id: string;
  name: string;
  description: string;
  source: string;
  engine: 'quickjs' | 'otto';
  isolation: 'warm' | 'fresh';
  timeout_seconds: number;
  limits: Limits;
  version: number;
  created_at: string;
  updated_at: string;
}

export interface Version {
  version: number;
  source: string;
  engine: string;
  saved_by: string | null;
  created_at: string;
}

export interface Route {
  id: string;
  app_id: string;
  script_id: string;
  host_kind: 'any' | 'exact' | 'wildcard';
  host?: string;
  host_param_name?: string;
  path_kind: 'exact' | 'param' | 'prefix';
  path: string;
  method?: string;
  dispatch_mode: 'sync' | 'async';
  created_at: string;
}

export interface Domain {
  id: string;
  app_id: string;
  host: string;
  kind: 'exact' | 'wildcard';
  created_at: string;
}

export interface Member {
  user_id: string;
  username: string;
  role: Role;
  created_at: string;
}

export interface Trigger {
  id: string;
  app_id: string;
  script_id: string;
  kind: string;
  enabled: boolean;
  dispatch_mode: string;
  retry_max_attempts: number;
  retry_backoff: string;
  retry_base_ms: number;
  registered_by_principal: string | null;
  created_at: string;
  updated_at: string;
  collection_glob?: string;
  ops?: string[];
  source_filter?: string;
  trigger_id_filter?: string | null;
  script_id_filter?: string | null;
}

export interface Attempt {
  at: string;
  execution_id: string | null;
  duration_ms: number;
  error: string;
}

export interface Row {
  id: string;
  app_id: string;
  source: string;
  op: string;
  trigger_id: string | null;
  script_id: string;
  state: 'waiting' | 'running' | 'retrying';
  depth: number;
  root_execution_id: string;
  attempt_count: number;
  attempts: Attempt[];
  next_attempt_at: string | null;
  claimed_at: string | null;
  lease_until: string | null;
  created_at: string;
}

export interface DeadLetter {
  id: string;
  app_id: string;
  original_event_id: string;
  source: string;
  op: string;
  trigger_id: string | null;
  script_id: string;
  payload: unknown;
  depth: number;
  root_execution_id: string;
  attempt_count: number;
  attempts: Attempt[];
  first_attempt_at: string;
  last_attempt_at: string;
  last_error: string;
  created_at: string;
  resolved_at: string | null;
  resolution?: string;
  reason?: string;
}

export type Status = 'queued' | 'running' | 'success' | 'error' | 'timeout' | 'budget' | 'conflict' | 'dead';

export interface LogLine {
  at: string;
  level: 'debug' | 'info' | 'warn' | 'error';
  message: string;
  fields?: unknown;
}

export interface Trace {
  message: string;
  stack: string;
  file?: string;
  line?: number;
  column?: number;
}

export interface Execution {
  id: string;
  app_id: string;
  script_id: string;
  script_version: number;
  source: string;
  op: string;
  trigger_id: string | null;
  root_execution_id: string;
  parent_execution_id: string | null;
  event_id: string | null;
  depth: number;
  attempt: number;
  status: Status;
  status_code: number;
  reruns: number;
  duration_ms: number;
  started_at: string | null;
  finished_at: string | null;
  next_attempt_at?: string;
  dead_letter_id?: string;
  logs: LogLine[] | null;
  error: Trace | null;
  request: unknown;
  response_summary: string;
}

/** A node of a cause chain: an execution, and what it caused. */
export interface ChainNode extends Execution {
  children: ChainNode[];
}

export interface Collection {
  collection: string;
  keys: number;
}

export interface Item {
  key: string;
  bytes: number;
  updated_at: string;
  expires_at: string | null;
}

export interface Entry {
  key: string;
  value: unknown;
  created_at: string;
  updated_at: string;
  expires_at: string | null;
}

export interface Key {
  id: string;
  user_id: string;
  name: string;
  prefix: string;
  scopes: string[];
  app_id: string | null;
  expires_at: string | null;
  last_used_at: string | null;
  created_at: string;
}

export interface LoginSession {
  id: string;
  user_id: string;
  address: string;
  user_agent: string;
  created_at: string;
  last_used_at: string;
  expires_at: string;
  current: boolean;
}

export interface AuditEntry {
  id: string;
  app_id: string | null;
  user_id: string | null;
  username: string;
  key_id: string | null;
  action: string;
  resource: string;
  detail: string;
  address: string;
  at: string;
}

export interface Quotas {
  kv_bytes: number;
  outbox_rows: number;
  executions_per_minute: number;
  concurrent_executions: number;
}

export interface RouteMatch {
  match: { route: Route; params: Record<string, string>; rest: string } | null;
  status: number;
  allow?: string[];
  reason?: string;
}

export interface System {
  version: { product: string; api: number; sdk: string; schema: number; commit: string };
  started_at: string | null;
  uptime_seconds: number;
  go_version: string;
  platform: string;
  cpus: number;
  memory_bytes: number;
  engines: string[];
  durability: string;
  db: { state_bytes: number; wal_bytes: number; logs_bytes: number; disk_free_bytes: number; disk_size_bytes: number };
  gate: { capacity: number; in_use: number; waiting: number };
  outbox: { waiting: number; running: number; retrying: number; oldest_due_seconds: number; unresolved_dead_letters: number };
  replication: { state: string; target: string; lag_seconds: number; last_sync_at: string | null; last_error: string };
  warnings: string[];
}
