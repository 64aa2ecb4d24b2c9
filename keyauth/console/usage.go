package console

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/keyauth/usage"
	"github.com/strikeplate/strikeplate/storage"
)

// span is a range of time that usage is shown for.
type span struct {
	Name, Title string
	step        storage.UsageStep
	buckets     int
}

var spans = []span{
	{"1h", "Last hour", storage.PerMinute, 60},
	{"24h", "Last 24 hours", storage.PerHour, 24},
	{"7d", "Last 7 days", storage.PerHour, 7 * 24},
	{"30d", "Last 30 days", storage.PerDay, 30},
	{"90d", "Last 90 days", storage.PerDay, 90},
}

// rangeNamed returns a span; seven days, where there is none of that name.
func rangeNamed(name string) span {
	for _, sp := range spans {
		if sp.Name == name {
			return sp
		}
	}
	return spans[2]
}

// bounds are the beginning of the first bucket and the end of the last, which
// now is in.
func (sp span) bounds(now time.Time) (from, to time.Time) {
	last := sp.step.Start(now)
	return last.Add(-time.Duration(sp.buckets-1) * sp.step.Width()), last.Add(sp.step.Width())
}

// usageOf is what a key, or its lineage, was used for.
type usageOf struct {
	counted   bool
	span      span
	from, to  time.Time
	total     storage.UsageCounts
	points    []storage.UsagePoint // each bucket of the range
	endpoints []storage.UsageEndpoint
	addresses []storage.UsageAddress
	refusals  []storage.UsageRefusal
	seen      storage.UsageSeen
	unusual   []usage.Event // of the lineage
	missing   []string      // what could not be asked
}

// askUsage asks for all of it. What can't be had is left out and named: the rest
// must be there when something is wrong.
//
// line are the ids of the key's lineage if that is what to ask for; none: the key
// alone.
func (s *Console) askUsage(ctx context.Context, k manage.Key, sp span, line []string) usageOf {
	u := usageOf{span: sp}
	u.from, u.to = sp.bounds(s.c.Now())
	if s.c.Usage == nil {
		return u
	}
	u.counted = true
	q := storage.UsageQuery{Organisation: k.Organisation, Credential: k.ID, From: u.from, To: u.to, Step: sp.step}
	if len(line) > 0 {
		q.Credential, q.Lineage = "", k.Lineage
	} else {
		line = []string{k.ID}
	}
	ask := func(what string, err error) {
		if err != nil {
			u.missing = append(u.missing, what)
		}
	}
	series, err := s.c.Usage.Series(ctx, q)
	ask("series", err)
	u.points, u.total = series.Points, series.Total
	u.endpoints, err = s.c.Usage.Endpoints(ctx, q)
	ask("endpoints", err)
	u.addresses, err = s.c.Usage.Addresses(ctx, q.Organisation, q.Lineage, q.Credential)
	u.addresses = joinedAddresses(u.addresses)
	ask("addresses", err)
	q.Step = 0 // refusals have steps of their own
	u.refusals, err = s.c.Usage.Refusals(ctx, q)
	u.refusals = joinedRefusals(u.refusals)
	ask("refusals", err)
	u.unusual, err = s.c.Usage.Unusual(ctx, k.Organisation, k.Lineage)
	ask("unusual", err)
	seen, err := s.c.Usage.Credentials(ctx, k.Organisation, line)
	ask("last_used", err)
	for _, id := range line {
		if at := seen[id]; at.Succeeded.After(u.seen.Succeeded) {
			u.seen.Succeeded = at.Succeeded
		}
		if at := seen[id]; at.Origin != "" && at.BrowserAt.After(u.seen.BrowserAt) {
			u.seen.Origin, u.seen.BrowserAt = at.Origin, at.BrowserAt
		}
	}
	return u
}

// joinedAddresses has each address once, though several keys of a lineage were
// used from it; the most recent come first, and those not kept singly last.
func joinedAddresses(all []storage.UsageAddress) (joined []storage.UsageAddress) {
	at := map[netip.Addr]int{}
	for _, a := range all {
		i, known := at[a.Address]
		if !known {
			at[a.Address] = len(joined)
			joined = append(joined, a)
			continue
		}
		j := &joined[i]
		j.Count += a.Count
		if a.First.Before(j.First) {
			j.First = a.First
		}
		if a.Last.After(j.Last) {
			j.Last = a.Last
		}
	}
	slices.SortStableFunc(joined, func(a, b storage.UsageAddress) int {
		if a.Address.IsValid() != b.Address.IsValid() {
			if a.Address.IsValid() {
				return -1
			}
			return 1
		}
		return b.Last.Compare(a.Last)
	})
	return joined
}

// joinedRefusals has each code once for proven and once for unproven requests, the
// most frequent first.
func joinedRefusals(all []storage.UsageRefusal) (joined []storage.UsageRefusal) {
	type kind struct {
		code   string
		proven bool
	}
	at := map[kind]int{}
	for _, r := range all {
		i, known := at[kind{r.Code, r.Proven}]
		if !known {
			at[kind{r.Code, r.Proven}] = len(joined)
			joined = append(joined, r)
			continue
		}
		j := &joined[i]
		j.Count += r.Count
		if r.Last.After(j.Last) {
			j.Last = r.Last
		}
	}
	slices.SortStableFunc(joined, func(a, b storage.UsageRefusal) int { return cmp.Compare(b.Count, a.Count) })
	return joined
}

func (u usageOf) wire() usageJSON {
	j := usageJSON{
		Counted: u.counted, From: u.from, To: u.to, StepSeconds: seconds(u.span.step.Width()), Total: wireCounts(u.total),
		Series: []bucketJSON{}, Endpoints: []endpointJSON{}, Addresses: []addressJSON{}, Refusals: []refusalJSON{},
		Unusual: []unusualJSON{}, LastUsed: known(u.seen.Succeeded), BrowserOrigin: u.seen.Origin, Missing: filled(u.missing),
	}
	for _, p := range u.points {
		j.Series = append(j.Series, bucketJSON{Start: p.Start, Requests: p.Requests(), Errors: p.Errors()})
	}
	for _, e := range u.endpoints {
		j.Endpoints = append(j.Endpoints, endpointJSON{e.Pattern, wireCounts(e.UsageCounts)})
	}
	for _, a := range u.addresses {
		j.Addresses = append(j.Addresses, addressJSON{addressText(a.Address), a.Count, a.First, a.Last})
	}
	for _, e := range u.unusual {
		j.Unusual = append(j.Unusual, unusualJSON{e.Kind, e.Since, e.Requests, e.Usual, e.Patterns})
	}
	for _, r := range u.refusals {
		j.Refusals = append(j.Refusals, refusalJSON{r.Code, r.Proven, r.Count, r.Last})
	}
	return j
}
