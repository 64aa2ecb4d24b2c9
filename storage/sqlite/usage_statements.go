package sqlite

import (
	"database/sql"
	"fmt"
	"strings"
)

// usageStatements are the queries of usage.go and its like, prepared as the
// others are.
type usageStatements struct {
	// Within a transaction of the writer.
	instance, putInstance, heard, begin, gap, record                *sql.Stmt
	key, countKeys, insertKey, folded, touch                        *sql.Stmt
	name, countNames, insertName, touchName                         *sql.Stmt
	series, endpoints, seen, address, refusal                       *sql.Stmt
	countAddresses, sumCrowded, trimAddresses                       *sql.Stmt
	claim, deleteKey, someKeys, eraseNames, eraseGap, eraseClaims   *sql.Stmt
	silent, pruneInstances, pruneClaims, pruneNames, pruneAddresses *sql.Stmt
	pruneSeries, pruneEndpoints, pruneRefusals, forgetOrigins       *sql.Stmt
	oldKeys                                                         *sql.Stmt
	deleteRows                                                      [4]*sql.Stmt
	// On the pool of readers; by who is asked about.
	seriesOf, endpointsOf, addressesOf, refusalsOf [3]*sql.Stmt
	ofCredentials, ofLineages, lastUsed, complete  *sql.Stmt
}

const usageCounts = `class0, class1, class2, class3, class4, class5,
	latency0, latency1, latency2, latency3, latency4, latency5, nanoseconds`

// Who a query is about.
const (
	ofTotal = iota
	ofCredential
	ofLineage
)

// whom are conditions on a row k of the keys, with ?1 the organisation, ?2 the
// credential, ?3 the lineage, ?4 the environment.
var whom = [3]string{
	ofTotal:      `k.organisation = ?1 AND k.total = 1 AND ?2 = '' AND ?3 = '' AND ?4 IN ('', k.environment)`,
	ofCredential: `k.organisation = ?1 AND k.total = 0 AND k.credential = ?2 AND ?3 IN ('', k.lineage) AND ?4 IS NOT NULL`,
	ofLineage:    `k.organisation = ?1 AND NOT k.total AND k.lineage = ?3 AND ?2 = '' AND ?4 IS NOT NULL`,
}

// countColumns renders each column of the counts.
func countColumns(format string) string {
	var all []string
	for name := range strings.SplitSeq(usageCounts, ",") {
		all = append(all, fmt.Sprintf(format, strings.TrimSpace(name)))
	}
	return strings.Join(all, ", ")
}

// usageTables hold rows by key.
var usageTables = [4]string{"series", "endpoints", "addresses", "refusals"}

func (all *usageStatements) texts(s *Store) []statement {
	texts := append(all.ofAdding(s.writer), all.ofUpkeep(s.writer)...)
	texts = append(texts, all.ofQueries(s.reader)...)
	for i, table := range usageTables {
		texts = append(texts, statement{&all.deleteRows[i], s.writer, `DELETE FROM strikeplate_usage_` + table + ` WHERE key = ?`})
	}
	return texts
}

