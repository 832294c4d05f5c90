-- needs 1

-- A write of a record is a new row that replaces the old one: version is the
-- row's id, which SQLite never gives out twice.
CREATE TABLE serverurl_records (
    version    INTEGER PRIMARY KEY AUTOINCREMENT,
    dir        TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    value      BLOB    NOT NULL,
    written_at INTEGER NOT NULL, -- milliseconds since 1970, by the database
    expires_at INTEGER,          -- seconds since 1970, NULL is never
    UNIQUE (dir, name)
) STRICT;

CREATE INDEX serverurl_records_expires ON serverurl_records (expires_at) WHERE expires_at IS NOT NULL;
