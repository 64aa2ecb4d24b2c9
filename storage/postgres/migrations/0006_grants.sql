-- Strikeplate's schema, version 6: OAuth apps, what they were let do, and their
-- codes and tokens (storage.Apps, storage.Grants).
--
-- Valid as it is, in one transaction, with the default prefix. The last
-- statement records the version that package postgres looks for.

CREATE TABLE strikeplate_apps (
	client_id          text COLLATE "C" PRIMARY KEY,
	organisation       text COLLATE "C" NOT NULL, -- empty: nobody registered it
	name               text NOT NULL,
	homepage           text NOT NULL,
	creator            text NOT NULL,
	source             text NOT NULL,
	public             boolean NOT NULL,
	secrets            jsonb NOT NULL, -- what is kept of them; times in microseconds
	redirect_uris      text[] NOT NULL,
	origins            text[] NOT NULL,
	scopes             text[] NOT NULL,
	client_credentials boolean NOT NULL,
	insecure_no_pkce   boolean NOT NULL,
	version            bigint NOT NULL,
	created            timestamptz NOT NULL,
	revoked            timestamptz, -- null: not revoked
	revoked_because    text NOT NULL
);

CREATE INDEX strikeplate_apps_newest ON strikeplate_apps (organisation, created DESC, client_id DESC);
CREATE INDEX strikeplate_apps_unrevoked ON strikeplate_apps (organisation, created) WHERE revoked IS NULL;

CREATE TABLE strikeplate_blocks (
	organisation text COLLATE "C" NOT NULL,
	client_id    text COLLATE "C" NOT NULL, -- which need not be known
	blocked_by   text NOT NULL,
	because      text NOT NULL,
	at           timestamptz NOT NULL,
	PRIMARY KEY (organisation, client_id)
);

CREATE INDEX strikeplate_blocks_newest ON strikeplate_blocks (organisation, at DESC, client_id DESC);

CREATE TABLE strikeplate_grants (
	id              text COLLATE "C" PRIMARY KEY,
	client_id       text COLLATE "C" NOT NULL REFERENCES strikeplate_apps (client_id),
	organisation    text COLLATE "C" NOT NULL,
	subject         text COLLATE "C" NOT NULL,
	scopes          text[] NOT NULL,
	resources       text[] NOT NULL,
	authenticated   timestamptz,
	thumbprint      text NOT NULL,
	version         bigint NOT NULL,
	created         timestamptz NOT NULL,
	expires         timestamptz NOT NULL,
	revoked         timestamptz, -- null: not revoked
	revoked_because text NOT NULL,
	ends            timestamptz NOT NULL GENERATED ALWAYS AS (least(expires, revoked)) STORED
);

CREATE INDEX strikeplate_grants_newest ON strikeplate_grants (organisation, created DESC, id DESC);
CREATE INDEX strikeplate_grants_subject ON strikeplate_grants (organisation, subject, created DESC, id DESC);
CREATE INDEX strikeplate_grants_client ON strikeplate_grants (organisation, client_id, created DESC, id DESC);
CREATE INDEX strikeplate_grants_app ON strikeplate_grants (client_id);
CREATE INDEX strikeplate_grants_ends ON strikeplate_grants (ends);

CREATE TABLE strikeplate_consents (
	organisation text COLLATE "C" NOT NULL,
	subject      text COLLATE "C" NOT NULL,
	client_id    text COLLATE "C" NOT NULL REFERENCES strikeplate_apps (client_id) ON DELETE CASCADE,
	scopes       text[] NOT NULL,
	given        timestamptz,
	PRIMARY KEY (organisation, subject, client_id)
);

CREATE INDEX strikeplate_consents_client ON strikeplate_consents (client_id, organisation);

