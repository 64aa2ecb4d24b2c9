-- Strikeplate's schema, version 4: what credentials were used for
-- (storage.Usage).
--
-- Valid as it is, in one transaction, with the default prefix. The last
-- statement records the version that package postgres looks for.
--
-- Counts are kept by numbers that stand for credentials and patterns, so that
-- rows are short and a credential's lie together in the index. Buckets are the
-- minute that they begin with, counted from 1970. Minutes, hours and days are
-- all written when counts arrive, so there is no later step that could run
-- twice, or miss what arrives late.

-- A row for each process that counts. A batch that is not above its sequence
-- was added already.
CREATE TABLE strikeplate_usage_instances (
	instance text COLLATE "C" PRIMARY KEY,
	sequence bigint NOT NULL,
	heard    timestamptz NOT NULL,
	until    timestamptz,          -- all before was reported
	every    bigint NOT NULL,      -- nanoseconds
	final    boolean NOT NULL      -- it counts no more
);

-- One row: since when usage has been counted, and since when without a gap.
CREATE TABLE strikeplate_usage_state (
	only_row boolean PRIMARY KEY CHECK (only_row),
	started  timestamptz NOT NULL,
	gap      timestamptz NOT NULL
);

-- Locked to admit new credentials and patterns, which are bounded.
CREATE TABLE strikeplate_usage_organisations (
	organisation text COLLATE "C" PRIMARY KEY,
	gap          timestamptz       -- since when no credential was beyond the bound
);

-- Credentials, and for each environment a row that stands for all of them. Who
-- adds counts locks these rows in the order of id.
CREATE TABLE strikeplate_usage_keys (
	id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	organisation text COLLATE "C" NOT NULL,
	total        boolean NOT NULL,
	credential   text COLLATE "C" NOT NULL, -- of a total: the environment
	lineage      text COLLATE "C" NOT NULL,
	environment  text COLLATE "C" NOT NULL,
	touched      timestamptz NOT NULL,
	first_seen   timestamptz,
	succeeded    timestamptz,
	presented    timestamptz,
	browser      bigint NOT NULL DEFAULT 0,
	browser_at   timestamptz,
	origin       text NOT NULL DEFAULT '',
	UNIQUE (organisation, total, credential)
) WITH (fillfactor = 70); -- its rows change at every batch

CREATE INDEX strikeplate_usage_keys_lineage ON strikeplate_usage_keys (organisation, lineage) WHERE NOT total;
CREATE INDEX strikeplate_usage_keys_credential ON strikeplate_usage_keys (credential) WHERE NOT total;

-- Patterns of routes, and codes of refusals.
CREATE TABLE strikeplate_usage_names (
	id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	organisation text COLLATE "C" NOT NULL,
	name         text COLLATE "C" NOT NULL,
	touched      timestamptz NOT NULL,
	UNIQUE (organisation, name)
);

CREATE TABLE strikeplate_usage_series (
	key         bigint NOT NULL,
	step        smallint NOT NULL, -- 1: a minute, 2: an hour, 3: a day
	bucket      integer NOT NULL,
	class0 bigint NOT NULL, class1 bigint NOT NULL, class2 bigint NOT NULL,
	class3 bigint NOT NULL, class4 bigint NOT NULL, class5 bigint NOT NULL,
	latency0 bigint NOT NULL, latency1 bigint NOT NULL, latency2 bigint NOT NULL,
	latency3 bigint NOT NULL, latency4 bigint NOT NULL, latency5 bigint NOT NULL,
	nanoseconds bigint NOT NULL,
	PRIMARY KEY (key, step, bucket)
) WITH (fillfactor = 90);

CREATE TABLE strikeplate_usage_endpoints (
	key         bigint NOT NULL,
	step        smallint NOT NULL,
	bucket      integer NOT NULL,
	pattern     bigint NOT NULL,
	class0 bigint NOT NULL, class1 bigint NOT NULL, class2 bigint NOT NULL,
	class3 bigint NOT NULL, class4 bigint NOT NULL, class5 bigint NOT NULL,
	latency0 bigint NOT NULL, latency1 bigint NOT NULL, latency2 bigint NOT NULL,
	latency3 bigint NOT NULL, latency4 bigint NOT NULL, latency5 bigint NOT NULL,
	nanoseconds bigint NOT NULL,
	PRIMARY KEY (key, step, bucket, pattern)
) WITH (fillfactor = 90);

-- Retention finds what is old.
CREATE INDEX strikeplate_usage_series_oldest ON strikeplate_usage_series (step, bucket);
CREATE INDEX strikeplate_usage_endpoints_oldest ON strikeplate_usage_endpoints (step, bucket);

CREATE TABLE strikeplate_usage_addresses (
	key        bigint NOT NULL,
	address    text COLLATE "C" NOT NULL, -- empty: all that are not kept singly
	requests   bigint NOT NULL,
	first_seen timestamptz NOT NULL,
	last_seen  timestamptz NOT NULL,
	PRIMARY KEY (key, address)
) WITH (fillfactor = 70);

CREATE TABLE strikeplate_usage_refusals (
	key       bigint NOT NULL,
	step      smallint NOT NULL, -- 2: an hour, 3: a day
	bucket    integer NOT NULL,
	code      bigint NOT NULL,
	proven    boolean NOT NULL,
	requests  bigint NOT NULL,
	last_seen timestamptz NOT NULL,
	PRIMARY KEY (key, step, bucket, code, proven)
) WITH (fillfactor = 90);

CREATE INDEX strikeplate_usage_refusals_oldest ON strikeplate_usage_refusals (step, bucket);

-- Tasks that one of several instances does.
CREATE TABLE strikeplate_usage_claims (
	organisation text COLLATE "C" NOT NULL,
	task         text COLLATE "C" NOT NULL,
	holder       text COLLATE "C" NOT NULL,
	until        timestamptz NOT NULL,
	PRIMARY KEY (organisation, task)
);

INSERT INTO strikeplate_schema (version) VALUES (4);
