-- needs 1

-- A sequence never goes back, not even when a transaction does.
CREATE SEQUENCE serverurl_records_version AS bigint;

CREATE TABLE serverurl_records (
    dir        text   COLLATE "C" NOT NULL,
    name       text   COLLATE "C" NOT NULL,
    version    bigint NOT NULL DEFAULT nextval('serverurl_records_version'),
    value      bytea  NOT NULL,
    written_at bigint NOT NULL, -- milliseconds since 1970, by the database
    expires_at bigint,          -- seconds since 1970, NULL is never
    PRIMARY KEY (dir, name)
);

CREATE INDEX serverurl_records_expires ON serverurl_records (expires_at) WHERE expires_at IS NOT NULL;
