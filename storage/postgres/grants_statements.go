package postgres

// grantStatements are of apps and grants.
type grantStatements struct {
	// apps.go
	app, lockApp, listApps, insertApp, updateApp, unrevokedApps, revokeApp, forgetApp string
	block, unblock, blocks, idleApps, pruneApps                                       string
	// grants.go
	known, begin, agreed, agree, grant, list, listSubject, listClient, listBoth, holds string
	revokeID, revokeSubject, revokeClient, revokeBoth                                  string
	forgetSubject, forgetClient, forgetBoth                                            string
	// grants_tokens.go
	code, lockCode, addCode, useCode, presented, lockToken, two, addToken, rotate, drop, touch, lockGrant, tryLog, reused string
	// grants_upkeep.go
	push, take, useOnce                                                                           string
	pruneCodes, pruneCodesOver, pruneTokens, pruneTokensOver, prunePushed, pruneOnce, pruneGrants string
	lockApps, eraseGrants, eraseConsents, erasePushed, eraseBlocks, eraseApps                     string
}

// The columns of each table, in the order in which they are scanned and written.
const (
	appColumns = `a.client_id, a.organisation, a.name, a.homepage, a.creator, a.source, a.public, a.secrets::text,
		a.redirect_uris, a.origins, a.scopes, a.client_credentials, a.insecure_no_pkce, a.version, a.created, a.revoked,
		a.revoked_because`
	grantColumns = `g.id, g.client_id, g.organisation, g.subject, g.scopes, g.resources, g.authenticated, g.thumbprint,
		g.version, g.created, g.expires, g.revoked, g.revoked_because`
	codeColumns = `c.hash, c.grant_id, c.redirect_uri, c.redirect_given, c.challenge, c.thumbprint, c.expires, c.used`
	//nolint:gosec // names of columns, no credential
	tokenColumns = `t.hash, t.kind, t.grant_id, t.scopes, t.resources, t.thumbprint, t.certificate, t.created, t.expires,
		t.rotated, t.successor`

	blocked = `EXISTS (SELECT FROM strikeplate_blocks b WHERE b.organisation = g.organisation AND b.client_id = g.client_id)`
	// presented is a token with all around it.
	presented = `SELECT ` + tokenColumns + `, ` + grantColumns + `, ` + appColumns + `, ` + blocked + `
		FROM strikeplate_tokens t JOIN strikeplate_grants g ON g.id = t.grant_id
		JOIN strikeplate_apps a ON a.client_id = g.client_id WHERE t.hash = $1::bytea`
)

// listGrants selects a page.
func listGrants(and string) string {
	return `SELECT ` + grantColumns + ` FROM strikeplate_grants g WHERE organisation = $1
		AND (created, id) < ($2::timestamptz, $3::text)
		AND ($4::text = '' OR ($4::text = 'unrevoked' AND revoked IS NULL) OR $4::text =
			CASE WHEN revoked IS NOT NULL THEN 'revoked' WHEN expires <= $5::timestamptz THEN 'expired' ELSE 'active' END) ` + and + `
		ORDER BY created DESC, id DESC LIMIT $6::integer`
}

// revokeGrants revokes at $1, because of $2. It locks in the order of id, so that
// two revocations of the same grants can't wait for each other.
func revokeGrants(where string) string {
	return `WITH locked AS (SELECT id FROM strikeplate_grants WHERE revoked IS NULL AND ` + where + ` ORDER BY id FOR NO KEY UPDATE)
		UPDATE strikeplate_grants g SET revoked = $1::timestamptz, revoked_because = $2::text, version = g.version + 1
		FROM locked WHERE g.id = locked.id RETURNING g.organisation, g.id, g.version`
}

func renderedGrants(sql func(string) string) grantStatements {
	var all grantStatements
	all.renderApps(sql)
	all.renderGrants(sql)
	all.renderTokens(sql)
	all.renderPruning(sql)
	return all
}

