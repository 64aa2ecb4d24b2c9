package postgres

// statements are all queries that the store makes, rendered once for its schema
// and prefix. They name every column: a table that gained one stays readable.
type statements struct {
	prefix string
	// migrate.go, open.go
	exists, version, where, ready string
	// poll.go
	begins, look string
	// keys.go
	byLookup, byID, list, listLineage string
	// commit.go
	patience, lock, stored, taken, insert, update, count string
	// audit.go
	record, entries, newestEntries string
	// directory.go
	account, user, putAccount, putUser string
	// operator.go
	organisations, trim, forget, counted, eraseKeys, eraseUsers, eraseAccount, eraseDeliveries, eraseAudit string
	// delivery.go
	consumer, behind, shortWait, stopCounting, register, fill, undelivered, skip, served, acknowledge string

	usage   usageStatements
	replays replayStatements
	grants  grantStatements
}

const keyColumns = `id, lookup, lineage, organisation, name, last4, format, environment, access, scopes,
	owner, creator, allow, metadata, hash, sealed, secret_version, version, created, regenerated,
	expires, revoked, revoked_because`

const entryColumns = `organisation, position, actor_user, actor_organisation, actor_role, actor_scopes,
	actor_client, action, target, at, before::text, after::text`

// listKeys selects a page of keys.
func listKeys(and string) string {
	return `SELECT ` + keyColumns + ` FROM strikeplate_keys WHERE organisation = $1
		AND (created, id) < ($2::timestamptz, $3::text)
		AND ($4::text = '' OR ($4::text = 'unrevoked' AND revoked IS NULL) OR $4::text =
			CASE WHEN revoked IS NOT NULL THEN 'revoked' WHEN expires <= $5::timestamptz THEN 'expired' ELSE 'active' END) ` + and + `
		ORDER BY created DESC, id DESC LIMIT $6::integer`
}