func (all *usageStatements) ofAdding(on *sql.DB) []statement {
	add := ` ON CONFLICT DO UPDATE SET ` + countColumns("%[1]s = %[1]s + excluded.%[1]s")
	return []statement{
		{&all.instance, on, `SELECT sequence FROM strikeplate_usage_instances WHERE instance = ?`},
		{&all.putInstance, on, `INSERT INTO strikeplate_usage_instances (instance, sequence, heard, until, every, final) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
			ON CONFLICT DO UPDATE SET sequence = excluded.sequence, heard = max(heard, excluded.heard),
				until = coalesce(max(until, excluded.until), until, excluded.until), every = excluded.every, final = excluded.final`},
		{&all.heard, on, `SELECT EXISTS (SELECT 1 FROM strikeplate_usage_instances WHERE heard >= ?)`},
		{&all.begin, on, `INSERT INTO strikeplate_usage_state (only_row, started, gap) VALUES (1, ?1, ?1)
			ON CONFLICT DO UPDATE SET gap = max(gap, excluded.gap)`},
		{&all.gap, on, `UPDATE strikeplate_usage_state SET gap = max(gap, ?)`},
		{&all.record, on, `SELECT organisation, lineage, environment FROM strikeplate_keys WHERE id = ?`},
		{&all.key, on, `SELECT id FROM strikeplate_usage_keys WHERE organisation = ? AND total = ? AND credential = ?`},
		{&all.countKeys, on, `SELECT count(*) FROM strikeplate_usage_keys WHERE organisation = ? AND total = 0`},
		{&all.insertKey, on, `INSERT INTO strikeplate_usage_keys (organisation, total, credential, lineage, environment, touched)
			VALUES (?, ?, ?, ?, ?, ?) RETURNING id`},
		{&all.folded, on, `INSERT INTO strikeplate_usage_organisations (organisation, gap) VALUES (?, ?)
			ON CONFLICT DO UPDATE SET gap = max(gap, excluded.gap)`},
		{&all.touch, on, `UPDATE strikeplate_usage_keys SET touched = max(touched, ?2) WHERE id = ?1`},
		{&all.name, on, `SELECT id FROM strikeplate_usage_names WHERE organisation = ? AND name = ?`},
		{&all.countNames, on, `SELECT count(*) FROM strikeplate_usage_names WHERE organisation = ?`},
		{&all.insertName, on, `INSERT INTO strikeplate_usage_names (organisation, name, touched) VALUES (?, ?, ?) RETURNING id`},
		{&all.touchName, on, `UPDATE strikeplate_usage_names SET touched = ?2 WHERE id = ?1 AND touched < ?2 - 86400000000`},
		{&all.series, on, `INSERT INTO strikeplate_usage_series (key, step, bucket, ` + usageCounts + `)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)` + add},
		{&all.endpoints, on, `INSERT INTO strikeplate_usage_endpoints (key, step, bucket, pattern, ` + usageCounts + `)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)` + add},
		{&all.seen, on, `UPDATE strikeplate_usage_keys SET first_seen = coalesce(min(first_seen, ?2), first_seen, ?2),
			succeeded = coalesce(max(succeeded, ?3), succeeded, ?3), presented = coalesce(max(presented, ?4), presented, ?4),
			browser = browser + ?5, origin = CASE WHEN ?6 > coalesce(browser_at, -1) THEN ?7 ELSE origin END,
			browser_at = coalesce(max(browser_at, ?6), browser_at, ?6) WHERE id = ?1`},
		{&all.address, on, `INSERT INTO strikeplate_usage_addresses (key, address, requests, first_seen, last_seen) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET requests = requests + excluded.requests,
			first_seen = min(first_seen, excluded.first_seen), last_seen = max(last_seen, excluded.last_seen)`},
		{&all.refusal, on, `INSERT INTO strikeplate_usage_refusals (key, step, bucket, code, proven, requests, last_seen) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, last_seen = max(last_seen, excluded.last_seen)`},
		{&all.countAddresses, on, `SELECT count(*) FROM strikeplate_usage_addresses WHERE key = ? AND address <> ''`},
		{&all.sumCrowded, on, `SELECT sum(requests), min(first_seen), max(last_seen) FROM strikeplate_usage_addresses WHERE key = ?1 AND address IN (` + crowded + `)`},
		{&all.trimAddresses, on, `DELETE FROM strikeplate_usage_addresses WHERE key = ?1 AND address IN (` + crowded + `)`},
	}
}

// crowded are the addresses of key ?1 that are among the first ?2 neither by
// requests nor by time.
const crowded = `SELECT address FROM (SELECT address, row_number() OVER (ORDER BY requests DESC, last_seen DESC, address) AS by_requests,
	row_number() OVER (ORDER BY last_seen DESC, address) AS by_time FROM strikeplate_usage_addresses WHERE key = ?1 AND address <> '')
	WHERE by_requests > ?2 AND by_time > ?2`