func (all *grantStatements) renderApps(sql func(string) string) {
	all.app = sql(`SELECT ` + appColumns + ` FROM strikeplate_apps a WHERE client_id = $1`)
	all.lockApp = all.app + ` FOR NO KEY UPDATE`
	all.listApps = sql(`SELECT ` + appColumns + ` FROM strikeplate_apps a WHERE organisation = $1
		AND (created, client_id) < ($2::timestamptz, $3::text)
		AND ($4::text = '' OR $4::text IN ('active', 'unrevoked') AND revoked IS NULL OR $4::text = 'revoked' AND revoked IS NOT NULL)
		ORDER BY created DESC, client_id DESC LIMIT $5::integer`)
	all.insertApp = sql(`INSERT INTO strikeplate_apps (client_id, organisation, name, homepage, creator, source, public, secrets,
		redirect_uris, origins, scopes, client_credentials, insecure_no_pkce, version, created, revoked, revoked_because)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, $9::text[], $10::text[], $11::text[], $12, $13, 1, $14, $15, $16)`)
	all.updateApp = sql(`UPDATE strikeplate_apps SET name = $2, homepage = $3, secrets = $4::text::jsonb, redirect_uris = $5::text[],
		origins = $6::text[], scopes = $7::text[], client_credentials = $8, insecure_no_pkce = $9, version = version + 1,
		revoked = $10, revoked_because = $11 WHERE client_id = $1`)
	all.unrevokedApps = sql(`SELECT count(*) FROM strikeplate_apps WHERE organisation = $1 AND revoked IS NULL`)
	all.revokeApp = sql(revokeGrants(`client_id = $3`))
	all.forgetApp = sql(`DELETE FROM strikeplate_consents WHERE client_id = $1`)
	all.block = sql(`INSERT INTO strikeplate_blocks (organisation, client_id, blocked_by, because, at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT DO NOTHING`)
	all.unblock = sql(`DELETE FROM strikeplate_blocks WHERE organisation = $1 AND client_id = $2`)
	all.blocks = sql(`SELECT organisation, client_id, blocked_by, because, at FROM strikeplate_blocks WHERE organisation = $1
		ORDER BY at DESC, client_id DESC LIMIT $2::integer`)
	// Locked first, and looked at again then: a grant may have begun meanwhile.
	all.idleApps = sql(`SELECT client_id FROM strikeplate_apps a WHERE organisation = '' AND revoked IS NULL AND created < $1::timestamptz
		AND NOT EXISTS (SELECT FROM strikeplate_grants g WHERE g.client_id = a.client_id)
		ORDER BY created LIMIT $2::integer FOR UPDATE SKIP LOCKED`)
	all.pruneApps = sql(`DELETE FROM strikeplate_apps a WHERE client_id = ANY($1::text[])
		AND NOT EXISTS (SELECT FROM strikeplate_grants g WHERE g.client_id = a.client_id) RETURNING client_id`)
}

func (all *grantStatements) renderGrants(sql func(string) string) {
	// The app stays as it is until the grant is there.
	all.known = sql(`SELECT a.revoked IS NOT NULL,
		EXISTS (SELECT FROM strikeplate_blocks WHERE organisation = $2 AND client_id = $1),
		EXISTS (SELECT FROM strikeplate_grants WHERE id = $3)
		FROM strikeplate_apps a WHERE a.client_id = $1 FOR SHARE`)
	all.begin = sql(`INSERT INTO strikeplate_grants (id, client_id, organisation, subject, scopes, resources, authenticated, thumbprint,
		version, created, expires, revoked_because) VALUES ($1, $2, $3, $4, $5::text[], $6::text[], $7, $8, 1, $9, $10, '')`)
	all.agreed = sql(`SELECT scopes, given FROM strikeplate_consents WHERE organisation = $1 AND subject = $2 AND client_id = $3`)
	all.agree = sql(`INSERT INTO strikeplate_consents (organisation, subject, client_id, scopes, given) VALUES ($1, $2, $3, $4::text[], $5)
		ON CONFLICT (organisation, subject, client_id) DO UPDATE SET scopes = excluded.scopes, given = excluded.given`)
	all.grant = sql(`SELECT ` + grantColumns + ` FROM strikeplate_grants g WHERE organisation = $1 AND id = $2`)
	all.list = sql(listGrants(``))
	all.listSubject = sql(listGrants(`AND subject = $7`))
	all.listClient = sql(listGrants(`AND client_id = $7`))
	all.listBoth = sql(listGrants(`AND subject = $7 AND client_id = $8`))
	all.holds = sql(`SELECT EXISTS (SELECT FROM strikeplate_grants WHERE organisation = $1 AND id = $2)`)
	all.revokeID = sql(revokeGrants(`organisation = $3 AND id = $4`))
	all.revokeSubject = sql(revokeGrants(`organisation = $3 AND subject = $4`))
	all.revokeClient = sql(revokeGrants(`organisation = $3 AND client_id = $4`))
	all.revokeBoth = sql(revokeGrants(`organisation = $3 AND subject = $4 AND client_id = $5`))
	forget := `DELETE FROM strikeplate_consents WHERE organisation = $1 AND `
	all.forgetSubject = sql(forget + `subject = $2`)
	all.forgetClient = sql(forget + `client_id = $2`)
	all.forgetBoth = sql(forget + `subject = $2 AND client_id = $3`)
}

