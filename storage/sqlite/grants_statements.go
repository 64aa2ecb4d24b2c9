package sqlite

import (
	"database/sql"
	"strings"
)

// grantStatements are of apps and grants.
type grantStatements struct {
	// On the pool of readers.
	app, listApps, blocks                                                  *sql.Stmt
	grant, list, listSubject, listClient, listBoth, consent, code, present *sql.Stmt

	// Within a transaction of the writer: apps.go
	currentApp, insertApp, updateApp, unrevokedApps, revokeApp, forgetApp *sql.Stmt
	block, unblock, revokeClient, forgetClient, pruneApps                 *sql.Stmt
	// grants.go
	begin, agree, agreed, addCode, addToken, known                                 *sql.Stmt
	revokeID, revokeSubject, revokeBoth, forgetSubject, forgetBoth                 *sql.Stmt
	holds, ofCode, takenCode, useCode, reused, ofToken, token, rotate, drop, touch *sql.Stmt
	push, take, useOnce, eraseGrants, eraseConsents                                *sql.Stmt
	eraseBlocks, erasePushed, eraseApps                                            *sql.Stmt
	pruneCodes, pruneCodesOver, pruneTokens, pruneTokensOver                       *sql.Stmt
	prunePushed, pruneOnce, pruneGrants                                            *sql.Stmt
}

// The columns of each table, in the order in which they are scanned and written.
const (
	appColumns = `a.client_id, a.organisation, a.name, a.homepage, a.creator, a.source, a.public, a.secrets, a.redirect_uris,
		a.origins, a.scopes, a.client_credentials, a.insecure_no_pkce, a.version, a.created, a.revoked, a.revoked_because`
	grantColumns = `g.id, g.client_id, g.organisation, g.subject, g.scopes, g.resources, g.authenticated, g.thumbprint,
		g.version, g.created, g.expires, g.revoked, g.revoked_because`
	codeColumns = `c.hash, c.grant_id, c.redirect_uri, c.redirect_given, c.challenge, c.thumbprint, c.expires, c.used`

	//nolint:gosec // names of columns, no credential
	tokenColumns = `t.hash, t.kind, t.grant_id, t.scopes, t.resources, t.thumbprint, t.certificate, t.created, t.expires,
		t.rotated, t.successor`

	blocked = `EXISTS (SELECT 1 FROM strikeplate_blocks b WHERE b.organisation = g.organisation AND b.client_id = g.client_id)`
	around  = ` JOIN strikeplate_apps a ON a.client_id = g.client_id`
)

// insertion writes all columns of a table, which are scanned as an alias of one
// letter.
func insertion(table, columns string) string {
	alias := columns[:2]
	names := strings.ReplaceAll(columns, alias, "")
	return `INSERT INTO ` + table + ` (` + names + `) VALUES (?` + strings.Repeat(", ?", strings.Count(names, ",")) + `)`
}

// listGrants selects a page: ?1 the organisation, ?2 and ?3 the last grant of the
// page before, ?4 judged at, ?5 ?6 ?7 which states, ?8 how many.
func listGrants(and string) string {
	return `SELECT ` + grantColumns + ` FROM strikeplate_grants g
		WHERE organisation = ?1 AND (created, id) < (?2, ?3)
		AND CASE WHEN revoked IS NOT NULL THEN ?7 WHEN expires <= ?4 THEN ?6 ELSE ?5 END ` + and + `
		ORDER BY created DESC, id DESC LIMIT ?8`
}

// revokeGrants revokes at ?1, because of ?2.
func revokeGrants(where string) string {
	return `UPDATE strikeplate_grants SET revoked = ?1, revoked_because = ?2, version = version + 1
		WHERE revoked IS NULL AND ` + where + ` RETURNING organisation, id, version`
}

func (all *grantStatements) texts(s *Store) []statement {
	return append(all.reading(s), append(all.writing(s), all.pruning(s)...)...)
}

