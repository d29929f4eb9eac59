-- What deployments made of an app, so that it can be brought back: the newest 20 stay.
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

-- Each source once, however many deployments have it.
CREATE TABLE deployed_sources (
    app_id BLOB NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    hash   TEXT NOT NULL, -- SHA-256 in hexadecimal
    source TEXT NOT NULL,
    PRIMARY KEY (app_id, hash)
) STRICT;
