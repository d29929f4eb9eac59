-- What operators manage. Ids are UUIDv7 in 16 bytes; times are Unix milliseconds. Columns
-- that can be large come last: SQLite reads through them to reach one that lies behind.

CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    id            BLOB NOT NULL PRIMARY KEY,
    username      TEXT NOT NULL UNIQUE COLLATE NOCASE,
    password_hash TEXT NOT NULL, -- argon2id in PHC form
    instance_role TEXT NOT NULL CHECK (instance_role IN ('owner', 'admin', 'member')),
    is_active     INTEGER NOT NULL DEFAULT 1,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE apps (
    id          BLOB NOT NULL PRIMARY KEY,
    slug        TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    quotas      TEXT NOT NULL DEFAULT '{}', -- JSON; an absent quota is unlimited
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;

-- Slugs that an app had before; they redirect until another app takes them.
CREATE TABLE former_slugs (
    slug   TEXT NOT NULL PRIMARY KEY,
    app_id BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    since  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX former_slugs_app ON former_slugs(app_id);

CREATE TABLE members (
    app_id     BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    user_id    BLOB NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    role       TEXT NOT NULL CHECK (role IN ('viewer', 'editor', 'app_admin')),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (app_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_user ON members(user_id);

CREATE TABLE domains (
    id         BLOB NOT NULL PRIMARY KEY,
    app_id     BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    host       TEXT NOT NULL UNIQUE,
    kind       TEXT NOT NULL CHECK (kind IN ('exact', 'wildcard')),
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX domains_app ON domains(app_id);

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
CREATE INDEX sessions_user ON sessions(user_id);
CREATE INDEX sessions_expiry ON sessions(expires_at);

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
CREATE INDEX api_keys_user ON api_keys(user_id);
CREATE INDEX api_keys_app ON api_keys(app_id) WHERE app_id IS NOT NULL;

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
    source          TEXT NOT NULL,
    UNIQUE (app_id, name)
) STRICT;

-- Every save keeps what it replaced and what it wrote; the newest 50 stay.
CREATE TABLE script_versions (
    script_id  BLOB NOT NULL REFERENCES scripts(id) ON DELETE CASCADE,
    version    INTEGER NOT NULL,
    engine     TEXT NOT NULL,
    saved_by   BLOB,
    created_at INTEGER NOT NULL,
    source     TEXT NOT NULL,
    PRIMARY KEY (script_id, version)
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
CREATE INDEX routes_script ON routes(script_id);
CREATE INDEX routes_app ON routes(app_id);

-- Who did what to which resource; never secrets or sources. Rows outlive what they name.
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
CREATE INDEX audit_app ON audit(app_id, id);
