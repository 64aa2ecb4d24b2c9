-- Strikeplate's schema, version 6: OAuth apps, what they were let do, and their
-- codes and tokens (storage.Apps, storage.Grants).
--
-- Valid as it is, in one transaction, with the default prefix. The last
-- statement records the version that package sqlite looks for.

-- Times are microseconds, lists are JSON, hashes are SHA-256.

CREATE TABLE strikeplate_apps (
	client_id          TEXT NOT NULL PRIMARY KEY,
	organisation       TEXT NOT NULL,    -- empty: nobody registered it
	name               TEXT NOT NULL,
	homepage           TEXT NOT NULL,
	creator            TEXT NOT NULL,
	source             TEXT NOT NULL,
	public             INTEGER NOT NULL,
	secrets            TEXT NOT NULL,    -- what is kept of them
	redirect_uris      TEXT NOT NULL,
	origins            TEXT NOT NULL,
	scopes             TEXT NOT NULL,
	client_credentials INTEGER NOT NULL,
	insecure_no_pkce   INTEGER NOT NULL,
	version            INTEGER NOT NULL,
	created            INTEGER NOT NULL,
	revoked            INTEGER,          -- NULL: not
	revoked_because    TEXT NOT NULL
) STRICT;

-- Listing: newest first within an organisation. Counting against the limit.
CREATE INDEX strikeplate_apps_newest ON strikeplate_apps (organisation, created, client_id);
CREATE INDEX strikeplate_apps_unrevoked ON strikeplate_apps (organisation, created, client_id) WHERE revoked IS NULL;

