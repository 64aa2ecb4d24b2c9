package postgres

import (
	"fmt"
	"strings"
)

// usageStatements are the queries of usage.go and its like, rendered as the
// others are.
type usageStatements struct {
	// usage.go
	advance, sequence, begin, gap, records        string
	keys, lockOrganisation, countKeys, insertKeys string
	foldedKeys, names, countNames, insertNames    string
	lockKeys, lockNames, touchNames               string
	series, endpoints, seen, addresses, refusals  string
	crowded, trimAddresses                        string
	// usage_queries.go; by who is asked about
	seriesOf, endpointsOf, addressesOf, refusalsOf map[string]string
	ofCredentials, ofLineages, lastUsed, complete  string
	// usage_upkeep.go
	claim, keysOf, lockKeysOf, eraseNames, eraseOrganisation, eraseClaims string
	pruneInstances, pruneClaims, pruneNames, oldKeys, forgetOrigins       string
	pruneSeries, pruneEndpoints, pruneRefusals, pruneAddresses            string
	deleteRows, deleteSomeRows                                            map[string]string
	deleteKeys                                                            string
}

const usageCounts = `class0, class1, class2, class3, class4, class5,
	latency0, latency1, latency2, latency3, latency4, latency5, nanoseconds`

// summedCounts are the columns summed up; sum makes numerics of bigints.
var summedCounts = func() string {
	var sums []string
	for name := range strings.SplitSeq(usageCounts, ",") {
		sums = append(sums, "sum(u."+strings.TrimSpace(name)+")::bigint")
	}
	return strings.Join(sums, ", ")
}()

// Who a query is about.
const (
	ofTotal      = "total"
	ofCredential = "credential"
	ofLineage    = "lineage"
)

// whom are conditions on a row k of the keys, with $1 the organisation, $2 the
// credential, $3 the lineage, $4 the environment.
var whom = map[string]string{
	ofTotal:      `k.organisation = $1::text AND k.total AND $2::text = '' AND $3::text = '' AND $4::text IN ('', k.environment)`,
	ofCredential: `k.organisation = $1::text AND NOT k.total AND k.credential = $2::text AND $3::text IN ('', k.lineage) AND $4::text IS NOT NULL`,
	ofLineage:    `k.organisation = $1::text AND NOT k.total AND k.lineage = $3::text AND $2::text = '' AND $4::text IS NOT NULL`,
}

// added is the clause that adds a row to the one that is there.
func added(columns string) string {
	var sets []string
	for name := range strings.SplitSeq(columns, ",") {
		name = strings.TrimSpace(name)
		sets = append(sets, fmt.Sprintf("%s = u.%[1]s + excluded.%[1]s", name))
	}
	return strings.Join(sets, ", ")
}

// unnest lists n parameters as arrays of a type.
func unnest(from, n int, of string) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("$%d::%s[]", from+i, of))
	}
	return strings.Join(all, ", ")
}

func renderedUsage(sql func(string) string) usageStatements {
	var all usageStatements
	all.renderAdding(sql)
	all.renderAdmission(sql)
	all.renderQueries(sql)
	all.renderUpkeep(sql)
	return all
}

