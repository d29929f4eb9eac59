-- The sum of the migrations, written by: go test ./schema -update

CREATE TABLE abandoned_executions (
    id             BLOB NOT NULL PRIMARY KEY,
    app_id         BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    execution_id   BLOB NOT NULL,
    script_id      BLOB,
    inbox_id       BLOB NOT NULL,
    status_code    INTEGER NOT NULL,
    result_summary TEXT NOT NULL, -- truncated
    created_at     INTEGER NOT NULL
) STRICT;

CREATE TABLE api_keys (
    id           BLOB NOT NULL PRIMARY KEY,
    user_id      BLOB NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    prefix       TEXT NOT NULL UNIQUE,
    secret_hash  BLOB NOT NULL, -- SHA-256 of the 256-bit secret
    scopes       TEXT NOT NULL, -- JSON array
    app_id       BLOB REFERENCES apps(id) ON DELETE CASCADE,
    expires_at   INTEGER,
    last_used_at INTEGER,
    created_at   INTEGER NOT NULL
) STRICT;

CREATE TABLE apps (
    id          BLOB NOT NULL PRIMARY KEY,
    slug        TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    quotas      TEXT NOT NULL DEFAULT '{}', -- JSON; an absent quota is unlimited
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
, outbound_allow TEXT NOT NULL DEFAULT '[]') STRICT;

