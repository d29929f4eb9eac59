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
CREATE INDEX kv_entries_expiry ON kv_entries(expires_at) WHERE expires_at IS NOT NULL;
