CREATE TABLE pubsub_trigger_details (
    trigger_id BLOB NOT NULL PRIMARY KEY REFERENCES triggers(id) ON DELETE CASCADE,
    topic      TEXT NOT NULL -- "*", "prefix*" or exact
) STRICT, WITHOUT ROWID;

-- Topics that somebody decided about; any other is for the app's own triggers.
CREATE TABLE topics (
    app_id                BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    name                  TEXT NOT NULL,
    external_subscribable INTEGER NOT NULL,
    auth_mode             TEXT NOT NULL CHECK (auth_mode IN ('public', 'token')),
    created_at            INTEGER NOT NULL,
    updated_at            INTEGER NOT NULL,
    PRIMARY KEY (app_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX topics_external ON topics(name, created_at) WHERE external_subscribable = 1;
