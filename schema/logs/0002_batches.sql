-- The events of an execution that had several, but for the first, which is its event_id.
CREATE TABLE batch_events (
    event_id     BLOB NOT NULL,
    execution_id BLOB NOT NULL REFERENCES executions(id) ON DELETE CASCADE,
    PRIMARY KEY (event_id, execution_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX batch_events_execution ON batch_events(execution_id);
