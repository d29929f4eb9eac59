CREATE TABLE cron_trigger_details (
    trigger_id           BLOB NOT NULL PRIMARY KEY REFERENCES triggers(id) ON DELETE CASCADE,
    schedule             TEXT NOT NULL,
    timezone             TEXT NOT NULL, -- IANA name
    catch_up             TEXT NOT NULL CHECK (catch_up IN ('none', 'last', 'all')),
    max_lateness_seconds INTEGER NOT NULL,
    next_at              INTEGER, -- the tick that it waits for; null while the trigger is disabled
    last_at              INTEGER  -- when it moved on last
) STRICT, WITHOUT ROWID;
CREATE INDEX cron_trigger_details_next ON cron_trigger_details(next_at) WHERE next_at IS NOT NULL;
