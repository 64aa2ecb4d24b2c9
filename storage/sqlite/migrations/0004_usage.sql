-- Strikeplate's schema, version 4: what credentials were used for
-- (storage.Usage).
--
-- Valid as it is, in one transaction, with the default prefix. The last
-- statement records the version that package sqlite looks for.
--
-- Counts are kept by numbers that stand for credentials and patterns, so that
-- rows are short, and a credential's lie together. Buckets are the minute that
-- they begin with, counted from 1970. Minutes, hours and days are all written
-- when counts arrive, so there is no later step that could run twice, or miss
-- what arrives late.

-- A row for each process that counts. A batch that is not above its sequence
-- was added already.
CREATE TABLE strikeplate_usage_instances (
	instance TEXT NOT NULL PRIMARY KEY,
	sequence INTEGER NOT NULL,
	heard    INTEGER NOT NULL,
	until    INTEGER,           -- all before was reported
	every    INTEGER NOT NULL,  -- nanoseconds
	final    INTEGER NOT NULL   -- it counts no more
) STRICT;

-- One row: since when usage has been counted, and since when without a gap.
CREATE TABLE strikeplate_usage_state (
	only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
	started  INTEGER NOT NULL,
	gap      INTEGER NOT NULL
) STRICT;

CREATE TABLE strikeplate_usage_organisations (
	organisation TEXT NOT NULL PRIMARY KEY,
	gap          INTEGER NOT NULL -- since when no credential was beyond the bound
) STRICT;

-- Credentials, and for each environment a row that stands for all of them.
CREATE TABLE strikeplate_usage_keys (
	id           INTEGER PRIMARY KEY AUTOINCREMENT, -- no number stands for two things
	organisation TEXT NOT NULL,
	total        INTEGER NOT NULL,
	credential   TEXT NOT NULL, -- of a total: the environment
	lineage      TEXT NOT NULL,
	environment  TEXT NOT NULL,
	touched      INTEGER NOT NULL,
	first_seen   INTEGER,
	succeeded    INTEGER,
	presented    INTEGER,
	browser      INTEGER NOT NULL DEFAULT 0,
	browser_at   INTEGER,
	origin       TEXT NOT NULL DEFAULT '',
	UNIQUE (organisation, total, credential)
) STRICT;

CREATE INDEX strikeplate_usage_keys_lineage ON strikeplate_usage_keys (organisation, lineage) WHERE NOT total;
CREATE INDEX strikeplate_usage_keys_credential ON strikeplate_usage_keys (credential) WHERE NOT total;

-- Patterns of routes, and codes of refusals.
CREATE TABLE strikeplate_usage_names (
	id           INTEGER PRIMARY KEY AUTOINCREMENT, -- no number stands for two things
	organisation TEXT NOT NULL,
	name         TEXT NOT NULL,
	touched      INTEGER NOT NULL,
	UNIQUE (organisation, name)
) STRICT;

CREATE TABLE strikeplate_usage_series (
	key         INTEGER NOT NULL,
	step        INTEGER NOT NULL, -- 1: a minute, 2: an hour, 3: a day
	bucket      INTEGER NOT NULL,
	class0 INTEGER NOT NULL, class1 INTEGER NOT NULL, class2 INTEGER NOT NULL,
	class3 INTEGER NOT NULL, class4 INTEGER NOT NULL, class5 INTEGER NOT NULL,
	latency0 INTEGER NOT NULL, latency1 INTEGER NOT NULL, latency2 INTEGER NOT NULL,
	latency3 INTEGER NOT NULL, latency4 INTEGER NOT NULL, latency5 INTEGER NOT NULL,
	nanoseconds INTEGER NOT NULL,
	PRIMARY KEY (key, step, bucket)
) STRICT, WITHOUT ROWID;

CREATE TABLE strikeplate_usage_endpoints (
	key         INTEGER NOT NULL,
	step        INTEGER NOT NULL,
	bucket      INTEGER NOT NULL,
	pattern     INTEGER NOT NULL,
	class0 INTEGER NOT NULL, class1 INTEGER NOT NULL, class2 INTEGER NOT NULL,
	class3 INTEGER NOT NULL, class4 INTEGER NOT NULL, class5 INTEGER NOT NULL,
	latency0 INTEGER NOT NULL, latency1 INTEGER NOT NULL, latency2 INTEGER NOT NULL,
	latency3 INTEGER NOT NULL, latency4 INTEGER NOT NULL, latency5 INTEGER NOT NULL,
	nanoseconds INTEGER NOT NULL,
	PRIMARY KEY (key, step, bucket, pattern)
) STRICT, WITHOUT ROWID;

-- Retention finds what is old.
CREATE INDEX strikeplate_usage_series_oldest ON strikeplate_usage_series (step, bucket);
CREATE INDEX strikeplate_usage_endpoints_oldest ON strikeplate_usage_endpoints (step, bucket);

CREATE TABLE strikeplate_usage_addresses (
	key        INTEGER NOT NULL,
	address    TEXT NOT NULL, -- empty: all that are not kept singly
	requests   INTEGER NOT NULL,
	first_seen INTEGER NOT NULL,
	last_seen  INTEGER NOT NULL,
	PRIMARY KEY (key, address)
) STRICT, WITHOUT ROWID;

CREATE TABLE strikeplate_usage_refusals (
	key       INTEGER NOT NULL,
	step      INTEGER NOT NULL, -- 2: an hour, 3: a day
	bucket    INTEGER NOT NULL,
	code      INTEGER NOT NULL,
	proven    INTEGER NOT NULL,
	requests  INTEGER NOT NULL,
	last_seen INTEGER NOT NULL,
	PRIMARY KEY (key, step, bucket, code, proven)
) STRICT, WITHOUT ROWID;

CREATE INDEX strikeplate_usage_refusals_oldest ON strikeplate_usage_refusals (step, bucket);

-- Tasks that one of several instances does.
CREATE TABLE strikeplate_usage_claims (
	organisation TEXT NOT NULL,
	task         TEXT NOT NULL,
	holder       TEXT NOT NULL,
	until        INTEGER NOT NULL,
	PRIMARY KEY (organisation, task)
) STRICT, WITHOUT ROWID;

INSERT INTO strikeplate_schema (version) VALUES (4);