func (all *usageStatements) renderAdding(sql func(string) string) {
	all.advance = sql(`INSERT INTO strikeplate_usage_instances AS i (instance, sequence, heard, until, every, final)
		SELECT $1::text, $2::bigint, $3::timestamptz, $4::timestamptz, $5::bigint, $6::boolean
		WHERE $2::bigint = 1 OR EXISTS (SELECT FROM strikeplate_usage_instances WHERE instance = $1::text)
		ON CONFLICT (instance) DO UPDATE SET sequence = excluded.sequence, heard = greatest(i.heard, excluded.heard),
			until = greatest(i.until, excluded.until), every = excluded.every, final = excluded.final
		WHERE i.sequence < excluded.sequence RETURNING xmax = 0`)
	all.sequence = sql(`SELECT sequence FROM strikeplate_usage_instances WHERE instance = $1`)
	all.begin = sql(`INSERT INTO strikeplate_usage_state AS s (only_row, started, gap) VALUES (true, $2, $2)
		ON CONFLICT (only_row) DO UPDATE SET gap = greatest(s.gap, excluded.gap)
		WHERE NOT EXISTS (SELECT FROM strikeplate_usage_instances WHERE instance <> $1::text AND heard >= $3::timestamptz)`)
	all.gap = sql(`UPDATE strikeplate_usage_state SET gap = greatest(gap, $1)`)
	all.records = sql(`SELECT id, organisation, lineage, environment FROM strikeplate_keys WHERE id = ANY($1::text[])`)
	all.lockKeys = sql(`WITH locked AS (SELECT id FROM strikeplate_usage_keys WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE)
		UPDATE strikeplate_usage_keys k SET touched = greatest(k.touched, $2::timestamptz) FROM locked WHERE k.id = locked.id`)
	all.lockNames = sql(`SELECT count(*) FROM (SELECT FROM strikeplate_usage_names WHERE id = ANY($1::bigint[]) FOR KEY SHARE) AS locked`)
	all.touchNames = sql(`WITH stale AS (SELECT id FROM strikeplate_usage_names
			WHERE id = ANY($1::bigint[]) AND touched < $2::timestamptz - interval '1 day' ORDER BY id FOR NO KEY UPDATE)
		UPDATE strikeplate_usage_names n SET touched = $2::timestamptz FROM stale WHERE n.id = stale.id`)
	all.series = sql(`INSERT INTO strikeplate_usage_series AS u (key, step, bucket, ` + usageCounts + `)
		SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::integer[], ` + unnest(4, 13, "bigint") + `)
		ON CONFLICT (key, step, bucket) DO UPDATE SET ` + added(usageCounts))
	all.endpoints = sql(`INSERT INTO strikeplate_usage_endpoints AS u (key, step, bucket, pattern, ` + usageCounts + `)
		SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::integer[], $4::bigint[], ` + unnest(5, 13, "bigint") + `)
		ON CONFLICT (key, step, bucket, pattern) DO UPDATE SET ` + added(usageCounts))
	all.seen = sql(`UPDATE strikeplate_usage_keys k SET first_seen = least(k.first_seen, v.first_seen),
			succeeded = greatest(k.succeeded, v.succeeded), presented = greatest(k.presented, v.presented),
			browser = k.browser + v.browser, browser_at = greatest(k.browser_at, v.browser_at),
			origin = CASE WHEN v.browser_at > k.browser_at OR k.browser_at IS NULL THEN v.origin ELSE k.origin END
		FROM unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[], $5::bigint[], $6::timestamptz[], $7::text[])
			AS v (id, first_seen, succeeded, presented, browser, browser_at, origin) WHERE k.id = v.id`)
	all.addresses = sql(`INSERT INTO strikeplate_usage_addresses AS u (key, address, requests, first_seen, last_seen)
		SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::timestamptz[], $5::timestamptz[])
		ON CONFLICT (key, address) DO UPDATE SET requests = u.requests + excluded.requests,
			first_seen = least(u.first_seen, excluded.first_seen), last_seen = greatest(u.last_seen, excluded.last_seen)`)
	all.crowded = sql(`SELECT key FROM strikeplate_usage_addresses WHERE key = ANY($1::bigint[]) AND address <> ''
		GROUP BY key HAVING count(*) > $2::bigint ORDER BY key`)
	all.trimAddresses = sql(`WITH ranked AS (SELECT address, row_number() OVER (ORDER BY requests DESC, last_seen DESC, address) AS by_requests,
				row_number() OVER (ORDER BY last_seen DESC, address) AS by_time
			FROM strikeplate_usage_addresses WHERE key = $1::bigint AND address <> ''),
		gone AS (DELETE FROM strikeplate_usage_addresses a USING ranked r WHERE a.key = $1::bigint AND a.address = r.address
			AND r.by_requests > $2::bigint AND r.by_time > $2::bigint RETURNING a.requests, a.first_seen, a.last_seen)
		INSERT INTO strikeplate_usage_addresses AS u (key, address, requests, first_seen, last_seen)
		SELECT $1::bigint, '', sum(requests)::bigint, min(first_seen), max(last_seen) FROM gone HAVING count(*) > 0
		ON CONFLICT (key, address) DO UPDATE SET requests = u.requests + excluded.requests,
			first_seen = least(u.first_seen, excluded.first_seen), last_seen = greatest(u.last_seen, excluded.last_seen)`)
	all.refusals = sql(`INSERT INTO strikeplate_usage_refusals AS u (key, step, bucket, code, proven, requests, last_seen)
		SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::integer[], $4::bigint[], $5::boolean[], $6::bigint[], $7::timestamptz[])
		ON CONFLICT (key, step, bucket, code, proven) DO UPDATE SET requests = u.requests + excluded.requests,
			last_seen = greatest(u.last_seen, excluded.last_seen)`)
}