func (all *grantStatements) reading(s *Store) []statement {
	return []statement{
		{&all.app, s.reader, `SELECT ` + appColumns + ` FROM strikeplate_apps a WHERE client_id = ?`},
		{&all.listApps, s.reader, `SELECT ` + appColumns + ` FROM strikeplate_apps a
			WHERE organisation = ?1 AND (created, client_id) < (?2, ?3) AND CASE WHEN revoked IS NULL THEN ?4 ELSE ?5 END
			ORDER BY created DESC, client_id DESC LIMIT ?6`},
		{&all.blocks, s.reader, `SELECT organisation, client_id, blocked_by, because, at FROM strikeplate_blocks
			WHERE organisation = ? ORDER BY at DESC, client_id DESC LIMIT ?`},
		{&all.grant, s.reader, `SELECT ` + grantColumns + ` FROM strikeplate_grants g WHERE id = ? AND organisation = ?`},
		{&all.list, s.reader, listGrants("")},
		{&all.listSubject, s.reader, listGrants("AND subject = ?9")},
		{&all.listClient, s.reader, listGrants("AND client_id = ?9")},
		{&all.listBoth, s.reader, listGrants("AND subject = ?9 AND client_id = ?10")},
		{&all.consent, s.reader, `SELECT scopes, given FROM strikeplate_consents WHERE organisation = ? AND subject = ? AND client_id = ?`},
		{&all.code, s.reader, `SELECT ` + codeColumns + `, ` + grantColumns + ` FROM strikeplate_codes c
			JOIN strikeplate_grants g ON g.id = c.grant_id WHERE c.hash = ?`},
		{&all.present, s.reader, `SELECT ` + tokenColumns + `, ` + grantColumns + `, ` + appColumns + `, ` + blocked + `
			FROM strikeplate_tokens t JOIN strikeplate_grants g ON g.id = t.grant_id` + around + ` WHERE t.hash = ?`},
	}
}

func (all *grantStatements) writing(s *Store) []statement {
	const ofOrganisation = `(SELECT client_id FROM strikeplate_apps WHERE organisation = ?1)`
	return []statement{
		{&all.currentApp, s.writer, `SELECT ` + appColumns + ` FROM strikeplate_apps a WHERE client_id = ?`},
		{&all.insertApp, s.writer, insertion("strikeplate_apps", appColumns)},
		{&all.updateApp, s.writer, `UPDATE strikeplate_apps SET name = ?2, homepage = ?3, secrets = ?4, redirect_uris = ?5, origins = ?6,
			scopes = ?7, client_credentials = ?8, insecure_no_pkce = ?9, version = ?10, revoked = ?11, revoked_because = ?12
			WHERE client_id = ?1`},
		{&all.unrevokedApps, s.writer, `SELECT count(*) FROM strikeplate_apps WHERE organisation = ? AND revoked IS NULL`},
		{&all.revokeApp, s.writer, revokeGrants("client_id = ?3")},
		{&all.forgetApp, s.writer, `DELETE FROM strikeplate_consents WHERE client_id = ?`},
		{&all.block, s.writer, `INSERT INTO strikeplate_blocks (organisation, client_id, blocked_by, because, at)
			VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`},
		{&all.unblock, s.writer, `DELETE FROM strikeplate_blocks WHERE organisation = ? AND client_id = ?`},

		{&all.begin, s.writer, insertion("strikeplate_grants", grantColumns)},
		{&all.known, s.writer, `SELECT EXISTS (SELECT 1 FROM strikeplate_grants WHERE id = ?1),
			EXISTS (SELECT 1 FROM strikeplate_blocks WHERE organisation = ?2 AND client_id = ?3),
			(SELECT revoked IS NOT NULL FROM strikeplate_apps WHERE client_id = ?3)`},
		{&all.agreed, s.writer, `SELECT scopes, given FROM strikeplate_consents WHERE organisation = ? AND subject = ? AND client_id = ?`},
		{&all.agree, s.writer, `INSERT INTO strikeplate_consents (organisation, subject, client_id, scopes, given) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET scopes = excluded.scopes, given = excluded.given`},
		{&all.addCode, s.writer, insertion("strikeplate_codes", codeColumns)},
		{&all.addToken, s.writer, insertion("strikeplate_tokens", tokenColumns)},
		{&all.holds, s.writer, `SELECT EXISTS (SELECT 1 FROM strikeplate_grants WHERE id = ? AND organisation = ?)`},
		{&all.revokeID, s.writer, revokeGrants("organisation = ?3 AND id = ?4")},
		{&all.revokeSubject, s.writer, revokeGrants("organisation = ?3 AND subject = ?4")},
		{&all.revokeClient, s.writer, revokeGrants("organisation = ?3 AND client_id = ?4")},
		{&all.revokeBoth, s.writer, revokeGrants("organisation = ?3 AND subject = ?4 AND client_id = ?5")},
		{&all.forgetSubject, s.writer, `DELETE FROM strikeplate_consents WHERE organisation = ? AND subject = ?`},
		{&all.forgetClient, s.writer, `DELETE FROM strikeplate_consents WHERE organisation = ? AND client_id = ?`},
		{&all.forgetBoth, s.writer, `DELETE FROM strikeplate_consents WHERE organisation = ? AND subject = ? AND client_id = ?`},

		{&all.ofCode, s.writer, `SELECT ` + codeColumns + `, ` + grantColumns + `, a.revoked IS NOT NULL, ` + blocked + `
			FROM strikeplate_codes c JOIN strikeplate_grants g ON g.id = c.grant_id` + around + ` WHERE c.hash = ?`},
		{&all.takenCode, s.writer, `SELECT EXISTS (SELECT 1 FROM strikeplate_codes WHERE hash = ?)`},
		{&all.useCode, s.writer, `UPDATE strikeplate_codes SET used = ?2 WHERE hash = ?1`},
		{&all.reused, s.writer, `UPDATE strikeplate_grants SET revoked = ?2, revoked_because = ?3, version = ?4 WHERE id = ?1`},
		{&all.ofToken, s.writer, `SELECT ` + tokenColumns + `, ` + grantColumns + `, ` + appColumns + `, ` + blocked + `
			FROM strikeplate_tokens t JOIN strikeplate_grants g ON g.id = t.grant_id` + around + ` WHERE t.hash = ?`},
		{&all.token, s.writer, `SELECT ` + tokenColumns + ` FROM strikeplate_tokens t WHERE hash = ?`},
		{&all.rotate, s.writer, `UPDATE strikeplate_tokens SET rotated = ?2, successor = ?3 WHERE hash = ?1`},
		{&all.drop, s.writer, `DELETE FROM strikeplate_tokens WHERE hash = ? AND kind = 'access' RETURNING grant_id`},
		{&all.touch, s.writer, `UPDATE strikeplate_grants SET version = version + 1 WHERE id = ? AND revoked IS NULL
			RETURNING organisation, id, version`},

		{&all.push, s.writer, `INSERT INTO strikeplate_pushed (hash, client_id, form, expires) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`},
		{&all.take, s.writer, `DELETE FROM strikeplate_pushed WHERE hash = ? RETURNING client_id, form, expires`},
		{&all.useOnce, s.writer, `INSERT INTO strikeplate_once (hash, expires) VALUES (?1, ?2)
			ON CONFLICT DO UPDATE SET expires = excluded.expires WHERE expires <= ?3`},

		{&all.eraseGrants, s.writer, `DELETE FROM strikeplate_grants WHERE organisation = ?1 OR client_id IN ` + ofOrganisation + `
			RETURNING organisation, id, 0`},
		{&all.eraseConsents, s.writer, `DELETE FROM strikeplate_consents WHERE organisation = ?`},
		{&all.eraseBlocks, s.writer, `DELETE FROM strikeplate_blocks WHERE organisation = ? RETURNING client_id`},
		{&all.erasePushed, s.writer, `DELETE FROM strikeplate_pushed WHERE client_id IN ` + ofOrganisation},
		{&all.eraseApps, s.writer, `DELETE FROM strikeplate_apps WHERE organisation = ? RETURNING client_id`},
	}
}

