-- What scripts need and nobody may read: encrypted with a key that is not in this file.
CREATE TABLE secrets (
    app_id     BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    key_id     TEXT NOT NULL, -- of the master key: the beginning of a hash of it
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    sealed     BLOB NOT NULL, -- nonce and ciphertext of XChaCha20-Poly1305, bound to app and name
    PRIMARY KEY (app_id, name)
) STRICT, WITHOUT ROWID;