func (all *usageStatements) renderAdmission(sql func(string) string) {
	all.keys = sql(`SELECT k.id, v.ordinality FROM unnest($1::text[], $2::boolean[], $3::text[]) WITH ORDINALITY AS v (organisation, total, credential)
		JOIN strikeplate_usage_keys k ON k.organisation = v.organisation AND k.total = v.total AND k.credential = v.credential`)
	all.names = sql(`SELECT n.id, v.ordinality FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS v (organisation, name)
		JOIN strikeplate_usage_names n ON n.organisation = v.organisation AND n.name = v.name`)
	all.lockOrganisation = sql(`INSERT INTO strikeplate_usage_organisations (organisation) VALUES ($1)
		ON CONFLICT (organisation) DO UPDATE SET organisation = excluded.organisation`)
	all.countKeys = sql(`SELECT count(*) FROM strikeplate_usage_keys WHERE organisation = $1 AND NOT total`)
	all.countNames = sql(`SELECT count(*) FROM strikeplate_usage_names WHERE organisation = $1`)
	all.insertKeys = sql(`INSERT INTO strikeplate_usage_keys (organisation, total, credential, lineage, environment, touched)
		SELECT * , $6::timestamptz FROM unnest($1::text[], $2::boolean[], $3::text[], $4::text[], $5::text[]) ON CONFLICT DO NOTHING`)
	all.insertNames = sql(`INSERT INTO strikeplate_usage_names (organisation, name, touched)
		SELECT *, $3::timestamptz FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING`)
	all.foldedKeys = sql(`UPDATE strikeplate_usage_organisations SET gap = greatest(gap, $2) WHERE organisation = $1`)
}

func (all *usageStatements) renderQueries(sql func(string) string) {
	of := func(text string) map[string]string {
		rendered := make(map[string]string)
		for who, condition := range whom {
			rendered[who] = sql(strings.ReplaceAll(text, "WHOM", condition))
		}
		return rendered
	}
	const within = ` u ON u.key = k.id AND u.step = $5::smallint AND u.bucket >= $6::integer AND u.bucket < $7::integer WHERE WHOM`
	all.seriesOf = of(`SELECT u.bucket, ` + summedCounts + ` FROM strikeplate_usage_keys k
		JOIN strikeplate_usage_series` + within + ` GROUP BY u.bucket ORDER BY u.bucket`)
	all.endpointsOf = of(`SELECT coalesce(n.name, ''), s.* FROM (SELECT u.pattern, ` + summedCounts + ` FROM strikeplate_usage_keys k
			JOIN strikeplate_usage_endpoints` + within + ` GROUP BY u.pattern) AS s (pattern, ` + usageCounts + `)
		JOIN strikeplate_usage_names n ON n.id = s.pattern
		ORDER BY class0 + class1 + class2 + class3 + class4 + class5 DESC, n.name LIMIT 1000`)
	all.addressesOf = of(`SELECT k.organisation, k.credential, k.lineage, k.environment, u.address, u.requests, u.first_seen, u.last_seen
		FROM strikeplate_usage_keys k JOIN strikeplate_usage_addresses u ON u.key = k.id WHERE WHOM
		ORDER BY u.address = '', u.last_seen DESC, u.address, k.credential LIMIT 1000`)
	all.refusalsOf = of(`SELECT k.organisation, k.credential, k.lineage, k.environment, n.name, u.proven, u.requests, u.last_seen
		FROM (SELECT k.id, u.code, u.proven, sum(u.requests)::bigint AS requests, max(u.last_seen) AS last_seen FROM strikeplate_usage_keys k
			JOIN strikeplate_usage_refusals u ON u.key = k.id AND u.step = $5::smallint AND u.bucket >= $6::integer AND u.bucket < $7::integer
			WHERE WHOM GROUP BY k.id, u.code, u.proven) AS u
		JOIN strikeplate_usage_keys k ON k.id = u.id JOIN strikeplate_usage_names n ON n.id = u.code
		ORDER BY u.requests DESC, k.credential, n.name LIMIT 1000`)
	// A total has no refusals of its own: they are its keys'.
	all.refusalsOf[ofTotal] = strings.ReplaceAll(all.refusalsOf[ofTotal], "k.total AND", "NOT k.total AND")
	const seen = `organisation, credential, lineage, environment, first_seen, succeeded, presented, browser, browser_at, origin`
	all.ofCredentials = sql(`SELECT ` + seen + ` FROM strikeplate_usage_keys
		WHERE organisation = $1 AND NOT total AND credential = ANY($2::text[]) AND presented IS NOT NULL`)
	all.ofLineages = sql(`SELECT ` + seen + ` FROM strikeplate_usage_keys
		WHERE organisation = $1 AND NOT total AND lineage = ANY($2::text[]) AND presented IS NOT NULL ORDER BY presented DESC, credential DESC`)
	all.lastUsed = sql(`SELECT credential, max(succeeded) FROM strikeplate_usage_keys
		WHERE credential = ANY($1::text[]) AND NOT total AND succeeded IS NOT NULL GROUP BY credential`)
	all.complete = sql(`SELECT greatest(s.gap, (SELECT gap FROM strikeplate_usage_organisations WHERE organisation = $1)),
			EXISTS (SELECT FROM strikeplate_usage_instances WHERE NOT final
				AND coalesce(until, 'epoch') + make_interval(secs => every * 3 / 1e9 + 10) < $2::timestamptz)
		FROM strikeplate_usage_state s`)
}

