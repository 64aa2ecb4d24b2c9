-- Strikeplate's schema, version 5: requests that must have their effect once
-- (storage.Replays).
--
-- Valid as it is, in one transaction, with the default prefix. The last
-- statement records the version that package postgres looks for.

CREATE TABLE strikeplate_replays (
	organisation text COLLATE "C" NOT NULL,
	request      text COLLATE "C" NOT NULL, -- a digest
	body         text COLLATE "C" NOT NULL, -- a digest
	target       text COLLATE "C" NOT NULL, -- empty: nobody knows yet what it made
	begun        timestamptz NOT NULL,
	expires      timestamptz NOT NULL,
	PRIMARY KEY (organisation, request)
);

CREATE INDEX strikeplate_replays_expires ON strikeplate_replays (expires);

INSERT INTO strikeplate_schema (version) VALUES (5);