CREATE TABLE strikeplate_codes (
	hash           bytea PRIMARY KEY, -- SHA-256
	grant_id       text COLLATE "C" NOT NULL REFERENCES strikeplate_grants (id) ON DELETE CASCADE,
	redirect_uri   text NOT NULL,
	redirect_given boolean NOT NULL,
	challenge      text NOT NULL,
	thumbprint     text NOT NULL,
	expires        timestamptz NOT NULL,
	used           timestamptz -- null: not used
);

CREATE INDEX strikeplate_codes_grant ON strikeplate_codes (grant_id);
CREATE INDEX strikeplate_codes_expires ON strikeplate_codes (expires);

CREATE TABLE strikeplate_tokens (
	hash        bytea PRIMARY KEY, -- SHA-256
	kind        text NOT NULL,
	grant_id    text COLLATE "C" NOT NULL REFERENCES strikeplate_grants (id) ON DELETE CASCADE,
	scopes      text[] NOT NULL,
	resources   text[] NOT NULL,
	thumbprint  text NOT NULL,
	certificate text NOT NULL,
	created     timestamptz NOT NULL,
	expires     timestamptz NOT NULL,
	rotated     timestamptz, -- null: not rotated
	successor   bytea
);

CREATE INDEX strikeplate_tokens_grant ON strikeplate_tokens (grant_id);
-- What was rotated stays as long as its grant.
CREATE INDEX strikeplate_tokens_expires ON strikeplate_tokens (expires) WHERE rotated IS NULL;

CREATE TABLE strikeplate_pushed (
	hash      bytea PRIMARY KEY, -- SHA-256
	client_id text COLLATE "C" NOT NULL,
	form      text NOT NULL,
	expires   timestamptz NOT NULL
);

CREATE INDEX strikeplate_pushed_expires ON strikeplate_pushed (expires);
CREATE INDEX strikeplate_pushed_client ON strikeplate_pushed (client_id);

CREATE TABLE strikeplate_once (
	hash    bytea PRIMARY KEY, -- SHA-256
	expires timestamptz NOT NULL
);

CREATE INDEX strikeplate_once_expires ON strikeplate_once (expires);

-- What is permanent, and what happens once, holds against every program that
-- reaches these tables.

CREATE FUNCTION strikeplate_guard_app() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF OLD.revoked IS NOT NULL THEN
		RAISE EXCEPTION 'a revoked app never changes again' USING ERRCODE = 'SP001';
	END IF;
	IF (NEW.client_id, NEW.organisation, NEW.creator, NEW.source, NEW.public, NEW.created)
	   IS DISTINCT FROM (OLD.client_id, OLD.organisation, OLD.creator, OLD.source, OLD.public, OLD.created) THEN
		RAISE EXCEPTION 'a permanent column of an app was changed' USING ERRCODE = 'SP002';
	END IF;
	NEW.version := greatest(NEW.version, OLD.version + 1);
	RETURN NEW;
END $$;

CREATE TRIGGER strikeplate_guard BEFORE UPDATE ON strikeplate_apps
	FOR EACH ROW EXECUTE FUNCTION strikeplate_guard_app();

CREATE FUNCTION strikeplate_guard_grant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF OLD.revoked IS NOT NULL THEN
		RAISE EXCEPTION 'a revoked grant never changes again' USING ERRCODE = 'SP001';
	END IF;
	IF (NEW.id, NEW.client_id, NEW.organisation, NEW.subject, NEW.scopes, NEW.resources, NEW.authenticated,
	    NEW.thumbprint, NEW.created, NEW.expires)
	   IS DISTINCT FROM
	   (OLD.id, OLD.client_id, OLD.organisation, OLD.subject, OLD.scopes, OLD.resources, OLD.authenticated,
	    OLD.thumbprint, OLD.created, OLD.expires) THEN
		RAISE EXCEPTION 'a permanent column of a grant was changed' USING ERRCODE = 'SP002';
	END IF;
	NEW.version := greatest(NEW.version, OLD.version + 1);
	RETURN NEW;
END $$;

CREATE TRIGGER strikeplate_guard BEFORE UPDATE ON strikeplate_grants
	FOR EACH ROW EXECUTE FUNCTION strikeplate_guard_grant();

