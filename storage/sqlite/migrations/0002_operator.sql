-- Strikeplate's schema, version 2: what the service's own upkeep needs
-- (storage.Operator): delivery of the audit log, retention, erasure.
--
-- Valid as it is, in one transaction, with the default prefix. The last
-- statement records the version that package sqlite looks for.

-- Retention finds what is old, and which of it still has an address.
CREATE INDEX strikeplate_audit_oldest ON strikeplate_audit (at);
CREATE INDEX strikeplate_audit_addresses ON strikeplate_audit (at) WHERE actor_client <> '';

-- Erasure finds an organisation's users.
CREATE INDEX strikeplate_users_organisation ON strikeplate_users (organisation);

-- An address may be forgotten; all else in the log stays as it was written.
DROP TRIGGER strikeplate_audit_fixed;
CREATE TRIGGER strikeplate_audit_fixed BEFORE UPDATE ON strikeplate_audit
WHEN NEW.actor_client <> '' OR NEW.position IS NOT OLD.position OR NEW.organisation IS NOT OLD.organisation
	OR NEW.actor_user IS NOT OLD.actor_user OR NEW.actor_organisation IS NOT OLD.actor_organisation
	OR NEW.actor_role IS NOT OLD.actor_role OR NEW.actor_scopes IS NOT OLD.actor_scopes
	OR NEW.action IS NOT OLD.action OR NEW.target IS NOT OLD.target OR NEW.at IS NOT OLD.at
	OR NEW.before IS NOT OLD.before OR NEW.after IS NOT OLD.after
BEGIN
	SELECT RAISE(ABORT, 'strikeplate: the audit log is only added to');
END;

-- Who follows the audit logs of all organisations. To be rid of a consumer,
-- delete its row here, then those of strikeplate_deliveries.
CREATE TABLE strikeplate_consumers (
	consumer TEXT NOT NULL PRIMARY KEY,
	served   TEXT NOT NULL DEFAULT '', -- the organisation that the last delivery ended with
	filled   TEXT DEFAULT ''           -- organisations up to here have a row below; NULL: all have
) STRICT;

-- How far each consumer is in each organisation's log. A row is behind if
-- acknowledged < newest, and an index holds those rows alone: looking for news
-- costs nothing where there are none, however many organisations there are.
CREATE TABLE strikeplate_deliveries (
	organisation TEXT NOT NULL,
	consumer     TEXT NOT NULL,
	acknowledged INTEGER NOT NULL, -- a position
	newest       INTEGER NOT NULL, -- a position
	PRIMARY KEY (organisation, consumer)
) STRICT, WITHOUT ROWID;

CREATE INDEX strikeplate_deliveries_behind ON strikeplate_deliveries (consumer, organisation)
WHERE acknowledged < newest;

-- It is a trigger, so that a process of an older release does the same.
CREATE TRIGGER strikeplate_audit_added AFTER INSERT ON strikeplate_audit
BEGIN
	INSERT INTO strikeplate_deliveries (organisation, consumer, acknowledged, newest)
		SELECT NEW.organisation, consumer, 0, NEW.position FROM strikeplate_consumers WHERE TRUE
		ON CONFLICT (organisation, consumer) DO UPDATE SET newest = excluded.newest;
END;

INSERT INTO strikeplate_schema (version) VALUES (2);