// usageTables hold rows by key.
var usageTables = []string{"series", "endpoints", "addresses", "refusals"}

func (all *usageStatements) renderUpkeep(sql func(string) string) {
	all.claim = sql(`INSERT INTO strikeplate_usage_claims AS c (organisation, task, holder, until) VALUES ($1, $2, $3, $5)
		ON CONFLICT (organisation, task) DO UPDATE SET holder = excluded.holder, until = excluded.until
		WHERE c.holder = excluded.holder OR c.until <= $4::timestamptz`)
	all.keysOf = sql(`SELECT id FROM strikeplate_usage_keys WHERE organisation = $1`)
	all.lockKeysOf = sql(`SELECT id FROM strikeplate_usage_keys WHERE organisation = $1 ORDER BY id FOR UPDATE`)
	all.deleteKeys = sql(`DELETE FROM strikeplate_usage_keys WHERE id = ANY($1::bigint[])`)
	all.eraseNames = sql(`DELETE FROM strikeplate_usage_names WHERE organisation = $1`)
	all.eraseOrganisation = sql(`DELETE FROM strikeplate_usage_organisations WHERE organisation = $1`)
	all.eraseClaims = sql(`DELETE FROM strikeplate_usage_claims WHERE organisation = $1`)
	all.deleteRows, all.deleteSomeRows = make(map[string]string), make(map[string]string)
	for _, table := range usageTables {
		all.deleteRows[table] = sql(`DELETE FROM strikeplate_usage_` + table + ` WHERE key = ANY($1::bigint[])`)
		all.deleteSomeRows[table] = sql(`DELETE FROM strikeplate_usage_` + table + ` WHERE ctid = ANY(ARRAY(
			SELECT ctid FROM strikeplate_usage_` + table + ` WHERE key = ANY($1::bigint[]) LIMIT $2::integer))`)
	}
	oldest := func(table, where string) string {
		return sql(`DELETE FROM strikeplate_usage_` + table + ` WHERE ctid = ANY(ARRAY(
			SELECT ctid FROM strikeplate_usage_` + table + ` WHERE ` + where + ` LIMIT $1::integer FOR UPDATE SKIP LOCKED))`)
	}
	all.pruneSeries = oldest("series", `step = $2::smallint AND bucket < $3::integer`)
	all.pruneEndpoints = oldest("endpoints", `step = $2::smallint AND bucket < $3::integer`)
	all.pruneRefusals = oldest("refusals", `step = $2::smallint AND bucket < $3::integer`)
	all.pruneAddresses = oldest("addresses", `last_seen < $2::timestamptz`)
	all.pruneNames = oldest("names", `touched < $2::timestamptz`)
	all.pruneClaims = oldest("claims", `until <= $2::timestamptz`)
	all.forgetOrigins = sql(`UPDATE strikeplate_usage_keys SET origin = '' WHERE id = ANY(ARRAY(SELECT id FROM strikeplate_usage_keys
		WHERE origin <> '' AND browser_at < $2::timestamptz ORDER BY id LIMIT $1::integer FOR NO KEY UPDATE SKIP LOCKED))`)
	all.oldKeys = sql(`SELECT id FROM strikeplate_usage_keys WHERE touched < $2::timestamptz ORDER BY id LIMIT $1::integer FOR UPDATE SKIP LOCKED`)
	all.pruneInstances = sql(`DELETE FROM strikeplate_usage_instances WHERE instance = ANY(ARRAY(
		SELECT instance FROM strikeplate_usage_instances WHERE heard < $2::timestamptz ORDER BY instance LIMIT $1::integer FOR UPDATE SKIP LOCKED))
		RETURNING final`)
}