CREATE FUNCTION strikeplate_guard_code() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF OLD.used IS NOT NULL OR to_jsonb(NEW) - 'used' IS DISTINCT FROM to_jsonb(OLD) - 'used' THEN
		RAISE EXCEPTION 'a code is used once, and never changes else' USING ERRCODE = 'SP002';
	END IF;
	RETURN NEW;
END $$;

CREATE TRIGGER strikeplate_guard BEFORE UPDATE ON strikeplate_codes
	FOR EACH ROW EXECUTE FUNCTION strikeplate_guard_code();

CREATE FUNCTION strikeplate_guard_token() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF OLD.rotated IS NOT NULL OR to_jsonb(NEW) - ARRAY['rotated', 'successor']
	   IS DISTINCT FROM to_jsonb(OLD) - ARRAY['rotated', 'successor'] THEN
		RAISE EXCEPTION 'a token is rotated once, and never changes else' USING ERRCODE = 'SP002';
	END IF;
	RETURN NEW;
END $$;

CREATE TRIGGER strikeplate_guard BEFORE UPDATE ON strikeplate_tokens
	FOR EACH ROW EXECUTE FUNCTION strikeplate_guard_token();

-- Tells the watchers, as before, and of apps by their client id.
CREATE OR REPLACE FUNCTION strikeplate_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	message text := '["lost"]';
	changed jsonb;
BEGIN
	IF TG_LEVEL = 'ROW' THEN
		changed := CASE TG_OP WHEN 'DELETE' THEN to_jsonb(OLD) - 'version' ELSE to_jsonb(NEW) END;
		message := json_build_array(TG_ARGV[0], changed->>'organisation',
			coalesce(changed->>'id', changed->>'client_id', changed->>'organisation'),
			coalesce((changed->>'version')::bigint, 0));
		IF octet_length(message) >= 8000 THEN
			message := '["lost"]';
		END IF;
	END IF;
	PERFORM pg_notify('strikeplate_' || left(encode(sha256(convert_to(
		TG_TABLE_SCHEMA || '.strikeplate_', 'UTF8')), 'hex'), 32), message);
	RETURN NULL;
END $$;

CREATE TRIGGER strikeplate_changed AFTER INSERT OR UPDATE OR DELETE ON strikeplate_apps
	FOR EACH ROW EXECUTE FUNCTION strikeplate_changed('app');
CREATE TRIGGER strikeplate_changed AFTER INSERT OR UPDATE OR DELETE ON strikeplate_blocks
	FOR EACH ROW EXECUTE FUNCTION strikeplate_changed('app');
-- A new grant changes nothing that anybody remembers, and one that was revoked was
-- told of then.
CREATE TRIGGER strikeplate_changed AFTER UPDATE ON strikeplate_grants
	FOR EACH ROW EXECUTE FUNCTION strikeplate_changed('grant');
CREATE TRIGGER strikeplate_gone AFTER DELETE ON strikeplate_grants
	FOR EACH ROW WHEN (OLD.revoked IS NULL) EXECUTE FUNCTION strikeplate_changed('grant');

CREATE TRIGGER strikeplate_emptied AFTER TRUNCATE ON strikeplate_apps
	FOR EACH STATEMENT EXECUTE FUNCTION strikeplate_changed();
CREATE TRIGGER strikeplate_emptied AFTER TRUNCATE ON strikeplate_blocks
	FOR EACH STATEMENT EXECUTE FUNCTION strikeplate_changed();
CREATE TRIGGER strikeplate_emptied AFTER TRUNCATE ON strikeplate_grants
	FOR EACH STATEMENT EXECUTE FUNCTION strikeplate_changed();
CREATE TRIGGER strikeplate_emptied AFTER TRUNCATE ON strikeplate_tokens
	FOR EACH STATEMENT EXECUTE FUNCTION strikeplate_changed();

INSERT INTO strikeplate_schema (version) VALUES (6);
