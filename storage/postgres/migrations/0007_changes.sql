-- Strikeplate's schema, version 7: what changed is written down as well, for
-- instances that can't listen: they look for it (Config.Poll of package postgres).

-- One row for each announcement, with the transaction that made it: a reader that
-- keeps the snapshot of its last look finds exactly those which that didn't see,
-- whatever the order in which transactions began and ended.
CREATE TABLE strikeplate_changes (
	txid    xid8 NOT NULL DEFAULT pg_current_xact_id(),
	at      timestamptz NOT NULL DEFAULT clock_timestamp(),
	message text NOT NULL -- as announced
);

CREATE INDEX strikeplate_changes_txid ON strikeplate_changes (txid);

-- Up to which transaction rows are gone: a reader whose last look was before that
-- has missed some, and sees here that it has.
CREATE TABLE strikeplate_forgotten (
	one  boolean PRIMARY KEY DEFAULT true CHECK (one),
	txid xid8 NOT NULL
);
INSERT INTO strikeplate_forgotten (txid) VALUES ('0');

-- Tells the watchers, as before, and writes it down. It does so with the rights of
-- the tables' owner, so that whoever may change a key need not be given more; hence
-- nobody else may make triggers of it, and it looks for nothing by search_path.
CREATE OR REPLACE FUNCTION strikeplate_changed() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	message text := '["lost"]';
	changed jsonb;
	free boolean;
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
	EXECUTE format('INSERT INTO %I.strikeplate_changes (message) VALUES ($1)', TG_TABLE_SCHEMA) USING message;

	-- Now and then somebody clears away what is older than ten minutes, unless
	-- somebody else does, or would fail for a snapshot of its own.
	IF random() < 0.01 AND current_setting('transaction_isolation') = 'read committed' THEN
		EXECUTE format('SELECT true FROM %I.strikeplate_forgotten FOR UPDATE SKIP LOCKED', TG_TABLE_SCHEMA) INTO free;
		IF free THEN
			EXECUTE format('WITH gone AS (DELETE FROM %1$I.strikeplate_changes WHERE ctid = ANY(ARRAY(
					SELECT ctid FROM %1$I.strikeplate_changes
					WHERE txid < pg_snapshot_xmin(pg_current_snapshot()) AND at < clock_timestamp() - interval ''10 minutes''
					ORDER BY txid LIMIT 2000)) RETURNING txid)
				UPDATE %1$I.strikeplate_forgotten f SET txid = last.txid
				FROM (SELECT txid FROM gone ORDER BY txid DESC LIMIT 1) AS last WHERE last.txid > f.txid', TG_TABLE_SCHEMA);
		END IF;
	END IF;
	RETURN NULL;
END $$;

REVOKE ALL ON FUNCTION strikeplate_changed() FROM PUBLIC;

INSERT INTO strikeplate_schema (version) VALUES (7);
