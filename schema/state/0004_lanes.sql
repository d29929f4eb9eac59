-- Lanes: rows of an app that are claimed apart from its other rows, and keys whose rows run
-- in order. The outbox is made anew so that the payload stays its last column.

ALTER TABLE outbox RENAME TO outbox_before;
DROP INDEX outbox_due;
DROP INDEX outbox_app;
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
INSERT INTO outbox (n, id, app_id, source, op, trigger_id, script_id, reply_to, dead_letter_id, origin_principal, trigger_depth,
    root_execution_id, parent_execution_id, retry_max_attempts, retry_backoff, retry_base_ms, attempt_count, attempts,
    next_attempt_at, claimed_at, claimed_by, claim_token, lease_until, created_at, payload)
SELECT n, id, app_id, source, op, trigger_id, script_id, reply_to, dead_letter_id, origin_principal, trigger_depth,
    root_execution_id, parent_execution_id, retry_max_attempts, retry_backoff, retry_base_ms, attempt_count, attempts,
    next_attempt_at, claimed_at, claimed_by, claim_token, lease_until, created_at, payload FROM outbox_before;
DROP TABLE outbox_before;

-- The claim takes each lane's rows in this order; attempt_count is there to count retrying rows without reading them.
CREATE INDEX outbox_due ON outbox(app_id, lane, next_attempt_at, n, attempt_count) WHERE claimed_at IS NULL AND blocked = 0;
CREATE INDEX outbox_app ON outbox(app_id, n);
-- The end of a row finds the next one with its key here.
CREATE INDEX outbox_key ON outbox(app_id, lane, ordering_key, n, blocked) WHERE ordering_key IS NOT NULL;

-- Lanes that are held: paused until somebody resumes them, or left alone until a time.
CREATE TABLE held_lanes (
    app_id     BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    lane       TEXT NOT NULL,
    paused     INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (app_id, lane)
) STRICT, WITHOUT ROWID;

-- A replayed event goes back to its lane.
ALTER TABLE dead_letters ADD COLUMN lane TEXT NOT NULL DEFAULT '';
ALTER TABLE dead_letters ADD COLUMN ordering_key TEXT;
