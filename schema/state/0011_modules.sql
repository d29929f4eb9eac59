ALTER TABLE scripts ADD COLUMN kind TEXT NOT NULL DEFAULT 'function' CHECK (kind IN ('function', 'module'));

-- Which modules a script imports; the names are in its source.
CREATE TABLE script_imports (
    script_id BLOB NOT NULL REFERENCES scripts(id) ON DELETE CASCADE,
    module_id BLOB NOT NULL REFERENCES scripts(id) ON DELETE CASCADE,
    PRIMARY KEY (script_id, module_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX script_imports_module ON script_imports (module_id);