func (all *grantStatements) renderTokens(sql func(string) string) {
	all.code = sql(`SELECT ` + codeColumns + `, ` + grantColumns + ` FROM strikeplate_codes c
		JOIN strikeplate_grants g ON g.id = c.grant_id WHERE c.hash = $1::bytea`)
	// The grant's lock is what uses of codes and tokens of it, and its revocations,
	// wait for. After the wait, what is locked is read again.
	all.lockCode = sql(`SELECT ` + codeColumns + `, ` + grantColumns + `, a.revoked, ` + blocked + `
		FROM strikeplate_codes c JOIN strikeplate_grants g ON g.id = c.grant_id
		JOIN strikeplate_apps a ON a.client_id = g.client_id WHERE c.hash = $1::bytea FOR NO KEY UPDATE OF g, c`)
	all.addCode = sql(`INSERT INTO strikeplate_codes (hash, grant_id, redirect_uri, redirect_given, challenge, thumbprint, expires)
		VALUES ($1::bytea, $2, $3, $4, $5, $6, $7)`)
	all.useCode = sql(`UPDATE strikeplate_codes SET used = $2 WHERE hash = $1::bytea`)
	all.presented = sql(presented)
	all.lockToken = all.presented + ` FOR NO KEY UPDATE OF g, t`
	all.two = sql(`SELECT ` + tokenColumns + ` FROM strikeplate_tokens t WHERE hash IN ($1::bytea, $2::bytea)`)
	all.addToken = sql(`INSERT INTO strikeplate_tokens (hash, kind, grant_id, scopes, resources, thumbprint, certificate, created, expires)
		VALUES ($1::bytea, $2, $3, $4::text[], $5::text[], $6, $7, $8, $9)`)
	all.rotate = sql(`UPDATE strikeplate_tokens SET rotated = $2, successor = $3::bytea WHERE hash = $1::bytea`)
	all.drop = sql(`DELETE FROM strikeplate_tokens WHERE hash = $1::bytea AND kind = 'access' RETURNING grant_id`)
	all.touch = sql(`UPDATE strikeplate_grants SET version = version + 1 WHERE id = $1 AND revoked IS NULL
		RETURNING organisation, id, version`)
	all.lockGrant = sql(`SELECT ` + grantColumns + ` FROM strikeplate_grants g WHERE id = $1 FOR NO KEY UPDATE`)
	all.tryLog = sql(`SELECT organisation FROM strikeplate_organisations WHERE organisation = $1 FOR UPDATE SKIP LOCKED`)
	all.reused = sql(`UPDATE strikeplate_grants SET revoked = $2, revoked_because = $3, version = $4 WHERE id = $1`)

	all.push = sql(`INSERT INTO strikeplate_pushed (hash, client_id, form, expires) VALUES ($1::bytea, $2, $3, $4) ON CONFLICT DO NOTHING`)
	all.take = sql(`DELETE FROM strikeplate_pushed WHERE hash = $1::bytea RETURNING client_id, form, expires`)
	all.useOnce = sql(`INSERT INTO strikeplate_once AS o (hash, expires) VALUES ($1::bytea, $2)
		ON CONFLICT (hash) DO UPDATE SET expires = excluded.expires WHERE o.expires <= $3`)
}

// renderPruning: what ended before $1, up to $2 of it. What another instance is
// pruning, or a request is using, is passed over.
func (all *grantStatements) renderPruning(sql func(string) string) {
	expired := func(table, and string) string {
		return sql(`DELETE FROM ` + table + ` WHERE hash = ANY(ARRAY(SELECT hash FROM ` + table + ` WHERE expires < $1::timestamptz ` + and + `
			ORDER BY expires LIMIT $2::integer FOR UPDATE SKIP LOCKED))`)
	}
	over := func(table string) string {
		return sql(`DELETE FROM ` + table + ` WHERE hash = ANY(ARRAY(SELECT o.hash FROM strikeplate_grants g
			JOIN ` + table + ` o ON o.grant_id = g.id WHERE g.ends < $1::timestamptz LIMIT $2::integer FOR UPDATE OF o SKIP LOCKED))`)
	}
	all.pruneCodes, all.pruneCodesOver = expired(`strikeplate_codes`, ``), over(`strikeplate_codes`)
	all.pruneTokens, all.pruneTokensOver = expired(`strikeplate_tokens`, `AND rotated IS NULL`), over(`strikeplate_tokens`)
	all.prunePushed = expired(`strikeplate_pushed`, ``)
	all.pruneOnce = expired(`strikeplate_once`, ``)
	all.pruneGrants = sql(`DELETE FROM strikeplate_grants WHERE id = ANY(ARRAY(SELECT id FROM strikeplate_grants g WHERE ends < $1::timestamptz
		AND NOT EXISTS (SELECT FROM strikeplate_tokens WHERE grant_id = g.id)
		AND NOT EXISTS (SELECT FROM strikeplate_codes WHERE grant_id = g.id)
		ORDER BY ends LIMIT $2::integer FOR UPDATE SKIP LOCKED))`)

	all.lockApps = sql(`SELECT client_id FROM strikeplate_apps WHERE organisation = $1 ORDER BY client_id FOR UPDATE`)
	// Locked in the order in which revocations lock.
	all.eraseGrants = sql(`WITH locked AS (SELECT id FROM strikeplate_grants WHERE organisation = $1 OR client_id = ANY($2::text[])
			ORDER BY id FOR UPDATE)
		DELETE FROM strikeplate_grants g USING locked WHERE g.id = locked.id RETURNING g.organisation, g.id, 0::bigint`)
	all.eraseConsents = sql(`DELETE FROM strikeplate_consents WHERE organisation = $1`)
	all.erasePushed = sql(`DELETE FROM strikeplate_pushed WHERE client_id = ANY($1::text[])`)
	all.eraseBlocks = sql(`DELETE FROM strikeplate_blocks WHERE organisation = $1 RETURNING client_id`)
	all.eraseApps = sql(`DELETE FROM strikeplate_apps WHERE organisation = $1`)
}