// pruning deletes what ended before ?1, up to ?2 of it.
func (all *grantStatements) pruning(s *Store) []statement {
	expired := func(table, and string) string {
		return `DELETE FROM ` + table + ` WHERE hash IN (SELECT hash FROM ` + table + ` WHERE expires < ?1 ` + and + ` ORDER BY expires LIMIT ?2)`
	}
	over := func(table string) string {
		return `DELETE FROM ` + table + ` WHERE hash IN (SELECT of.hash FROM strikeplate_grants g
			CROSS JOIN ` + table + ` of ON of.grant_id = g.id WHERE g.ends < ?1 LIMIT ?2)`
	}
	return []statement{
		{&all.pruneCodes, s.writer, expired("strikeplate_codes", "")},
		{&all.pruneCodesOver, s.writer, over("strikeplate_codes")},
		{&all.pruneTokens, s.writer, expired("strikeplate_tokens", "AND rotated IS NULL")},
		{&all.pruneTokensOver, s.writer, over("strikeplate_tokens")},
		{&all.prunePushed, s.writer, expired("strikeplate_pushed", "")},
		{&all.pruneOnce, s.writer, expired("strikeplate_once", "")},
		{&all.pruneGrants, s.writer, `DELETE FROM strikeplate_grants WHERE id IN (SELECT id FROM strikeplate_grants g WHERE ends < ?1
			AND NOT EXISTS (SELECT 1 FROM strikeplate_tokens WHERE grant_id = g.id)
			AND NOT EXISTS (SELECT 1 FROM strikeplate_codes WHERE grant_id = g.id) ORDER BY ends LIMIT ?2)`},
		{&all.pruneApps, s.writer, `DELETE FROM strikeplate_apps WHERE client_id IN (SELECT client_id FROM strikeplate_apps a
			WHERE organisation = '' AND revoked IS NULL AND created < ?1
			AND NOT EXISTS (SELECT 1 FROM strikeplate_grants g WHERE g.client_id = a.client_id)
			ORDER BY created LIMIT ?2) RETURNING client_id`},
	}
}