CREATE TABLE strikeplate_blocks (
	organisation TEXT NOT NULL,
	client_id    TEXT NOT NULL, -- which need not be known
	blocked_by   TEXT NOT NULL,
	because      TEXT NOT NULL,
	at           INTEGER NOT NULL,
	PRIMARY KEY (organisation, client_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX strikeplate_blocks_newest ON strikeplate_blocks (organisation, at, client_id);

CREATE TABLE strikeplate_grants (
	id              TEXT NOT NULL PRIMARY KEY,
	client_id       TEXT NOT NULL REFERENCES strikeplate_apps (client_id),
	organisation    TEXT NOT NULL,
	subject         TEXT NOT NULL,
	scopes          TEXT NOT NULL,
	resources       TEXT NOT NULL,
	authenticated   INTEGER,
	thumbprint      TEXT NOT NULL,
	version         INTEGER NOT NULL,
	created         INTEGER NOT NULL,
	expires         INTEGER NOT NULL,
	revoked         INTEGER,          -- NULL: not
	revoked_because TEXT NOT NULL,
	ends            INTEGER NOT NULL GENERATED ALWAYS AS (min(expires, coalesce(revoked, expires))) STORED
) STRICT;

CREATE INDEX strikeplate_grants_newest ON strikeplate_grants (organisation, created, id);
CREATE INDEX strikeplate_grants_subject ON strikeplate_grants (organisation, subject, created, id);
CREATE INDEX strikeplate_grants_client ON strikeplate_grants (organisation, client_id, created, id);
CREATE INDEX strikeplate_grants_app ON strikeplate_grants (client_id);
CREATE INDEX strikeplate_grants_ends ON strikeplate_grants (ends);

CREATE TABLE strikeplate_consents (
	organisation TEXT NOT NULL,
	subject      TEXT NOT NULL,
	client_id    TEXT NOT NULL REFERENCES strikeplate_apps (client_id) ON DELETE CASCADE,
	scopes       TEXT NOT NULL,
	given        INTEGER,
	PRIMARY KEY (organisation, subject, client_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX strikeplate_consents_client ON strikeplate_consents (client_id);

CREATE TABLE strikeplate_codes (
	hash           BLOB NOT NULL PRIMARY KEY,
	grant_id       TEXT NOT NULL REFERENCES strikeplate_grants (id) ON DELETE CASCADE,
	redirect_uri   TEXT NOT NULL,
	redirect_given INTEGER NOT NULL,
	challenge      TEXT NOT NULL,
	thumbprint     TEXT NOT NULL,
	expires        INTEGER NOT NULL,
	used           INTEGER -- NULL: not
) STRICT, WITHOUT ROWID;

CREATE INDEX strikeplate_codes_grant ON strikeplate_codes (grant_id);
CREATE INDEX strikeplate_codes_expires ON strikeplate_codes (expires);

CREATE TABLE strikeplate_tokens (
	hash        BLOB NOT NULL PRIMARY KEY,
	kind        TEXT NOT NULL,
	grant_id    TEXT NOT NULL REFERENCES strikeplate_grants (id) ON DELETE CASCADE,
	scopes      TEXT NOT NULL,
	resources   TEXT NOT NULL,
	thumbprint  TEXT NOT NULL,
	certificate TEXT NOT NULL,
	created     INTEGER NOT NULL,
	expires     INTEGER NOT NULL,
	rotated     INTEGER, -- NULL: not
	successor   BLOB
) STRICT, WITHOUT ROWID;

CREATE INDEX strikeplate_tokens_grant ON strikeplate_tokens (grant_id);
-- What was rotated stays as long as its grant.
CREATE INDEX strikeplate_tokens_expires ON strikeplate_tokens (expires) WHERE rotated IS NULL;

CREATE TABLE strikeplate_pushed (
	hash      BLOB NOT NULL PRIMARY KEY,
	client_id TEXT NOT NULL,
	form      TEXT NOT NULL,
	expires   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX strikeplate_pushed_expires ON strikeplate_pushed (expires);
CREATE INDEX strikeplate_pushed_client ON strikeplate_pushed (client_id);

CREATE TABLE strikeplate_once (
	hash    BLOB NOT NULL PRIMARY KEY,
	expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX strikeplate_once_expires ON strikeplate_once (expires);

-- Any program that writes to these tables is held to what the contracts promise.

CREATE TRIGGER strikeplate_apps_taken BEFORE INSERT ON strikeplate_apps
WHEN EXISTS (SELECT 1 FROM strikeplate_apps WHERE client_id = NEW.client_id)
BEGIN
	SELECT RAISE(ABORT, 'strikeplate: the client id is taken'); -- also by INSERT OR REPLACE
END;
CREATE TRIGGER strikeplate_apps_fixed BEFORE UPDATE ON strikeplate_apps
WHEN OLD.revoked IS NOT NULL OR NEW.version <= OLD.version OR NEW.client_id IS NOT OLD.client_id
	OR NEW.organisation IS NOT OLD.organisation OR NEW.creator IS NOT OLD.creator OR NEW.source IS NOT OLD.source
	OR NEW.public IS NOT OLD.public OR NEW.created IS NOT OLD.created
BEGIN
	SELECT RAISE(ABORT, 'strikeplate: the app is revoked, the column fixed, or the version not a higher one');
END;

CREATE TRIGGER strikeplate_grants_taken BEFORE INSERT ON strikeplate_grants
WHEN EXISTS (SELECT 1 FROM strikeplate_grants WHERE id = NEW.id)
BEGIN
	SELECT RAISE(ABORT, 'strikeplate: the id is taken');
END;
CREATE TRIGGER strikeplate_grants_fixed BEFORE UPDATE ON strikeplate_grants
WHEN OLD.revoked IS NOT NULL OR NEW.version <= OLD.version OR NEW.id IS NOT OLD.id OR NEW.client_id IS NOT OLD.client_id
	OR NEW.organisation IS NOT OLD.organisation OR NEW.subject IS NOT OLD.subject OR NEW.scopes IS NOT OLD.scopes
	OR NEW.resources IS NOT OLD.resources OR NEW.authenticated IS NOT OLD.authenticated
	OR NEW.thumbprint IS NOT OLD.thumbprint OR NEW.created IS NOT OLD.created OR NEW.expires IS NOT OLD.expires
BEGIN
	SELECT RAISE(ABORT, 'strikeplate: the grant is revoked, the column fixed, or the version not a higher one');
END;

CREATE TRIGGER strikeplate_codes_taken BEFORE INSERT ON strikeplate_codes
WHEN EXISTS (SELECT 1 FROM strikeplate_codes WHERE hash = NEW.hash)
BEGIN
	SELECT RAISE(ABORT, 'strikeplate: the hash is taken');
END;
CREATE TRIGGER strikeplate_codes_fixed BEFORE UPDATE ON strikeplate_codes
WHEN OLD.used IS NOT NULL OR NEW.hash IS NOT OLD.hash OR NEW.grant_id IS NOT OLD.grant_id
	OR NEW.redirect_uri IS NOT OLD.redirect_uri OR NEW.redirect_given IS NOT OLD.redirect_given
	OR NEW.challenge IS NOT OLD.challenge OR NEW.thumbprint IS NOT OLD.thumbprint OR NEW.expires IS NOT OLD.expires
BEGIN
	SELECT RAISE(ABORT, 'strikeplate: a code is used once, and never changes else');
END;

CREATE TRIGGER strikeplate_tokens_taken BEFORE INSERT ON strikeplate_tokens
WHEN EXISTS (SELECT 1 FROM strikeplate_tokens WHERE hash = NEW.hash)
BEGIN
	SELECT RAISE(ABORT, 'strikeplate: the hash is taken');
END;
CREATE TRIGGER strikeplate_tokens_fixed BEFORE UPDATE ON strikeplate_tokens
WHEN OLD.rotated IS NOT NULL OR NEW.hash IS NOT OLD.hash OR NEW.kind IS NOT OLD.kind OR NEW.grant_id IS NOT OLD.grant_id
	OR NEW.scopes IS NOT OLD.scopes OR NEW.resources IS NOT OLD.resources OR NEW.thumbprint IS NOT OLD.thumbprint
	OR NEW.certificate IS NOT OLD.certificate OR NEW.created IS NOT OLD.created OR NEW.expires IS NOT OLD.expires
BEGIN
	SELECT RAISE(ABORT, 'strikeplate: a token is rotated once, and never changes else');
END;

-- What changed, for the other processes on this file. A new grant changes nothing
-- that anybody remembers, and one that was revoked was told of then.

CREATE TRIGGER strikeplate_apps_inserted AFTER INSERT ON strikeplate_apps
BEGIN
	INSERT INTO strikeplate_changes (subject, organisation, id, version) VALUES ('app', NEW.organisation, NEW.client_id, NEW.version);
END;
CREATE TRIGGER strikeplate_apps_updated AFTER UPDATE ON strikeplate_apps
BEGIN
	INSERT INTO strikeplate_changes (subject, organisation, id, version) VALUES ('app', NEW.organisation, NEW.client_id, NEW.version);
END;
CREATE TRIGGER strikeplate_apps_deleted AFTER DELETE ON strikeplate_apps
BEGIN
	INSERT INTO strikeplate_changes (subject, organisation, id, version) VALUES ('app', OLD.organisation, OLD.client_id, 0);
END;

CREATE TRIGGER strikeplate_blocks_inserted AFTER INSERT ON strikeplate_blocks
BEGIN
	INSERT INTO strikeplate_changes (subject, organisation, id, version) VALUES ('app', NEW.organisation, NEW.client_id, 0);
END;
CREATE TRIGGER strikeplate_blocks_deleted AFTER DELETE ON strikeplate_blocks
BEGIN
	INSERT INTO strikeplate_changes (subject, organisation, id, version) VALUES ('app', OLD.organisation, OLD.client_id, 0);
END;

CREATE TRIGGER strikeplate_grants_updated AFTER UPDATE ON strikeplate_grants
BEGIN
	INSERT INTO strikeplate_changes (subject, organisation, id, version) VALUES ('grant', NEW.organisation, NEW.id, NEW.version);
END;
CREATE TRIGGER strikeplate_grants_deleted AFTER DELETE ON strikeplate_grants
WHEN OLD.revoked IS NULL
BEGIN
	INSERT INTO strikeplate_changes (subject, organisation, id, version) VALUES ('grant', OLD.organisation, OLD.id, 0);
END;

INSERT INTO strikeplate_schema (version) VALUES (6);
