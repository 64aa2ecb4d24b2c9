package otel

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/usage"
)

// observed are instruments that are read when somebody collects, not written by
// requests.
type observed struct {
	meter   metric.Meter
	all     []metric.Observable
	observe []func(metric.Observer)
	errs    []error
}

// register begins to answer collectors; nil if there is nothing to tell.
func (o *observed) register() (metric.Registration, error) {
	if err := errors.Join(o.errs...); err != nil || len(o.all) == 0 {
		return nil, err
	}
	return o.meter.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		for _, observe := range o.observe {
			observe(to)
		}
		return nil
	}, o.all...)
}

// group are instruments that one reading of a state tells.
type group[S any] struct {
	*observed
	prefix string
	each   []func(metric.Observer, *S)
}

func groupOf[S any](o *observed, prefix string, read func() S) *group[S] {
	g := &group[S]{observed: o, prefix: prefix}
	o.observe = append(o.observe, func(to metric.Observer) {
		s := read()
		for _, tell := range g.each {
			tell(to, &s)
		}
	})
	return g
}

func (g *group[S]) counter(name, help string, of func(*S) int64, attributes ...attribute.KeyValue) {
	c, err := g.meter.Int64ObservableCounter(g.prefix+name, metric.WithDescription(help))
	g.add(c, err, func(to metric.Observer, s *S) { to.ObserveInt64(c, of(s), metric.WithAttributes(attributes...)) })
}

func (g *group[S]) gauge(name, unit, help string, of func(*S) int64) {
	i, err := g.meter.Int64ObservableGauge(g.prefix+name, metric.WithUnit(unit), metric.WithDescription(help))
	g.add(i, err, func(to metric.Observer, s *S) { to.ObserveInt64(i, of(s)) })
}

func (g *group[S]) add(i metric.Observable, err error, tell func(metric.Observer, *S)) {
	g.all, g.each, g.errs = append(g.all, i), append(g.each, tell), append(g.errs, err)
}

// usage tells how a Counter does.
func (o *observed) usage(c *usage.Counter) {
	g := groupOf(o, "strikeplate.usage.", c.Stats)
	g.counter("stored", "Requests that were counted and stored.", func(s *usage.Stats) int64 { return s.Stored })
	g.counter("others", "Requests counted as (other), since a bound was reached.", func(s *usage.Stats) int64 { return s.Others })
	g.counter("dropped", "Requests that are lost uncounted.", func(s *usage.Stats) int64 { return s.Dropped })
	g.counter("failures", "Batches that the store did not take.", func(s *usage.Stats) int64 { return s.Failures })
	g.counter("alarms", "Alarms of unusual use.", func(s *usage.Stats) int64 { return s.Alarms })
	g.gauge("pending", "{request}", "Requests that were counted and wait to be stored.", func(s *usage.Stats) int64 { return s.Pending })
}

// authentication tells how an Authenticator does, as usage/prometheus does.
func (o *observed) authentication(keys *keyauth.Authenticator) {
	type stats = keyauth.Stats
	g := groupOf(o, "strikeplate.keyauth.", keys.Stats)
	count := func(name, help string, of func(*stats) uint64, attributes ...attribute.KeyValue) {
		g.counter(name, help, func(s *stats) int64 { return int64(of(s)) }, attributes...)
	}
	count("hashes", "Secrets hashed, to mint and to verify.", func(s *stats) uint64 { return s.Hashes })
	count("shed", "Verifications refused because the hash queue was full.", func(s *stats) uint64 { return s.Shed })
	count("throttled", "Attempts refused after too many wrong secrets.", func(s *stats) uint64 { return s.Throttled })
	count("malformed", "Credentials refused by shape or checksum alone.", func(s *stats) uint64 { return s.Malformed })
	count("lookups", "Records asked for by a key that was not proven here.", func(s *stats) uint64 { return s.Lookups })
	count("reads", "Records asked for again, of keys that were proven.", func(s *stats) uint64 { return s.Reads })
	count("bridged", "Requests answered from memory while the store was down.", func(s *stats) uint64 { return s.Bridged })
	count("rehashed", "Hashes replaced by stronger ones.", func(s *stats) uint64 { return s.Rehashed })
	shared := func(result string, of func(*stats) uint64) {
		count("shared_proofs", "Looks at proofs that other instances shared, by what came of them.", of, attribute.String("strikeplate.result", result))
	}
	shared("hit", func(s *stats) uint64 { return s.SharedHits })
	shared("miss", func(s *stats) uint64 { return s.SharedMisses })
	shared("rejected", func(s *stats) uint64 { return s.SharedRejected })
	shared("failed", func(s *stats) uint64 { return s.SharedFailed })
	g.gauge("hash_queue", "{request}", "Verifications that wait for the hash slot.", func(s *stats) int64 { return int64(s.Waiting) })
	g.gauge("proven_keys", "{key}", "Keys remembered as proven, about.", func(s *stats) int64 { return int64(s.Proven) })
	g.gauge("feed_fresh", "1", "1 while the change feed is healthy, 0 while every request asks the store.",
		func(s *stats) int64 { return oneIf(s.Fresh) })
	g.gauge("feed_age", "ms", "Since the change feed's last barrier.", func(s *stats) int64 { return s.FeedAge.Milliseconds() })
}

// fallback tells whether limits are counted by this instance alone.
func (o *observed) fallback(inForce func() bool) {
	groupOf(o, "strikeplate.ratelimit.", inForce).gauge("fallback", "1",
		"1 while limits are counted by this instance alone, since the shared engine fails.", func(yes *bool) int64 { return oneIf(*yes) })
}

func oneIf(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

// tell makes the instruments for what c names beside requests.
func (m *Metrics) tell(c Config) (err error) {
	o := observed{meter: c.Meter}
	if c.Counter != nil {
		o.usage(c.Counter)
	}
	if c.Authenticator != nil {
		o.authentication(c.Authenticator)
	}
	if c.Fallback != nil {
		o.fallback(c.Fallback)
	}
	if m.state, err = o.register(); err != nil {
		return fmt.Errorf("how the service does: %w", err)
	}
	return nil
}
