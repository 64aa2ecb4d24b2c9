-- Strikeplate's schema, version 5: requests that must have their effect once
-- (storage.Replays).
--
-- Valid as it is, in one transaction, with the default prefix. The last
-- statement records the version that package sqlite looks for.

CREATE TABLE strikeplate_replays (
	organisation TEXT NOT NULL,
	request      TEXT NOT NULL,    -- a digest
	body         TEXT NOT NULL,    -- a digest
	target       TEXT NOT NULL,    -- empty: nobody knows yet what it made
	begun        INTEGER NOT NULL, -- microseconds, like expires
	expires      INTEGER NOT NULL,
	PRIMARY KEY (organisation, request)
) STRICT, WITHOUT ROWID;

CREATE INDEX strikeplate_replays_expires ON strikeplate_replays (expires);

INSERT INTO strikeplate_schema (version) VALUES (5);
