package sqlite

import (
	"context"
	"database/sql"
	"slices"
)

// statements are prepared once; database/sql prepares them again for each new
// connection of their pool.
type statements struct {
	// On the pool of readers.
	byLookup, byID, list, listLineage, entries, newestEntries, lastPosition, account, user *sql.Stmt
	// Within a transaction of the writer.
	current, holder, insert, update, active, audit, putAccount, putUser *sql.Stmt

	// For the operator: on the pool of readers, then within a transaction.
	organisations, consumer, behindAfter, behindUpTo                     *sql.Stmt
	trim, forget, newestPosition, eraseKeys, eraseUsers, eraseAccount    *sql.Stmt
	eraseDeliveries, eraseAudit                                          *sql.Stmt
	register, known, filled, logsAfter, await, fill, acknowledge, served *sql.Stmt

	usage   usageStatements
	replays replayStatements
	grants  grantStatements
}

// listKeys selects a page of keys.
func listKeys(and string) string {
	return `SELECT ` + keyColumns + ` FROM strikeplate_keys
		WHERE organisation = ?1 AND (created, id) < (?2, ?3)
		AND CASE WHEN revoked IS NOT NULL THEN ?7 WHEN expires <= ?4 THEN ?6 ELSE ?5 END ` + and + `
		ORDER BY created DESC, id DESC LIMIT ?8`
}

// statement is a text to prepare on one of the pools.
type statement struct {
	to   **sql.Stmt
	on   *sql.DB
	text string
}

func (p statement) prepare(ctx context.Context, prefix string) (*sql.Stmt, error) {
	return p.on.PrepareContext(ctx, withPrefix(p.text, prefix))
}

const keyColumns = `id, lookup, lineage, organisation, name, last4, format, environment, access, scopes, owner, creator,
	allow, metadata, hash, sealed, secret_version, version, created, regenerated, expires,
	revoked, revoked_because`

// entries are an organisation's; a condition on their positions follows.
const entries = `SELECT position, organisation, actor_user, actor_organisation, actor_role, actor_scopes,
	actor_client, action, target, at, before, after FROM strikeplate_audit WHERE organisation = ? AND `

func prepare(ctx context.Context, s *Store) (statements, error) {
	var all statements
	for _, p := range slices.Concat(all.ofTenants(s), all.ofOperator(s), all.usage.texts(s), all.replays.texts(s), all.grants.texts(s)) {
		var err error
		if *p.to, err = p.prepare(ctx, s.config.Prefix); err != nil { //nolint:sqlclosecheck // closed with its pool
			return all, err
		}
	}
	return all, nil
}

func (all *statements) ofTenants(s *Store) []statement {
	return []statement{
		{&all.byLookup, s.reader, `SELECT ` + keyColumns + ` FROM strikeplate_keys WHERE lookup = ?`},
		{&all.byID, s.reader, `SELECT ` + keyColumns + ` FROM strikeplate_keys WHERE id = ? AND organisation = ?`},
		// ?2, ?3: the last key of the page before. ?4: judged at. ?5, ?6, ?7: which states.
		{&all.list, s.reader, listKeys("")},
		{&all.listLineage, s.reader, listKeys("AND lineage = ?9")},
		{&all.entries, s.reader, entries + `position > ? ORDER BY position LIMIT ?`},
		{&all.newestEntries, s.reader, entries + `position < ? ORDER BY position DESC LIMIT ?`},
		{&all.lastPosition, s.reader, `SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'strikeplate_audit'`},
		{&all.account, s.reader, `SELECT plan, lapsed, settings FROM strikeplate_accounts WHERE organisation = ?`},
		{&all.user, s.reader, `SELECT name, role, active, scopes FROM strikeplate_users WHERE id = ? AND organisation = ?`},

		{&all.current, s.writer, `SELECT ` + keyColumns + ` FROM strikeplate_keys WHERE id = ?`},
		{&all.holder, s.writer, `SELECT id FROM strikeplate_keys WHERE lookup = ?`},
		{&all.insert, s.writer, `INSERT INTO strikeplate_keys (` + keyColumns + `)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23)`},
		{&all.update, s.writer, `UPDATE strikeplate_keys SET lookup = ?2, name = ?3, last4 = ?4, allow = ?5, metadata = ?6,
			hash = ?7, sealed = ?8, secret_version = ?9, version = ?10, expires = ?11, revoked = ?12, revoked_because = ?13,
			regenerated = ?14
			WHERE id = ?1`},
		{&all.active, s.writer, `SELECT count(*) FROM strikeplate_keys
			WHERE organisation = ? AND revoked IS NULL AND (expires IS NULL OR expires > ?)`},
		{&all.audit, s.writer, `INSERT INTO strikeplate_audit (organisation, actor_user, actor_organisation, actor_role,
			actor_scopes, actor_client, action, target, at, before, after) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`},
		{&all.putAccount, s.writer, `INSERT INTO strikeplate_accounts (organisation, plan, lapsed, settings) VALUES (?, ?, ?, ?)
			ON CONFLICT (organisation) DO UPDATE SET plan = excluded.plan, lapsed = excluded.lapsed, settings = excluded.settings`},
		{&all.putUser, s.writer, `INSERT INTO strikeplate_users (id, organisation, name, role, active, scopes) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET name = excluded.name, role = excluded.role, active = excluded.active,
			scopes = excluded.scopes WHERE organisation = excluded.organisation`},
	}
}