CREATE TABLE audit (
    id       BLOB NOT NULL PRIMARY KEY,
    app_id   BLOB,
    user_id  BLOB,
    username TEXT NOT NULL,
    key_id   BLOB,
    action   TEXT NOT NULL,
    resource TEXT NOT NULL,
    detail   TEXT NOT NULL,
    address  TEXT NOT NULL,
    at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE cron_trigger_details (
    trigger_id           BLOB NOT NULL PRIMARY KEY REFERENCES triggers(id) ON DELETE CASCADE,
    schedule             TEXT NOT NULL,
    timezone             TEXT NOT NULL, -- IANA name
    catch_up             TEXT NOT NULL CHECK (catch_up IN ('none', 'last', 'all')),
    max_lateness_seconds INTEGER NOT NULL,
    next_at              INTEGER, -- the tick that it waits for; null while the trigger is disabled
    last_at              INTEGER  -- when it moved on last
) STRICT, WITHOUT ROWID;

CREATE TABLE dead_letter_trigger_details (
    trigger_id        BLOB NOT NULL PRIMARY KEY REFERENCES triggers(id) ON DELETE CASCADE,
    source_filter     TEXT,
    trigger_id_filter BLOB,
    script_id_filter  BLOB
) STRICT, WITHOUT ROWID;

CREATE TABLE dead_letters (
    id                BLOB NOT NULL PRIMARY KEY,
    app_id            BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    original_event_id BLOB NOT NULL, -- id of the outbox row
    source            TEXT NOT NULL,
    op                TEXT NOT NULL,
    trigger_id        BLOB,
    script_id         BLOB,
    origin_principal  BLOB,
    trigger_depth     INTEGER NOT NULL,
    root_execution_id BLOB NOT NULL,
    parent_execution_id BLOB,
    attempt_count     INTEGER NOT NULL,
    attempts          TEXT NOT NULL,
    first_attempt_at  INTEGER NOT NULL,
    last_attempt_at   INTEGER NOT NULL,
    last_error        TEXT NOT NULL,
    created_at        INTEGER NOT NULL,
    resolved_at       INTEGER,
    resolution        TEXT CHECK (resolution IN ('replayed', 'ignored', 'handled_by_script', 'handler_failed')),
    reason            TEXT,
    payload           TEXT NOT NULL
, lane TEXT NOT NULL DEFAULT '', ordering_key TEXT) STRICT;

CREATE TABLE deployed_sources (
    app_id BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    hash   TEXT NOT NULL, -- SHA-256 in hexadecimal
    source TEXT NOT NULL,
    PRIMARY KEY (app_id, hash)
) STRICT;

CREATE TABLE deployments (
    app_id     BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    number     INTEGER NOT NULL,
    restores   INTEGER NOT NULL, -- number of the deployment whose state this is: its own, but for a rollback
    note       TEXT NOT NULL,
    user_id    BLOB,
    username   TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    state      TEXT NOT NULL, -- JSON: functions with routes and triggers, and the hashes of their sources
    PRIMARY KEY (app_id, number)
) STRICT;

CREATE TABLE domains (
    id         BLOB NOT NULL PRIMARY KEY,
    app_id     BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    host       TEXT NOT NULL UNIQUE,
    kind       TEXT NOT NULL CHECK (kind IN ('exact', 'wildcard')),
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE former_slugs (
    slug   TEXT NOT NULL PRIMARY KEY,
    app_id BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    since  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE held_lanes (
    app_id     BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    lane       TEXT NOT NULL,
    paused     INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (app_id, lane)
) STRICT, WITHOUT ROWID;

CREATE TABLE kv_entries (
    app_id     BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    collection TEXT NOT NULL,
    key        TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    expires_at INTEGER, -- from then on the entry is invisible; a sweep deletes it
    value      TEXT NOT NULL, -- JSON
    PRIMARY KEY (app_id, collection, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE kv_trigger_details (
    trigger_id      BLOB NOT NULL PRIMARY KEY REFERENCES triggers(id) ON DELETE CASCADE,
    collection_glob TEXT NOT NULL, -- "*", "prefix*" or exact
    ops             TEXT NOT NULL  -- JSON array; empty is any
) STRICT, WITHOUT ROWID;

CREATE TABLE members (
    app_id     BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    user_id    BLOB NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    role       TEXT NOT NULL CHECK (role IN ('viewer', 'editor', 'app_admin')),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (app_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    n                   INTEGER PRIMARY KEY, -- order of arrival; cheaper to index than the id
    id                  BLOB NOT NULL UNIQUE,
    app_id              BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    lane                TEXT NOT NULL DEFAULT '', -- '' for ordinary rows, else queue:NAME or http:HOST
    ordering_key        TEXT, -- rows of one app, lane and key run in the order of n, one at a time
    blocked             INTEGER NOT NULL DEFAULT 0, -- 1: an earlier row with its key is there
    source              TEXT NOT NULL,
    op                  TEXT NOT NULL,
    trigger_id          BLOB, -- of triggers, or of routes when source is http; no foreign key: rows outlive it
    script_id           BLOB, -- no foreign key: a row whose script is gone fails with that reason
    reply_to            BLOB, -- inbox of a waiting caller: one attempt, never a dead letter
    dead_letter_id      BLOB, -- the letter that this row's handler looks at
    origin_principal    BLOB, -- who caused the event; a row without a trigger runs as them
    trigger_depth       INTEGER NOT NULL,
    root_execution_id   BLOB NOT NULL,
    parent_execution_id BLOB,
    retry_max_attempts  INTEGER NOT NULL,
    retry_backoff       TEXT NOT NULL,
    retry_base_ms       INTEGER NOT NULL,
    attempt_count       INTEGER NOT NULL DEFAULT 0, -- counted at claim
    attempts            TEXT NOT NULL DEFAULT '[]', -- JSON history [{at, execution_id, duration_ms, error}]
    next_attempt_at     INTEGER NOT NULL,
    claimed_at          INTEGER,
    claimed_by          TEXT, -- id of the process's run
    claim_token         BLOB, -- finishing requires it, so a late worker finishes nothing twice; with n it gives the attempt's execution id
    lease_until         INTEGER,
    created_at          INTEGER NOT NULL,
    payload             TEXT NOT NULL -- the event as JSON
) STRICT;

CREATE TABLE pubsub_trigger_details (
    trigger_id BLOB NOT NULL PRIMARY KEY REFERENCES triggers(id) ON DELETE CASCADE,
    topic      TEXT NOT NULL -- "*", "prefix*" or exact
) STRICT, WITHOUT ROWID;

CREATE TABLE queue_deduplication (
    app_id           BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    queue            TEXT NOT NULL,
    deduplication_id TEXT NOT NULL,
    message_id       BLOB NOT NULL,
    expires_at       INTEGER NOT NULL,
    PRIMARY KEY (app_id, queue, deduplication_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE queue_trigger_details (
    trigger_id                 BLOB NOT NULL PRIMARY KEY REFERENCES triggers(id) ON DELETE CASCADE,
    app_id                     BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    queue                      TEXT NOT NULL,
    batch_size                 INTEGER NOT NULL CHECK (batch_size >= 1),
    concurrency                INTEGER NOT NULL CHECK (concurrency >= 1), -- executions at once
    visibility_timeout_seconds INTEGER NOT NULL, -- 0: the script's time limit and the lease's grace
    UNIQUE (app_id, queue)
) STRICT, WITHOUT ROWID;

CREATE TABLE routes (
    id              BLOB NOT NULL PRIMARY KEY,
    app_id          BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    script_id       BLOB NOT NULL REFERENCES scripts(id) ON DELETE CASCADE,
    host_kind       TEXT NOT NULL CHECK (host_kind IN ('any', 'exact', 'wildcard')),
    host            TEXT NOT NULL DEFAULT '',
    host_param_name TEXT NOT NULL DEFAULT '',
    path_kind       TEXT NOT NULL CHECK (path_kind IN ('exact', 'param', 'prefix')),
    path            TEXT NOT NULL,
    method          TEXT NOT NULL DEFAULT '', -- '' is any
    dispatch_mode   TEXT NOT NULL CHECK (dispatch_mode IN ('sync', 'async')),
    created_at      INTEGER NOT NULL
) STRICT;

CREATE TABLE script_imports (
    script_id BLOB NOT NULL REFERENCES scripts(id) ON DELETE CASCADE,
    module_id BLOB NOT NULL REFERENCES scripts(id) ON DELETE CASCADE,
    PRIMARY KEY (script_id, module_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE script_versions (
    script_id  BLOB NOT NULL REFERENCES scripts(id) ON DELETE CASCADE,
    version    INTEGER NOT NULL,
    engine     TEXT NOT NULL,
    saved_by   BLOB,
    created_at INTEGER NOT NULL,
    source     TEXT NOT NULL,
    PRIMARY KEY (script_id, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE scripts (
    id              BLOB NOT NULL PRIMARY KEY,
    app_id          BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    name            TEXT NOT NULL,
    description     TEXT NOT NULL DEFAULT '',
    engine          TEXT NOT NULL CHECK (engine IN ('quickjs', 'otto')),
    isolation       TEXT NOT NULL CHECK (isolation IN ('warm', 'fresh')),
    timeout_seconds INTEGER NOT NULL CHECK (timeout_seconds BETWEEN 1 AND 300),
    limits          TEXT NOT NULL DEFAULT '{}', -- JSON; an absent limit is the instance's default
    version         INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    source          TEXT NOT NULL, kind TEXT NOT NULL DEFAULT 'function' CHECK (kind IN ('function', 'module')),
    UNIQUE (app_id, name)
) STRICT;

CREATE TABLE secrets (
    app_id     BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    key_id     TEXT NOT NULL, -- of the master key: the beginning of a hash of it
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    sealed     BLOB NOT NULL, -- nonce and ciphertext of XChaCha20-Poly1305, bound to app and name
    PRIMARY KEY (app_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id           BLOB NOT NULL PRIMARY KEY,
    user_id      BLOB NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    token_hash   BLOB NOT NULL UNIQUE, -- SHA-256 of the cookie's 256 random bits
    address      TEXT NOT NULL,
    user_agent   TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT;

CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE topics (
    app_id                BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    name                  TEXT NOT NULL,
    external_subscribable INTEGER NOT NULL,
    auth_mode             TEXT NOT NULL CHECK (auth_mode IN ('public', 'token')),
    created_at            INTEGER NOT NULL,
    updated_at            INTEGER NOT NULL,
    PRIMARY KEY (app_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE triggers (
    id                      BLOB NOT NULL PRIMARY KEY,
    app_id                  BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    script_id               BLOB NOT NULL REFERENCES scripts(id) ON DELETE CASCADE,
    kind                    TEXT NOT NULL,
    enabled                 INTEGER NOT NULL DEFAULT 1,
    dispatch_mode           TEXT NOT NULL DEFAULT 'async' CHECK (dispatch_mode IN ('sync', 'async')),
    retry_max_attempts      INTEGER NOT NULL CHECK (retry_max_attempts >= 1),
    retry_backoff           TEXT NOT NULL CHECK (retry_backoff IN ('exponential', 'linear', 'constant')),
    retry_base_ms           INTEGER NOT NULL CHECK (retry_base_ms >= 0),
    registered_by_principal BLOB NOT NULL, -- outlives the user: then the row fails with that reason
    created_at              INTEGER NOT NULL,
    updated_at              INTEGER NOT NULL
) STRICT;

CREATE TABLE users (
    id            BLOB NOT NULL PRIMARY KEY,
    username      TEXT NOT NULL UNIQUE COLLATE NOCASE,
    password_hash TEXT NOT NULL, -- argon2id in PHC form
    instance_role TEXT NOT NULL CHECK (instance_role IN ('owner', 'admin', 'member')),
    is_active     INTEGER NOT NULL DEFAULT 1,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX abandoned_executions_app ON abandoned_executions(app_id, id);
CREATE INDEX abandoned_executions_created ON abandoned_executions(created_at);
CREATE INDEX api_keys_app ON api_keys(app_id) WHERE app_id IS NOT NULL;
CREATE INDEX api_keys_user ON api_keys(user_id);
CREATE INDEX audit_app ON audit(app_id, id);
CREATE INDEX cron_trigger_details_next ON cron_trigger_details(next_at) WHERE next_at IS NOT NULL;
CREATE INDEX dead_letters_app ON dead_letters(app_id, id);
CREATE INDEX dead_letters_created ON dead_letters(created_at);
CREATE INDEX dead_letters_event ON dead_letters(original_event_id);
CREATE INDEX dead_letters_root ON dead_letters(root_execution_id);
CREATE INDEX dead_letters_unresolved ON dead_letters(app_id, id) WHERE resolved_at IS NULL;
CREATE INDEX domains_app ON domains(app_id);
CREATE INDEX former_slugs_app ON former_slugs(app_id);
CREATE INDEX kv_entries_expiry ON kv_entries(expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX members_user ON members(user_id);
CREATE INDEX outbox_app ON outbox(app_id, n);
CREATE INDEX outbox_due ON outbox(app_id, lane, next_attempt_at, n, attempt_count) WHERE claimed_at IS NULL AND blocked = 0;
CREATE INDEX outbox_key ON outbox(app_id, lane, ordering_key, n, blocked) WHERE ordering_key IS NOT NULL;
CREATE INDEX outbox_lane ON outbox(app_id, lane, n) WHERE lane <> '';
CREATE INDEX queue_deduplication_expiry ON queue_deduplication(expires_at);
CREATE INDEX routes_app ON routes(app_id);
CREATE INDEX routes_script ON routes(script_id);
CREATE INDEX script_imports_module ON script_imports (module_id);
CREATE INDEX sessions_expiry ON sessions(expires_at);
CREATE INDEX sessions_user ON sessions(user_id);
CREATE INDEX topics_external ON topics(name, created_at) WHERE external_subscribable = 1;
CREATE INDEX triggers_app ON triggers(app_id, kind);
CREATE INDEX triggers_script ON triggers(script_id);
