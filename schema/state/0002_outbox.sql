-- All durable waiting work. Triggers are Layout E: a parent with the common columns and
-- one detail table per kind.

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
CREATE INDEX triggers_app ON triggers(app_id, kind);
CREATE INDEX triggers_script ON triggers(script_id);

CREATE TABLE kv_trigger_details (
    trigger_id      BLOB NOT NULL PRIMARY KEY REFERENCES triggers(id) ON DELETE CASCADE,
    collection_glob TEXT NOT NULL, -- "*", "prefix*" or exact
    ops             TEXT NOT NULL  -- JSON array; empty is any
) STRICT, WITHOUT ROWID;

CREATE TABLE dead_letter_trigger_details (
    trigger_id        BLOB NOT NULL PRIMARY KEY REFERENCES triggers(id) ON DELETE CASCADE,
    source_filter     TEXT,
    trigger_id_filter BLOB,
    script_id_filter  BLOB
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    n                   INTEGER PRIMARY KEY, -- order of arrival; cheaper to index than the id
    id                  BLOB NOT NULL UNIQUE,
    app_id              BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    source              TEXT NOT NULL,
    op                  TEXT NOT NULL,
    trigger_id          BLOB, -- of triggers, or of routes when source is http; no foreign key: rows outlive it
    script_id           BLOB, -- no foreign key: a row whose script is gone fails with that reason
    reply_to            BLOB, -- inbox of a waiting caller: one attempt, never a dead letter
    dead_letter_id      BLOB, -- the letter that this row's handler looks at
    origin_principal    BLOB, -- who caused the event; not who the script runs as
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
-- The claim takes each app's rows in this order; attempt_count is there to count retrying rows without reading them.
CREATE INDEX outbox_due ON outbox(app_id, next_attempt_at, n, attempt_count) WHERE claimed_at IS NULL;
CREATE INDEX outbox_app ON outbox(app_id, n);

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
) STRICT;
CREATE INDEX dead_letters_app ON dead_letters(app_id, id);
CREATE INDEX dead_letters_unresolved ON dead_letters(app_id, id) WHERE resolved_at IS NULL;
CREATE INDEX dead_letters_created ON dead_letters(created_at);
CREATE INDEX dead_letters_event ON dead_letters(original_event_id);
CREATE INDEX dead_letters_root ON dead_letters(root_execution_id);

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
CREATE INDEX abandoned_executions_app ON abandoned_executions(app_id, id);
CREATE INDEX abandoned_executions_created ON abandoned_executions(created_at);