func (all *usageStatements) ofQueries(on *sql.DB) []statement {
	sums := countColumns("sum(u.%s)")
	const within = ` u ON u.key = k.id AND u.step = ?5 AND u.bucket >= ?6 AND u.bucket < ?7`
	const seen = `organisation, credential, lineage, environment, first_seen, succeeded, presented, browser, browser_at, origin`
	texts := []statement{
		{&all.ofCredentials, on, `SELECT ` + seen + ` FROM strikeplate_usage_keys WHERE organisation = ?1 AND total = 0
			AND credential IN (SELECT value FROM json_each(?2)) AND presented IS NOT NULL`},
		{&all.ofLineages, on, `SELECT ` + seen + ` FROM strikeplate_usage_keys WHERE organisation = ?1 AND NOT total
			AND lineage IN (SELECT value FROM json_each(?2)) AND presented IS NOT NULL ORDER BY presented DESC, credential DESC`},
		{&all.lastUsed, on, `SELECT credential, max(succeeded) FROM strikeplate_usage_keys
			WHERE credential IN (SELECT value FROM json_each(?)) AND NOT total AND succeeded IS NOT NULL GROUP BY credential`},
		{&all.complete, on, `SELECT max(s.gap, coalesce((SELECT gap FROM strikeplate_usage_organisations WHERE organisation = ?1), 0)),
			EXISTS (SELECT 1 FROM strikeplate_usage_instances WHERE NOT final AND coalesce(until, 0) + every * 3 / 1000 + 10000000 < ?2)
			FROM strikeplate_usage_state s`},
	}
	for who, where := range whom {
		// CROSS JOIN keeps the order: first the few keys, then each one's range.
		texts = append(texts, statement{&all.seriesOf[who], on, `SELECT u.bucket, ` + sums + ` FROM strikeplate_usage_keys k
			CROSS JOIN strikeplate_usage_series` + within + ` WHERE ` + where + ` GROUP BY u.bucket ORDER BY u.bucket`})
		texts = append(texts, statement{&all.endpointsOf[who], on, `SELECT n.name, s.* FROM (SELECT u.pattern, ` + countColumns("sum(u.%[1]s) AS %[1]s") + `
			FROM strikeplate_usage_keys k CROSS JOIN strikeplate_usage_endpoints` + within + ` WHERE ` + where + ` GROUP BY u.pattern) AS s
			CROSS JOIN strikeplate_usage_names n ON n.id = s.pattern
			ORDER BY class0 + class1 + class2 + class3 + class4 + class5 DESC, n.name LIMIT 1000`})
		texts = append(texts, statement{&all.addressesOf[who], on, `SELECT k.organisation, k.credential, k.lineage, k.environment,
			u.address, u.requests, u.first_seen, u.last_seen
			FROM strikeplate_usage_keys k CROSS JOIN strikeplate_usage_addresses u ON u.key = k.id WHERE ` + where + `
			ORDER BY u.address = '', u.last_seen DESC, u.address, k.credential LIMIT 1000`})
		// A total has no refusals of its own: they are its keys'.
		where = strings.ReplaceAll(where, "k.total = 1", "k.total = 0")
		texts = append(texts, statement{&all.refusalsOf[who], on, `SELECT k.organisation, k.credential, k.lineage, k.environment,
			n.name, u.proven, sum(u.requests) AS requests, max(u.last_seen)
			FROM strikeplate_usage_keys k CROSS JOIN strikeplate_usage_refusals u ON u.key = k.id AND u.step = ?5 AND u.bucket >= ?6 AND u.bucket < ?7
			CROSS JOIN strikeplate_usage_names n ON n.id = u.code WHERE ` + where + `
			GROUP BY k.id, u.code, u.proven ORDER BY requests DESC, k.credential, n.name LIMIT 1000`})
	}
	return texts
}

func (all *usageStatements) ofUpkeep(on *sql.DB) []statement {
	// The tables without rowid are named by their primary keys.
	oldest := func(table, key, where string) string {
		return `DELETE FROM strikeplate_usage_` + table + ` WHERE ` + key + ` IN (
			SELECT ` + strings.Trim(key, "()") + ` FROM strikeplate_usage_` + table + ` WHERE ` + where + ` LIMIT ?1)`
	}
	return []statement{
		{&all.claim, on, `INSERT INTO strikeplate_usage_claims (organisation, task, holder, until) VALUES (?1, ?2, ?3, ?5)
			ON CONFLICT DO UPDATE SET holder = excluded.holder, until = excluded.until
			WHERE holder = excluded.holder OR until <= ?4`},
		{&all.someKeys, on, `SELECT id FROM strikeplate_usage_keys WHERE organisation = ? LIMIT ?`},
		{&all.deleteKey, on, `DELETE FROM strikeplate_usage_keys WHERE id = ?`},
		{&all.eraseNames, on, `DELETE FROM strikeplate_usage_names WHERE organisation = ?`},
		{&all.eraseGap, on, `DELETE FROM strikeplate_usage_organisations WHERE organisation = ?`},
		{&all.eraseClaims, on, `DELETE FROM strikeplate_usage_claims WHERE organisation = ?`},
		{&all.silent, on, `SELECT EXISTS (SELECT 1 FROM strikeplate_usage_instances WHERE heard < ? AND NOT final)`},
		{&all.pruneInstances, on, oldest("instances", "instance", "heard < ?2")},
		{&all.pruneClaims, on, oldest("claims", "(organisation, task)", "until <= ?2")},
		{&all.pruneNames, on, oldest("names", "id", "touched < ?2")},
		{&all.pruneAddresses, on, oldest("addresses", "(key, address)", "last_seen < ?2")},
		{&all.pruneSeries, on, oldest("series", "(key, step, bucket)", "step = ?2 AND bucket < ?3")},
		{&all.pruneEndpoints, on, oldest("endpoints", "(key, step, bucket, pattern)", "step = ?2 AND bucket < ?3")},
		{&all.pruneRefusals, on, oldest("refusals", "(key, step, bucket, code, proven)", "step = ?2 AND bucket < ?3")},
		{&all.forgetOrigins, on, `UPDATE strikeplate_usage_keys SET origin = '' WHERE id IN (
			SELECT id FROM strikeplate_usage_keys WHERE origin <> '' AND browser_at < ?2 LIMIT ?1)`},
		{&all.oldKeys, on, `SELECT id FROM strikeplate_usage_keys WHERE touched < ?2 LIMIT ?1`},
	}
}
