-- Strikeplate's schema, version 1: keys, their audit log, a directory, and the
-- triggers that record what changed.
--
-- Valid as it is, in one transaction, with the default prefix. The last
-- statement records the version that package sqlite looks for.
--
-- Times are microseconds since 1970, UTC. Lists and maps are JSON.

CREATE TABLE strikeplate_schema (
	version INTEGER PRIMARY KEY,
	applied INTEGER NOT NULL DEFAULT (unixepoch()) -- seconds, for people
) STRICT;

CREATE TABLE strikeplate_keys (
	id              TEXT NOT NULL PRIMARY KEY,
	lookup          TEXT NOT NULL UNIQUE,
	lineage         TEXT NOT NULL,
	organisation    TEXT NOT NULL,
	name            TEXT NOT NULL,
	last4           TEXT NOT NULL,
	format          TEXT NOT NULL,
	environment     TEXT NOT NULL,
	access          TEXT NOT NULL,
	scopes          TEXT NOT NULL,
	owner           TEXT NOT NULL,
	creator         TEXT NOT NULL,
	allow           TEXT NOT NULL,
	metadata        TEXT NOT NULL,
	hash            TEXT NOT NULL,
	sealed          BLOB,
	secret_version  INTEGER NOT NULL,
	version         INTEGER NOT NULL,
	created         INTEGER NOT NULL,
	expires         INTEGER, -- NULL: never
	revoked         INTEGER, -- NULL: not
	revoked_because TEXT NOT NULL
) STRICT;

-- Listing: newest first within an organisation.
CREATE INDEX strikeplate_keys_newest ON strikeplate_keys (organisation, created, id);
-- Counting against the limit, without reading the rows.
CREATE INDEX strikeplate_keys_unrevoked ON strikeplate_keys (organisation, expires) WHERE revoked IS NULL;

-- Any program that writes to these tables is held to what Commit promises.

CREATE TRIGGER strikeplate_keys_taken BEFORE INSERT ON strikeplate_keys
WHEN EXISTS (SELECT 1 FROM strikeplate_keys WHERE id = NEW.id)
	OR EXISTS (SELECT 1 FROM strikeplate_keys WHERE lookup = NEW.lookup)
BEGIN
	SELECT RAISE(ABORT, 'strikeplate: the id or lookup is taken'); -- also by INSERT OR REPLACE
END;

CREATE TRIGGER strikeplate_keys_revoked BEFORE UPDATE ON strikeplate_keys
WHEN OLD.revoked IS NOT NULL
BEGIN
	SELECT RAISE(ABORT, 'strikeplate: a revoked key never changes again');
END;

CREATE TRIGGER strikeplate_keys_permanent BEFORE UPDATE ON strikeplate_keys
WHEN NEW.id IS NOT OLD.id OR NEW.lineage IS NOT OLD.lineage OR NEW.organisation IS NOT OLD.organisation
	OR NEW.format IS NOT OLD.format OR NEW.environment IS NOT OLD.environment OR NEW.access IS NOT OLD.access
	OR NEW.scopes IS NOT OLD.scopes OR NEW.owner IS NOT OLD.owner OR NEW.creator IS NOT OLD.creator
	OR NEW.created IS NOT OLD.created
BEGIN
	SELECT RAISE(ABORT, 'strikeplate: the column is fixed at creation');
END;

CREATE TRIGGER strikeplate_keys_version BEFORE UPDATE ON strikeplate_keys
WHEN NEW.version <= OLD.version
BEGIN
	SELECT RAISE(ABORT, 'strikeplate: the version must rise with every change');
END;

-- The log is read in the order of position, which is the order of commits:
-- SQLite has one writer at a time.
CREATE TABLE strikeplate_audit (
	position           INTEGER PRIMARY KEY AUTOINCREMENT,
	organisation       TEXT NOT NULL,
	actor_user         TEXT NOT NULL,
	actor_organisation TEXT NOT NULL,
	actor_role         TEXT NOT NULL,
	actor_scopes       TEXT NOT NULL,
	actor_client       TEXT NOT NULL, -- an address, or empty
	action             TEXT NOT NULL,
	target             TEXT NOT NULL,
	at                 INTEGER NOT NULL,
	before             TEXT,
	after              TEXT
) STRICT;