func rendered(schema, prefix string) statements {
	sql := func(text string) string { return substitute(text, schema, prefix) }
	all := statements{
		prefix: prefix,

		// FROM a catalog, because locking a relation makes a session take note of what
		// others made. to_regclass alone repeats what it found before a wait.
		exists:  sql(`SELECT to_regclass('strikeplate_schema') IS NOT NULL FROM pg_class LIMIT 1`),
		version: sql(`SELECT coalesce(max(version), 0) FROM strikeplate_schema`),
		where: sql(`SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.oid = to_regclass('strikeplate_keys')`),
		ready: sql(`SELECT coalesce(max(version), 0), clock_timestamp() FROM strikeplate_schema`),

		byLookup:    sql(`SELECT ` + keyColumns + ` FROM strikeplate_keys WHERE lookup = $1`),
		byID:        sql(`SELECT ` + keyColumns + ` FROM strikeplate_keys WHERE organisation = $1 AND id = $2`),
		list:        sql(listKeys("")),
		listLineage: sql(listKeys("AND lineage = $7")),

		patience: `SELECT set_config('idle_in_transaction_session_timeout', '10s', true)`,
		lock: sql(`INSERT INTO strikeplate_organisations AS o (organisation, entries) VALUES ($1, $2)
			ON CONFLICT (organisation) DO UPDATE SET entries = o.entries + excluded.entries RETURNING entries`),
		stored: sql(`SELECT ` + keyColumns + ` FROM strikeplate_keys WHERE id = ANY($1::text[]) AND organisation = ANY($2::text[])
			ORDER BY id FOR UPDATE`),
		taken: sql(`SELECT id, lookup FROM strikeplate_keys WHERE id = ANY($1::text[]) OR lookup = ANY($2::text[])`),
		insert: sql(`INSERT INTO strikeplate_keys (` + keyColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,
			$10::text[], $11, $12, $13::text[], $14::text::jsonb, $15, $16::bytea, $17, 1, $18, $19, $20, $21, $22)`),
		update: sql(`UPDATE strikeplate_keys SET lookup = $3, name = $4, last4 = $5, allow = $6::text[],
			metadata = $7::text::jsonb, hash = $8, sealed = $9::bytea, secret_version = $10, version = version + 1,
			expires = $11, revoked = $12, revoked_because = $13, regenerated = $14 WHERE id = $1 AND version = $2`),
		count: sql(`SELECT count(*) FROM (SELECT FROM strikeplate_keys WHERE organisation = $1 AND revoked IS NULL
			AND (expires IS NULL OR expires > $2) LIMIT $3::bigint) AS active`),

		record: sql(`INSERT INTO strikeplate_audit (organisation, position, actor_user, actor_organisation, actor_role,
			actor_scopes, actor_client, action, target, at, before, after)
			VALUES ($1, $2, $3, $4, $5, $6::text[], $7, $8, $9, $10, $11::text::json, $12::text::json)`),
		entries: sql(`SELECT ` + entryColumns + ` FROM strikeplate_audit
			WHERE organisation = $1 AND position > $2 ORDER BY position LIMIT $3::integer`),
		newestEntries: sql(`SELECT ` + entryColumns + ` FROM strikeplate_audit
			WHERE organisation = $1 AND position < $2 ORDER BY position DESC LIMIT $3::integer`),

		account: sql(`SELECT organisation, plan, lapsed, settings FROM strikeplate_accounts WHERE organisation = $1`),
		user: sql(`SELECT id, organisation, name, role, active, scopes FROM strikeplate_users
			WHERE organisation = $1 AND id = $2`),
		putAccount: sql(`INSERT INTO strikeplate_accounts (organisation, plan, lapsed, settings)
			VALUES ($1, $2, $3, $4::text::jsonb) ON CONFLICT (organisation) DO UPDATE
			SET plan = excluded.plan, lapsed = excluded.lapsed, settings = excluded.settings`),
		putUser: sql(`INSERT INTO strikeplate_users AS u (id, organisation, name, role, active, scopes)
			VALUES ($1, $2, $3, $4, $5, $6::text[]) ON CONFLICT (id) DO UPDATE
			SET name = excluded.name, role = excluded.role, active = excluded.active, scopes = excluded.scopes
			WHERE u.organisation = excluded.organisation`),
	}
	all.renderPolling(sql)
	all.renderOperator(sql)
	all.renderDelivery(sql)
	all.usage = renderedUsage(sql)
	all.replays = renderedReplays(sql)
	all.grants = renderedGrants(sql)
	return all
}

func (all *statements) renderPolling(sql func(string) string) {
	all.begins = `SELECT pg_current_snapshot()::text, pg_postmaster_start_time()::text, pg_is_in_recovery()`
	// What the last look's snapshot didn't show and this statement's does. What is
	// older than every transaction that ran then was shown, so the index finds the
	// rest. A row is lacking if one was cleared away that wasn't.
	all.look = sql(`SELECT pg_current_snapshot()::text, pg_postmaster_start_time()::text,
			f.txid >= pg_snapshot_xmin(l.last), c.message
			FROM strikeplate_forgotten f CROSS JOIN (SELECT $1::text::pg_snapshot AS last) l
			LEFT JOIN strikeplate_changes c ON c.txid >= pg_snapshot_xmin(l.last) AND NOT pg_visible_in_snapshot(c.txid, l.last)
			LIMIT $2::integer`)
}

func (all *statements) renderOperator(sql func(string) string) {
	all.organisations = sql(`WITH RECURSIVE present AS (
			SELECT least((SELECT min(organisation) FROM strikeplate_keys WHERE organisation > $1::text),
				(SELECT min(organisation) FROM strikeplate_audit WHERE organisation > $1::text)) AS organisation
			UNION ALL
			SELECT least((SELECT min(k.organisation) FROM strikeplate_keys k WHERE k.organisation > present.organisation),
				(SELECT min(a.organisation) FROM strikeplate_audit a WHERE a.organisation > present.organisation))
			FROM present WHERE present.organisation IS NOT NULL
		) SELECT organisation FROM present WHERE organisation IS NOT NULL LIMIT $2::integer`)
	all.trim = sql(`WITH oldest AS (SELECT organisation, position FROM strikeplate_audit WHERE at < $1::timestamptz
			ORDER BY at, organisation, position LIMIT $2::integer FOR UPDATE SKIP LOCKED)
		DELETE FROM strikeplate_audit a USING oldest o WHERE a.organisation = o.organisation AND a.position = o.position`)
	all.forget = sql(`WITH oldest AS (SELECT organisation, position FROM strikeplate_audit
			WHERE at < $1::timestamptz AND actor_client <> ''
			ORDER BY at, organisation, position LIMIT $2::integer FOR UPDATE SKIP LOCKED)
		UPDATE strikeplate_audit a SET actor_client = '' FROM oldest o
		WHERE a.organisation = o.organisation AND a.position = o.position`)
	all.counted = sql(`SELECT entries FROM strikeplate_organisations WHERE organisation = $1 FOR UPDATE`)
	all.eraseKeys = sql(`DELETE FROM strikeplate_keys WHERE organisation = $1 RETURNING id`)
	all.eraseUsers = sql(`DELETE FROM strikeplate_users WHERE organisation = $1 RETURNING id`)
	all.eraseAccount = sql(`DELETE FROM strikeplate_accounts WHERE organisation = $1`)
	all.eraseDeliveries = sql(`DELETE FROM strikeplate_deliveries WHERE organisation = $1`)
	all.eraseAudit = sql(`DELETE FROM strikeplate_audit WHERE organisation = $1 AND position = ANY(ARRAY(
		SELECT position FROM strikeplate_audit WHERE organisation = $1 AND position <= $2::bigint
		ORDER BY position LIMIT $3::integer))`)
}

func (all *statements) renderDelivery(sql func(string) string) {
	all.consumer = sql(`SELECT filled FROM strikeplate_consumers WHERE consumer = $1`)
	// Round and round: those behind the organisation that was served last, then
	// those up to it.
	all.behind = sql(`WITH last AS (SELECT served FROM strikeplate_consumers WHERE consumer = $1::text)
		(SELECT organisation, acknowledged, entries FROM strikeplate_deliveries
			WHERE consumer = $1::text AND acknowledged < entries AND organisation > (SELECT served FROM last)
			ORDER BY organisation LIMIT $2::integer)
		UNION ALL
		(SELECT organisation, acknowledged, entries FROM strikeplate_deliveries
			WHERE consumer = $1::text AND acknowledged < entries AND organisation <= (SELECT served FROM last)
			ORDER BY organisation LIMIT $2::integer)
		LIMIT $2::integer`)
	all.shortWait = `SELECT set_config('lock_timeout', '1s', true)`
	// Every mutation writes to this table, so this waits for those under way.
	all.stopCounting = sql(`LOCK TABLE strikeplate_organisations IN SHARE ROW EXCLUSIVE MODE`)
	all.register = sql(`WITH added AS (INSERT INTO strikeplate_consumers (consumer) SELECT $1::text
			WHERE (SELECT count(*) FROM strikeplate_consumers) < $2::bigint ON CONFLICT DO NOTHING RETURNING consumer)
		SELECT EXISTS (SELECT FROM added) OR EXISTS (SELECT FROM strikeplate_consumers WHERE consumer = $1::text)`)
	all.fill = sql(`WITH batch AS (SELECT organisation, entries FROM strikeplate_organisations
			WHERE organisation > $2::text ORDER BY organisation LIMIT 1000),
		added AS (INSERT INTO strikeplate_deliveries (organisation, consumer, acknowledged, entries)
			SELECT organisation, $1::text, 0, entries FROM batch WHERE entries > 0
			ORDER BY organisation ON CONFLICT DO NOTHING)
		UPDATE strikeplate_consumers SET filled = (SELECT max(organisation) FROM batch)
		WHERE consumer = $1::text AND filled = $2::text`)
	all.undelivered = sql(`SELECT a.* FROM unnest($1::text[], $2::bigint[], $3::bigint[]) WITH ORDINALITY
			AS behind (organisation, acknowledged, share, turn)
		CROSS JOIN LATERAL (SELECT ` + entryColumns + ` FROM strikeplate_audit
			WHERE organisation = behind.organisation AND position > behind.acknowledged
			ORDER BY position LIMIT behind.share) AS a ORDER BY behind.turn, a.position`)
	// Locked in the order in which mutations lock.
	all.skip = sql(`WITH gone AS (SELECT d.organisation, g.entries
			FROM unnest($2::text[], $3::bigint[]) AS g (organisation, entries)
			JOIN strikeplate_deliveries d ON d.organisation = g.organisation AND d.consumer = $1::text
			ORDER BY d.organisation FOR UPDATE OF d)
		UPDATE strikeplate_deliveries d SET acknowledged = gone.entries FROM gone
		WHERE d.organisation = gone.organisation AND d.consumer = $1::text AND d.acknowledged < gone.entries`)
	all.served = sql(`UPDATE strikeplate_consumers SET served = $2 WHERE consumer = $1 AND served <> $2`)
	// Whether the consumer is known is answered by the same snapshot, for one that
	// others make known meanwhile must not pass for one that was acknowledged.
	all.acknowledge = sql(`WITH known AS (SELECT consumer FROM strikeplate_consumers WHERE consumer = $1::text),
		done AS (INSERT INTO strikeplate_deliveries AS d (organisation, consumer, acknowledged, entries)
			SELECT o.organisation, known.consumer, least($3::bigint, o.entries), o.entries
			FROM strikeplate_organisations o, known WHERE o.organisation = $2::text
			ON CONFLICT (organisation, consumer) DO UPDATE SET acknowledged = least($3::bigint, d.entries)
			WHERE d.acknowledged < least($3::bigint, d.entries))
		SELECT EXISTS (SELECT FROM known)`)
}
