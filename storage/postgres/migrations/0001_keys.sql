-- Strikeplate's schema, version 1: keys, their audit log, a directory, and the
-- triggers that tell every instance what changed.
--
-- Valid as it is, in one transaction, with the default prefix. The last
-- statement records the version that package postgres looks for.

CREATE TABLE strikeplate_schema (
	version integer PRIMARY KEY,
	applied timestamptz NOT NULL DEFAULT now()
);

-- One row for each organisation that ever changed something. Every mutation
-- locks it, so mutations of one organisation follow one another, and counts its
-- audit entries in it.
CREATE TABLE strikeplate_organisations (
	organisation text COLLATE "C" PRIMARY KEY,
	entries      bigint NOT NULL
);

CREATE TABLE strikeplate_keys (
	id              text COLLATE "C" PRIMARY KEY,
	lookup          text COLLATE "C" NOT NULL UNIQUE,
	lineage         text NOT NULL,
	organisation    text COLLATE "C" NOT NULL,
	name            text NOT NULL,
	last4           text NOT NULL,
	format          text NOT NULL,
	environment     text NOT NULL,
	access          text NOT NULL,
	scopes          text[] NOT NULL,
	owner           text NOT NULL,
	creator         text NOT NULL,
	allow           text[] NOT NULL, -- networks such as 10.0.0.0/8
	metadata        jsonb NOT NULL,
	hash            text NOT NULL,
	sealed          bytea,
	secret_version  bigint NOT NULL,
	version         bigint NOT NULL,
	created         timestamptz NOT NULL,
	expires         timestamptz, -- null: never
	revoked         timestamptz, -- null: not revoked
	revoked_because text NOT NULL
);

CREATE INDEX strikeplate_keys_newest ON strikeplate_keys (organisation, created DESC, id DESC);
CREATE INDEX strikeplate_keys_active ON strikeplate_keys (organisation, expires) WHERE revoked IS NULL;

CREATE TABLE strikeplate_audit (
	organisation       text COLLATE "C" NOT NULL,
	position           bigint NOT NULL, -- 1, 2, 3 … in the order of commits
	actor_user         text NOT NULL,
	actor_organisation text NOT NULL,
	actor_role         text NOT NULL,
	actor_scopes       text[] NOT NULL,
	actor_client       text NOT NULL, -- address, empty if unknown
	action             text NOT NULL,
	target             text NOT NULL,
	at                 timestamptz NOT NULL,
	before             json,
	after              json,
	PRIMARY KEY (organisation, position)
);

CREATE TABLE strikeplate_accounts (
	organisation text COLLATE "C" PRIMARY KEY,
	plan         text NOT NULL,
	lapsed       boolean NOT NULL,
	settings     jsonb
);

CREATE TABLE strikeplate_users (
	id           text COLLATE "C" PRIMARY KEY,
	organisation text COLLATE "C" NOT NULL,
	name         text NOT NULL,
	role         text NOT NULL,
	active       boolean NOT NULL,
	scopes       text[] -- null: narrows nothing; empty: leaves nothing
);

-- What package storage calls permanent holds against every program that reaches
-- this table. One that changes a key by hand need not mind its version.
CREATE FUNCTION strikeplate_guard_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF OLD.revoked IS NOT NULL THEN
		RAISE EXCEPTION 'a revoked key never changes again' USING ERRCODE = 'SP001';
	END IF;
	IF (NEW.id, NEW.organisation, NEW.lineage, NEW.format, NEW.environment, NEW.access,
	    NEW.scopes, NEW.owner, NEW.creator, NEW.created)
	   IS DISTINCT FROM
	   (OLD.id, OLD.organisation, OLD.lineage, OLD.format, OLD.environment, OLD.access,
	    OLD.scopes, OLD.owner, OLD.creator, OLD.created) THEN
		RAISE EXCEPTION 'a permanent column of a key was changed' USING ERRCODE = 'SP002';
	END IF;
	NEW.version := greatest(NEW.version, OLD.version + 1);
	RETURN NEW;
END $$;

CREATE TRIGGER strikeplate_guard BEFORE UPDATE ON strikeplate_keys
	FOR EACH ROW EXECUTE FUNCTION strikeplate_guard_key();

-- Tells the watchers: ["key", organisation, id, version], or ["lost"] for what
-- doesn't fit into a notification (8,000 bytes) or concerns a whole table. They
-- listen on a channel named after schema and prefix.
CREATE FUNCTION strikeplate_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	message text := '["lost"]';
	changed jsonb;
BEGIN
	IF TG_LEVEL = 'ROW' THEN
		changed := CASE TG_OP WHEN 'DELETE' THEN to_jsonb(OLD) - 'version' ELSE to_jsonb(NEW) END;
		message := json_build_array(TG_ARGV[0], changed->>'organisation',
			coalesce(changed->>'id', changed->>'organisation'),
			coalesce((changed->>'version')::bigint, 0));
		IF octet_length(message) >= 8000 THEN
			message := '["lost"]';
		END IF;
	END IF;
	PERFORM pg_notify('strikeplate_' || left(encode(sha256(convert_to(
		TG_TABLE_SCHEMA || '.strikeplate_', 'UTF8')), 'hex'), 32), message);
	RETURN NULL;
END $$;

CREATE TRIGGER strikeplate_changed AFTER INSERT OR UPDATE OR DELETE ON strikeplate_keys
	FOR EACH ROW EXECUTE FUNCTION strikeplate_changed('key');
CREATE TRIGGER strikeplate_changed AFTER INSERT OR UPDATE OR DELETE ON strikeplate_accounts
	FOR EACH ROW EXECUTE FUNCTION strikeplate_changed('account');
CREATE TRIGGER strikeplate_changed AFTER INSERT OR UPDATE OR DELETE ON strikeplate_users
	FOR EACH ROW EXECUTE FUNCTION strikeplate_changed('user');

CREATE TRIGGER strikeplate_emptied AFTER TRUNCATE ON strikeplate_keys
	FOR EACH STATEMENT EXECUTE FUNCTION strikeplate_changed();
CREATE TRIGGER strikeplate_emptied AFTER TRUNCATE ON strikeplate_accounts
	FOR EACH STATEMENT EXECUTE FUNCTION strikeplate_changed();
CREATE TRIGGER strikeplate_emptied AFTER TRUNCATE ON strikeplate_users
	FOR EACH STATEMENT EXECUTE FUNCTION strikeplate_changed();

INSERT INTO strikeplate_schema (version) VALUES (1);
