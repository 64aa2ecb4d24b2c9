package usage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// ErrRange is wrapped by the failure of a question whose range of time or whose
// names can't be asked for. It is the asker's mistake, where all else is the
// store's failure.
var ErrRange = errors.New("usage: not to be asked")

// MaxPoints is how many points a series may have.
const MaxPoints = 2000

// Series is what happened over time.
type Series struct {
	// Points are the buckets of the range, the oldest first, none left out.
	Points []storage.UsagePoint
	// Total is their sum; its ErrorRate is the part of requests that returned an error.
	Total storage.UsageCounts
}

// StepFor is a step that shows a range well: at most 360 points.
func StepFor(d time.Duration) storage.UsageStep {
	switch {
	case d <= 6*time.Hour:
		return storage.PerMinute
	case d <= 15*day:
		return storage.PerHour
	default:
		return storage.PerDay
	}
}

// stepForRefusals is coarser: they are told by key, so a bucket has many rows.
func stepForRefusals(d time.Duration) storage.UsageStep {
	if d <= 3*day {
		return storage.PerHour
	}
	return storage.PerDay
}

// check settles q: a missing Step is chosen, From is moved to the beginning of its
// bucket.
func check(q storage.UsageQuery) (storage.UsageQuery, error) {
	if q.Organisation == "" {
		return q, fmt.Errorf("%w: an Organisation is required", ErrRange)
	}
	if q.Step == 0 {
		q.Step = StepFor(q.To.Sub(q.From))
	}
	q.From = q.Step.Start(q.From)
	if err := q.Check(); err != nil {
		return q, fmt.Errorf("%w: %w", ErrRange, err)
	}
	if points := q.To.Sub(q.From) / q.Step.Width(); points > MaxPoints {
		return q, fmt.Errorf("%w: the range has %d points, and %d at most may be asked for", ErrRange, points, MaxPoints)
	}
	return q, nil
}

// Series returns the counts of an organisation, a lineage or a credential over
// time. A zero Step is chosen by [StepFor]; From is moved to its bucket's
// beginning. What the service counted in its last interval is not there yet.
func (u *Counter) Series(ctx context.Context, q storage.UsageQuery) (Series, error) {
	q, err := check(q)
	if err != nil {
		return Series{}, err
	}
	points, err := u.c.Store.UsageSeries(ctx, q)
	if err != nil {
		return Series{}, fmt.Errorf("usage: series: %w", err)
	}
	var s Series
	for start := q.From; start.Before(q.To); start = start.Add(q.Step.Width()) {
		p := storage.UsagePoint{Start: start}
		if len(points) > 0 && points[0].Start.Equal(start) {
			p, points = points[0], points[1:]
		}
		s.Points = append(s.Points, p)
		s.Total.Add(p.UsageCounts)
	}
	return s, nil
}

// Endpoints returns the counts of each route, the busiest first.
func (u *Counter) Endpoints(ctx context.Context, q storage.UsageQuery) ([]storage.UsageEndpoint, error) {
	q, err := check(q)
	if err != nil {
		return nil, err
	}
	all, err := u.c.Store.UsageEndpoints(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("usage: endpoints: %w", err)
	}
	return all, nil
}

// Refusals returns what requests were refused with, the most frequent first. Those
// that are not Proven may be anybody's doing: show them apart. A zero Step is an
// hour for up to 3 days, else a day.
func (u *Counter) Refusals(ctx context.Context, q storage.UsageQuery) ([]storage.UsageRefusal, error) {
	if q.Step == 0 {
		q.Step = stepForRefusals(q.To.Sub(q.From))
	}
	q, err := check(q)
	if err != nil {
		return nil, err
	}
	return u.refusals(ctx, q)
}

// Unrecognised returns the refusals that name no key of any organisation: an
// operator's view, for no tenant.
func (u *Counter) Unrecognised(ctx context.Context, from, to time.Time) ([]storage.UsageRefusal, error) {
	q := storage.UsageQuery{To: to, Step: stepForRefusals(to.Sub(from))}
	q.From = q.Step.Start(from)
	if err := q.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRange, err)
	}
	return u.refusals(ctx, q)
}

func (u *Counter) refusals(ctx context.Context, q storage.UsageQuery) ([]storage.UsageRefusal, error) {
	q = q.ForRefusals()
	q.From = q.Step.Start(q.From)
	all, err := u.c.Store.UsageRefusals(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("usage: refusals: %w", err)
	}
	return all, nil
}

// Addresses returns where requests of a lineage came from, or of one credential
// of it if that is named too, the most recent first.
func (u *Counter) Addresses(ctx context.Context, organisation, lineage, credential string) ([]storage.UsageAddress, error) {
	q := storage.UsageQuery{Organisation: organisation, Lineage: lineage, Credential: credential}
	if err := q.CheckNames(); err != nil || organisation == "" {
		return nil, fmt.Errorf("%w: an Organisation, and a Lineage or a Credential, are required", ErrRange)
	}
	all, err := u.c.Store.UsageAddresses(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("usage: addresses: %w", err)
	}
	return all, nil
}
