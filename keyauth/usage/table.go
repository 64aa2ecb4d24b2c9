package usage

import (
	"net/netip"
	"time"
	"unsafe"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// table holds counts between two batches. It belongs to one goroutine at a time.
// Reset keeps its memory, so that counting allocates nothing once it is warm.
type table struct {
	bound
	keys    map[keyID]int32
	entries []entry
	// principals is a shortcut past keys: mostly a credential has one Principal.
	principals map[*strikeplate.Principal]int32
	rows       map[rowID]int32
	counts     []row

	refusals map[refusalID]refusal
	totals   totals
	gap      int64 // the last moment at which a credential's use was not kept singly
}

// bound is how much a table may hold. Refusals are bounded as keys are.
type bound struct{ keys, rows int }

// totals are what Stats sums up.
type totals struct {
	requests, refusals, anonymous, abandoned, others, dropped int64
}

type keyID struct{ organisation, credential string }

type rowID struct {
	entry, minute int32
	pattern       string
}

type row struct {
	id     rowID
	name   string // the pattern, or what stands for it
	counts storage.UsageCounts
}

// inlineAddresses are those that a table tells apart of one credential. The
// store keeps more.
const inlineAddresses = 8

// entry is one credential. Times are nanoseconds since 1970, 0 for none. What
// each request touches comes first, close together.
type entry struct {
	first, succeeded, presented int64
	routes                      [routeShortcuts]int32 // rows used before, by their pattern's place in memory
	known, recent               int32
	addresses                   [inlineAddresses]address
	others                      address
	browser, browserAt          int64
	origin                      string
	key                         storage.UsageKey
}

const routeShortcuts = 8

type address struct {
	client             netip.Addr
	count, first, last int64
}

type refusalID struct {
	key    keyID
	code   string
	proven bool
	hour   int32
}

type refusal struct {
	key         storage.UsageKey
	count, last int64
}

func newTable(b bound) *table {
	return &table{bound: b, keys: make(map[keyID]int32), principals: make(map[*strikeplate.Principal]int32),
		rows: make(map[rowID]int32), refusals: make(map[refusalID]refusal)}
}

func (t *table) reset() {
	clear(t.keys)
	clear(t.principals)
	clear(t.rows)
	clear(t.refusals)
	clear(t.entries) // lets go of the texts
	clear(t.counts)
	t.entries, t.counts, t.totals, t.gap = t.entries[:0], t.counts[:0], totals{}, 0
}

func (t *table) empty() bool {
	return len(t.entries)+len(t.refusals) == 0 && t.totals == totals{} && t.gap == 0
}

// entry returns the number of a credential's entry. Beyond the bound that is the
// one of the organisation's others, and far beyond it the one of everybody's.
func (t *table) entry(key storage.UsageKey, at int64) int32 {
	id := keyID{key.Organisation, key.Credential}
	if i, ok := t.keys[id]; ok {
		return i
	}
	if !storable(key.Organisation) {
		key = storage.UsageKey{}
	}
	if !storable(key.Credential) || !storable(key.Lineage) || !storable(string(key.Environment)) || key.Credential == "" {
		key.Credential, key.Lineage, key.Environment = storage.UsageOther, storage.UsageOther, ""
		t.gap = max(t.gap, at)
	}
	if len(t.entries) >= t.bound.keys {
		t.totals.others++
		t.gap = max(t.gap, at)
		key.Credential, key.Lineage = storage.UsageOther, storage.UsageOther
		if len(t.entries) >= 2*t.bound.keys {
			key = storage.UsageKey{Credential: storage.UsageOther, Lineage: storage.UsageOther}
		}
		id = keyID{key.Organisation, key.Credential}
		if i, ok := t.keys[id]; ok {
			return i
		}
	}
	i := int32(len(t.entries))
	t.entries = append(t.entries, entry{key: key})
	t.keys[id] = i
	return i
}

// row returns the counts of a credential's route in a minute. Beyond the bound it
// is all routes' row, and far beyond it nil.
func (t *table) row(id rowID, at int64) *storage.UsageCounts {
	if i, ok := t.rows[id]; ok {
		return &t.counts[i].counts
	}
	name := id.pattern
	if !storable(name) || name == "" {
		name = storage.UsageOther
	}
	if len(t.counts) >= t.bound.rows {
		t.totals.others++
		id.pattern, name = storage.UsageOther, storage.UsageOther
		if i, ok := t.rows[id]; ok {
			return &t.counts[i].counts
		}
		if len(t.counts) >= 2*t.bound.rows {
			t.gap = max(t.gap, at)
			return nil
		}
	}
	t.rows[id] = int32(len(t.counts))
	t.counts = append(t.counts, row{id: id, name: name})
	return &t.counts[len(t.counts)-1].counts
}

// storable are texts that every store takes.
func storable(s string) bool { return len(s) <= storage.MaxUsageText && storage.ValidText(s) }

// entryOf is the entry of who made a request.
func (t *table) entryOf(o *Observation, at int64) int32 {
	if i, ok := t.principals[o.Principal]; ok && o.Principal != nil {
		return i
	}
	key, _ := o.Key()
	i := t.entry(key, at)
	if o.Principal != nil {
		if len(t.principals) > t.bound.keys { // an Authenticator that makes one for each request
			clear(t.principals)
		}
		t.principals[o.Principal] = i
	}
	return i
}

// count adds one request whose credential was proven, and returns whose it was.
func (t *table) count(o *Observation, class int, at int64) *entry {
	i := t.entryOf(o, at)
	e := &t.entries[i]
	e.seen(at)
	if class > 0 && o.Status < 400 {
		e.succeeded = max(e.succeeded, at)
	}
	if o.Client.IsValid() {
		e.from(o.Client, address{client: o.Client, count: 1, first: at, last: at})
	}
	t.totals.requests++
	counts := t.route(e, rowID{i, minuteOf(at), o.Route()}, at)
	if counts == nil {
		t.totals.dropped++
		return e
	}
	counts.Class[class]++
	if class > 0 {
		counts.Latency[latencyBucket(o.Elapsed)]++
		counts.Nanoseconds += int64(o.Elapsed)
	}
	return e
}

// route is row with a shortcut: a pattern mostly is the very text that it was the
// last time.
func (t *table) route(e *entry, id rowID, at int64) *storage.UsageCounts {
	shortcut := &e.routes[uintptr(unsafe.Pointer(unsafe.StringData(id.pattern)))>>4%routeShortcuts] //nolint:gosec // no more than a number that differs
	if i := *shortcut; int(i) < len(t.counts) && t.counts[i].id == id {
		return &t.counts[i].counts
	}
	counts := t.row(id, at)
	if i, ok := t.rows[id]; ok {
		*shortcut = i
	}
	return counts
}

func latencyBucket(d time.Duration) int {
	for i, bound := range storage.UsageLatencies {
		if d <= bound {
			return i
		}
	}
	return len(storage.UsageLatencies)
}

func minuteOf(at int64) int32 { return int32(at / int64(time.Minute)) }

func (e *entry) seen(at int64) {
	if e.first == 0 || at < e.first {
		e.first = at
	}
	e.presented = max(e.presented, at)
}

// from adds requests of a client, which mostly is the same as the last one's.
func (e *entry) from(client netip.Addr, a address) {
	if e.known > 0 && e.addresses[e.recent].client == client {
		e.addresses[e.recent].add(a)
		return
	}
	for i := range e.known {
		if e.addresses[i].client == client {
			e.addresses[i].add(a)
			e.recent = i
			return
		}
	}
	if int(e.known) == len(e.addresses) || !client.IsValid() {
		a.client = netip.Addr{}
		e.others.add(a)
		return
	}
	e.addresses[e.known] = a
	e.recent = e.known
	e.known++
}

func (a *address) add(o address) {
	if a.count == 0 || o.first < a.first {
		a.first = o.first
	}
	a.count += o.count
	a.last = max(a.last, o.last)
}

// refuse adds refusals. Beyond the bound, codes are one, and far beyond it they
// are nobody's.
func (t *table) refuse(id refusalID, r refusal) {
	known, ok := t.refusals[id]
	if !ok {
		if !storable(id.code) || id.code == "" {
			id.code = storage.UsageOther
		}
		if !storable(r.key.Credential) || !storable(r.key.Organisation) {
			r.key = storage.UsageKey{}
		}
		if len(t.refusals) >= t.bound.keys {
			t.totals.others++
			id.code = storage.UsageOther
		}
		if len(t.refusals) >= 2*t.bound.keys {
			r.key = storage.UsageKey{}
		}
		id.key = keyID{r.key.Organisation, r.key.Credential}
		known = t.refusals[id]
	}
	known.key = r.key
	known.count += r.count
	known.last = max(known.last, r.last)
	t.refusals[id] = known
	t.totals.refusals += r.count
}

// browser notes a request with an Origin.
func (t *table) browser(key storage.UsageKey, origin string, at int64) {
	e := &t.entries[t.entry(key, at)]
	e.seen(at)
	e.browser++
	if at >= e.browserAt {
		e.browserAt, e.origin = at, origin
	}
}

// merge adds all of o to t.
func (t *table) merge(o *table) {
	to := make([]int32, len(o.entries))
	for i := range o.entries {
		from := &o.entries[i]
		to[i] = t.entry(from.key, from.presented)
		t.entries[to[i]].merge(from)
	}
	for i := range o.counts {
		r := &o.counts[i]
		counts := t.row(rowID{to[r.id.entry], r.id.minute, r.name}, t.entries[to[r.id.entry]].presented)
		if counts == nil {
			t.totals.dropped += r.counts.Requests()
			continue
		}
		counts.Add(r.counts)
	}
	refused := t.totals.refusals
	for id, r := range o.refusals {
		t.refuse(id, r)
	}
	t.totals.refusals = refused
	t.totals.add(o.totals)
	t.gap = max(t.gap, o.gap)
}

func (e *entry) merge(o *entry) {
	if o.first != 0 {
		e.seen(o.first)
	}
	e.presented, e.succeeded = max(e.presented, o.presented), max(e.succeeded, o.succeeded)
	e.browser += o.browser
	if o.browserAt > e.browserAt {
		e.browserAt, e.origin = o.browserAt, o.origin
	}
	for _, a := range o.addresses[:o.known] {
		e.from(a.client, a)
	}
	if o.others.count > 0 {
		e.others.add(o.others)
	}
}

func (t *totals) add(o totals) {
	t.requests += o.requests
	t.refusals += o.refusals
	t.anonymous += o.anonymous
	t.abandoned += o.abandoned
	t.others += o.others
	t.dropped += o.dropped
}
