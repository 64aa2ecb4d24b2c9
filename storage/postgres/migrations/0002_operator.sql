-- Strikeplate's schema, version 2: what the service's own upkeep needs
-- (storage.Operator): delivery of the audit log, retention, erasure.
--
-- Valid as it is, in one transaction, with the default prefix. Mutations wait
-- while the indexes are built. The last statement records the version that
-- package postgres looks for.

-- Retention finds what is old, and which of it still has an address. The whole
-- order is in the index: an import may give a million entries one time.
CREATE INDEX strikeplate_audit_oldest ON strikeplate_audit (at, organisation, position);
CREATE INDEX strikeplate_audit_addresses ON strikeplate_audit (at, organisation, position) WHERE actor_client <> '';

-- Erasure finds an organisation's users.
CREATE INDEX strikeplate_users_organisation ON strikeplate_users (organisation);

-- Who follows the audit logs of all organisations. To be rid of a consumer,
-- delete its row here, then those of strikeplate_deliveries.
CREATE TABLE strikeplate_consumers (
	consumer text COLLATE "C" PRIMARY KEY,
	served   text COLLATE "C" NOT NULL DEFAULT '', -- the organisation that the last delivery ended with
	filled   text COLLATE "C" DEFAULT ''           -- organisations up to here have a row below; null: all have
);

-- How far each consumer is in each organisation's log. A row is behind if
-- acknowledged < entries, and an index holds those rows alone: looking for news
-- costs nothing where there are none, however many organisations there are.
CREATE TABLE strikeplate_deliveries (
	organisation text COLLATE "C" NOT NULL,
	consumer     text COLLATE "C" NOT NULL,
	acknowledged bigint NOT NULL,
	entries      bigint NOT NULL, -- as in strikeplate_organisations
	PRIMARY KEY (organisation, consumer)
);

CREATE INDEX strikeplate_deliveries_behind ON strikeplate_deliveries (consumer, organisation)
	WHERE acknowledged < entries;

-- Every mutation that writes audit entries counts them in its organisation's
-- row, under that row's lock; this carries the count on to each consumer's row.
-- It is a trigger, so that an instance of an older release does the same.
CREATE FUNCTION strikeplate_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('INSERT INTO %1$I.strikeplate_deliveries (organisation, consumer, acknowledged, entries)
		SELECT $1, consumer, 0, $2 FROM %1$I.strikeplate_consumers ORDER BY consumer
		ON CONFLICT (organisation, consumer) DO UPDATE SET entries = excluded.entries', TG_TABLE_SCHEMA)
		USING NEW.organisation, NEW.entries;
	RETURN NULL;
END $$;

CREATE TRIGGER strikeplate_first_counted AFTER INSERT ON strikeplate_organisations
	FOR EACH ROW WHEN (NEW.entries > 0) EXECUTE FUNCTION strikeplate_counted();
CREATE TRIGGER strikeplate_counted AFTER UPDATE ON strikeplate_organisations
	FOR EACH ROW WHEN (NEW.entries <> OLD.entries) EXECUTE FUNCTION strikeplate_counted();

-- A role that may count entries may carry them on: instances that run while
-- this is applied keep running.
DO $$
DECLARE
	grantee text;
BEGIN
	FOR grantee IN
		SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
		FROM pg_class c, aclexplode(c.relacl) a
		WHERE c.oid = to_regclass('strikeplate_organisations') AND a.privilege_type = 'UPDATE'
	LOOP
		EXECUTE 'GRANT SELECT, INSERT, UPDATE ON strikeplate_consumers, strikeplate_deliveries TO ' || grantee;
	END LOOP;
END $$;

INSERT INTO strikeplate_schema (version) VALUES (2);
