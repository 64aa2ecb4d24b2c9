package postgres

// statements are all queries that the store makes, rendered once for its schema
// and prefix. They name every column: a table that gained one stays readable.
type statements struct {
	prefix string
	// migrate.go, open.go
	exists, version, where, ready string
	// keys.go
	byLookup, byID, list string
	// commit.go
	patience, lock, stored, taken, insert, update, count string
	// audit.go
	record, entries string
	// directory.go
	account, user, putAccount, putUser string
}

const keyColumns = `id, lookup, lineage, organisation, name, last4, format, environment, access, scopes,
	owner, creator, allow, metadata, hash, sealed, secret_version, version, created, expires, revoked,
	revoked_because`

func rendered(schema, prefix string) statements {
	sql := func(text string) string { return substitute(text, schema, prefix) }
	return statements{
		prefix: prefix,

		exists:  sql(`SELECT to_regclass('strikeplate_schema') IS NOT NULL`),
		version: sql(`SELECT coalesce(max(version), 0) FROM strikeplate_schema`),
		where: sql(`SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.oid = to_regclass('strikeplate_keys')`),
		ready: sql(`SELECT coalesce(max(version), 0), clock_timestamp() FROM strikeplate_schema`),

		byLookup: sql(`SELECT ` + keyColumns + ` FROM strikeplate_keys WHERE lookup = $1`),
		byID:     sql(`SELECT ` + keyColumns + ` FROM strikeplate_keys WHERE organisation = $1 AND id = $2`),
		list: sql(`SELECT ` + keyColumns + ` FROM strikeplate_keys WHERE organisation = $1
			AND (created, id) < ($2::timestamptz, $3::text)
			AND ($4::text = '' OR ($4::text = 'unrevoked' AND revoked IS NULL) OR $4::text =
				CASE WHEN revoked IS NOT NULL THEN 'revoked' WHEN expires <= $5::timestamptz THEN 'expired' ELSE 'active' END)
			ORDER BY created DESC, id DESC LIMIT $6::integer`),

		patience: `SELECT set_config('idle_in_transaction_session_timeout', '10s', true)`,
		lock: sql(`INSERT INTO strikeplate_organisations AS o (organisation, entries) VALUES ($1, $2)
			ON CONFLICT (organisation) DO UPDATE SET entries = o.entries + excluded.entries RETURNING entries`),
		stored: sql(`SELECT ` + keyColumns + ` FROM strikeplate_keys WHERE id = ANY($1::text[]) AND organisation = ANY($2::text[])
			ORDER BY id FOR UPDATE`),
		taken: sql(`SELECT id, lookup FROM strikeplate_keys WHERE id = ANY($1::text[]) OR lookup = ANY($2::text[])`),
		insert: sql(`INSERT INTO strikeplate_keys (` + keyColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,
			$10::text[], $11, $12, $13::text[], $14::text::jsonb, $15, $16::bytea, $17, 1, $18, $19, $20, $21)`),
		update: sql(`UPDATE strikeplate_keys SET lookup = $3, name = $4, last4 = $5, allow = $6::text[],
			metadata = $7::text::jsonb, hash = $8, sealed = $9::bytea, secret_version = $10, version = version + 1,
			expires = $11, revoked = $12, revoked_because = $13 WHERE id = $1 AND version = $2`),
		count: sql(`SELECT count(*) FROM (SELECT FROM strikeplate_keys WHERE organisation = $1 AND revoked IS NULL
			AND (expires IS NULL OR expires > $2) LIMIT $3::bigint) AS active`),

		record: sql(`INSERT INTO strikeplate_audit (organisation, position, actor_user, actor_organisation, actor_role,
			actor_scopes, actor_client, action, target, at, before, after)
			VALUES ($1, $2, $3, $4, $5, $6::text[], $7, $8, $9, $10, $11::text::json, $12::text::json)`),
		entries: sql(`SELECT organisation, position, actor_user, actor_organisation, actor_role, actor_scopes,
			actor_client, action, target, at, before::text, after::text FROM strikeplate_audit
			WHERE organisation = $1 AND position > $2 ORDER BY position LIMIT $3::integer`),

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
}
