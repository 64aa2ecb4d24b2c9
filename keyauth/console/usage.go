package console

import (
	"context"
	"time"

	"github.com/strikeplate/strikeplate/keyauth/manage"
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
	missing   []string // what could not be asked
}

// askUsage asks for all of it. What can't be had is left out and named: the rest
// must be there when something is wrong.
func (s *Console) askUsage(ctx context.Context, k manage.Key, sp span, lineage bool) usageOf {
	u := usageOf{span: sp}
	u.from, u.to = sp.bounds(s.c.Now())
	if s.c.Usage == nil {
		return u
	}
	u.counted = true
	q := storage.UsageQuery{Organisation: k.Organisation, Credential: k.ID, From: u.from, To: u.to, Step: sp.step}
	if lineage {
		q.Credential, q.Lineage = "", k.Lineage
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
	ask("addresses", err)
	q.Step = 0 // refusals have steps of their own
	u.refusals, err = s.c.Usage.Refusals(ctx, q)
	ask("refusals", err)
	seen, err := s.c.Usage.Credentials(ctx, k.Organisation, []string{k.ID})
	ask("last_used", err)
	u.seen = seen[k.ID]
	return u
}

func (u usageOf) wire() usageJSON {
	j := usageJSON{
		Counted: u.counted, From: u.from, To: u.to, StepSeconds: seconds(u.span.step.Width()), Total: wireCounts(u.total),
		Series: []bucketJSON{}, Endpoints: []endpointJSON{}, Addresses: []addressJSON{}, Refusals: []refusalJSON{},
		LastUsed: known(u.seen.Succeeded), BrowserOrigin: u.seen.Origin, Missing: filled(u.missing),
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
	for _, r := range u.refusals {
		j.Refusals = append(j.Refusals, refusalJSON{r.Code, r.Proven, r.Count, r.Last})
	}
	return j
}
