-- Queues: lanes of the outbox whose rows wait for the one trigger that consumes them.

CREATE TABLE queue_trigger_details (
    trigger_id                 BLOB NOT NULL PRIMARY KEY REFERENCES triggers(id) ON DELETE CASCADE,
    app_id                     BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    queue                      TEXT NOT NULL,
    batch_size                 INTEGER NOT NULL CHECK (batch_size >= 1),
    concurrency                INTEGER NOT NULL CHECK (concurrency >= 1), -- executions at once
    visibility_timeout_seconds INTEGER NOT NULL, -- 0: the script's time limit and the lease's grace
    UNIQUE (app_id, queue)
) STRICT, WITHOUT ROWID;

-- Messages that were sent with a deduplication id, until the window is over.
CREATE TABLE queue_deduplication (
    app_id           BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    queue            TEXT NOT NULL,
    deduplication_id TEXT NOT NULL,
    message_id       BLOB NOT NULL,
    expires_at       INTEGER NOT NULL,
    PRIMARY KEY (app_id, queue, deduplication_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX queue_deduplication_expiry ON queue_deduplication(expires_at);

-- What a lane holds, in the order of arrival; ordinary rows have no entry here.
CREATE INDEX outbox_lane ON outbox(app_id, lane, n) WHERE lane <> '';
