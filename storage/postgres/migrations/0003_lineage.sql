-- Strikeplate's schema, version 3: when a key's secret was last replaced, and
-- the keys of one lineage.
--
-- Valid as it is, in one transaction, with the default prefix. The last
-- statement records the version that package postgres looks for.

ALTER TABLE strikeplate_keys ADD COLUMN regenerated timestamptz; -- null: never

CREATE INDEX strikeplate_keys_lineage ON strikeplate_keys (organisation, lineage, created DESC, id DESC);

INSERT INTO strikeplate_schema (version) VALUES (3);
