-- The sum of the migrations, written by: go test ./schema -update

CREATE TABLE batch_events (
    event_id     BLOB NOT NULL,
    execution_id BLOB NOT NULL REFERENCES executions(id) ON DELETE CASCADE,
    PRIMARY KEY (event_id, execution_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE executions (
    id                  BLOB NOT NULL PRIMARY KEY,
    app_id              BLOB NOT NULL,
    script_id           BLOB,
    script_version      INTEGER NOT NULL,
    source              TEXT NOT NULL,
    op                  TEXT NOT NULL,
    trigger_id          BLOB,
    root_execution_id   BLOB NOT NULL,
    parent_execution_id BLOB,
    event_id            BLOB, -- the outbox row it ran for
    depth               INTEGER NOT NULL,
    attempt             INTEGER NOT NULL,
    status              TEXT NOT NULL,
    status_code         INTEGER NOT NULL,
    reruns              INTEGER NOT NULL,
    duration_ms         REAL NOT NULL,
    started_at          INTEGER NOT NULL,
    finished_at         INTEGER NOT NULL,
    bytes               INTEGER NOT NULL, -- size of the row, for the cap
    error               TEXT, -- JSON {message, stack, file, line, column}
    request             TEXT, -- JSON
    response_summary    TEXT NOT NULL,
    logs                TEXT -- JSON [{at, level, message, fields}]
) STRICT;
CREATE INDEX batch_events_execution ON batch_events(execution_id);
CREATE INDEX executions_app ON executions(app_id, id);
CREATE INDEX executions_event ON executions(event_id) WHERE event_id IS NOT NULL;
CREATE INDEX executions_root ON executions(root_execution_id) WHERE root_execution_id != id;
CREATE INDEX executions_script ON executions(script_id, id);