func (all *statements) ofOperator(s *Store) []statement {
	// The next organisation by each index. min and max of SQLite are NULL if one
	// argument is.
	next := func(after string) string {
		key := `(SELECT organisation FROM strikeplate_keys WHERE organisation > ` + after + ` ORDER BY organisation LIMIT 1)`
		entry := `(SELECT organisation FROM strikeplate_audit WHERE organisation > ` + after + ` ORDER BY organisation LIMIT 1)`
		return `coalesce(min(` + key + `, ` + entry + `), ` + key + `, ` + entry + `)`
	}
	behind := `SELECT organisation, acknowledged, newest FROM strikeplate_deliveries
		WHERE consumer = ?1 AND acknowledged < newest AND organisation `
	return []statement{
		{&all.organisations, s.reader, `WITH RECURSIVE present (name) AS (SELECT ` + next("?1") + `
			UNION ALL SELECT ` + next("present.name") + ` FROM present WHERE name IS NOT NULL)
			SELECT name FROM present WHERE name IS NOT NULL LIMIT ?2`},
		{&all.consumer, s.reader, `SELECT served, filled FROM strikeplate_consumers WHERE consumer = ?`},
		{&all.behindAfter, s.reader, behind + `> ?2 ORDER BY organisation LIMIT ?3`},
		{&all.behindUpTo, s.reader, behind + `<= ?2 ORDER BY organisation LIMIT ?3`},

		{&all.trim, s.writer, `DELETE FROM strikeplate_audit WHERE position IN (
			SELECT position FROM strikeplate_audit WHERE at < ? ORDER BY at, position LIMIT ?)`},
		{&all.forget, s.writer, `UPDATE strikeplate_audit SET actor_client = '' WHERE position IN (
			SELECT position FROM strikeplate_audit WHERE at < ? AND actor_client <> '' ORDER BY at, position LIMIT ?)`},
		{&all.newestPosition, s.writer, `SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'strikeplate_audit'`},
		{&all.eraseKeys, s.writer, `DELETE FROM strikeplate_keys WHERE organisation = ? RETURNING id`},
		{&all.eraseUsers, s.writer, `DELETE FROM strikeplate_users WHERE organisation = ? RETURNING id`},
		{&all.eraseAccount, s.writer, `DELETE FROM strikeplate_accounts WHERE organisation = ?`},
		{&all.eraseDeliveries, s.writer, `DELETE FROM strikeplate_deliveries WHERE organisation = ?`},
		{&all.eraseAudit, s.writer, `DELETE FROM strikeplate_audit WHERE position IN (
			SELECT position FROM strikeplate_audit WHERE organisation = ? AND position <= ? ORDER BY position LIMIT ?)`},

		{&all.register, s.writer, `INSERT INTO strikeplate_consumers (consumer) SELECT ?1
			WHERE (SELECT count(*) FROM strikeplate_consumers) < ?2 ON CONFLICT DO NOTHING`},
		{&all.known, s.writer, `SELECT EXISTS (SELECT 1 FROM strikeplate_consumers WHERE consumer = ?)`},
		{&all.filled, s.writer, `SELECT filled FROM strikeplate_consumers WHERE consumer = ?`},
		{&all.logsAfter, s.writer, `WITH RECURSIVE present (name) AS (
			SELECT (SELECT organisation FROM strikeplate_audit WHERE organisation > ?1 ORDER BY organisation LIMIT 1)
			UNION ALL
			SELECT (SELECT organisation FROM strikeplate_audit WHERE organisation > present.name ORDER BY organisation LIMIT 1)
			FROM present WHERE name IS NOT NULL)
			SELECT name FROM present WHERE name IS NOT NULL LIMIT ?2`},
		{&all.await, s.writer, `INSERT INTO strikeplate_deliveries (organisation, consumer, acknowledged, newest)
			SELECT organisation, ?2, 0, position FROM strikeplate_audit WHERE organisation = ?1
			ORDER BY position DESC LIMIT 1 ON CONFLICT DO NOTHING`},
		{&all.fill, s.writer, `UPDATE strikeplate_consumers SET filled = ?2 WHERE consumer = ?1`},
		{&all.acknowledge, s.writer, `UPDATE strikeplate_deliveries SET acknowledged = min(?3, newest)
			WHERE consumer = ?1 AND organisation = ?2 AND acknowledged < min(?3, newest)`},
		{&all.served, s.writer, `UPDATE strikeplate_consumers SET served = ?2 WHERE consumer = ?1 AND served <> ?2`},
	}
}