CREATE INDEX strikeplate_audit_organisation ON strikeplate_audit (organisation, position);

CREATE TRIGGER strikeplate_audit_fixed BEFORE UPDATE ON strikeplate_audit
BEGIN
	SELECT RAISE(ABORT, 'strikeplate: the audit log is only added to');
END;

CREATE TABLE strikeplate_accounts (
	organisation TEXT NOT NULL PRIMARY KEY,
	plan         TEXT NOT NULL,
	lapsed       INTEGER NOT NULL,
	settings     TEXT NOT NULL
) STRICT;

CREATE TABLE strikeplate_users (
	id           TEXT NOT NULL PRIMARY KEY,
	organisation TEXT NOT NULL,
	name         TEXT NOT NULL,
	role         TEXT NOT NULL,
	active       INTEGER NOT NULL,
	scopes       TEXT -- NULL narrows nothing, [] leaves nothing
) STRICT;

-- What changed, for the other processes on this file. Triggers write it, so
-- that the changes of other programs are seen as well.
CREATE TABLE strikeplate_changes (
	seq          INTEGER PRIMARY KEY AUTOINCREMENT,
	subject      TEXT NOT NULL,
	organisation TEXT NOT NULL,
	id           TEXT NOT NULL,
	version      INTEGER NOT NULL
) STRICT;

-- The last 10,000 changes are kept, give or take a hundred.
CREATE TRIGGER strikeplate_changes_bound AFTER INSERT ON strikeplate_changes
WHEN NEW.seq % 100 = 0
BEGIN
	DELETE FROM strikeplate_changes WHERE seq <= NEW.seq - 10000;
END;

CREATE TRIGGER strikeplate_keys_inserted AFTER INSERT ON strikeplate_keys
BEGIN
	INSERT INTO strikeplate_changes (subject, organisation, id, version) VALUES ('key', NEW.organisation, NEW.id, NEW.version);
END;
CREATE TRIGGER strikeplate_keys_updated AFTER UPDATE ON strikeplate_keys
BEGIN
	INSERT INTO strikeplate_changes (subject, organisation, id, version) VALUES ('key', NEW.organisation, NEW.id, NEW.version);
END;
CREATE TRIGGER strikeplate_keys_deleted AFTER DELETE ON strikeplate_keys
BEGIN
	INSERT INTO strikeplate_changes (subject, organisation, id, version) VALUES ('key', OLD.organisation, OLD.id, 0);
END;

CREATE TRIGGER strikeplate_accounts_inserted AFTER INSERT ON strikeplate_accounts
BEGIN
	INSERT INTO strikeplate_changes (subject, organisation, id, version) VALUES ('account', NEW.organisation, NEW.organisation, 0);
END;
CREATE TRIGGER strikeplate_accounts_updated AFTER UPDATE ON strikeplate_accounts
BEGIN
	INSERT INTO strikeplate_changes (subject, organisation, id, version) VALUES ('account', NEW.organisation, NEW.organisation, 0);
END;
CREATE TRIGGER strikeplate_accounts_deleted AFTER DELETE ON strikeplate_accounts
BEGIN
	INSERT INTO strikeplate_changes (subject, organisation, id, version) VALUES ('account', OLD.organisation, OLD.organisation, 0);
END;

CREATE TRIGGER strikeplate_users_inserted AFTER INSERT ON strikeplate_users
BEGIN
	INSERT INTO strikeplate_changes (subject, organisation, id, version) VALUES ('user', NEW.organisation, NEW.id, 0);
END;
CREATE TRIGGER strikeplate_users_updated AFTER UPDATE ON strikeplate_users
BEGIN
	INSERT INTO strikeplate_changes (subject, organisation, id, version) VALUES ('user', NEW.organisation, NEW.id, 0);
END;
CREATE TRIGGER strikeplate_users_deleted AFTER DELETE ON strikeplate_users
BEGIN
	INSERT INTO strikeplate_changes (subject, organisation, id, version) VALUES ('user', OLD.organisation, OLD.id, 0);
END;

INSERT INTO strikeplate_schema (version) VALUES (1);
