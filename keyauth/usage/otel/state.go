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

func (o *observed) counter(name, help string, of func() int64, attributes ...attribute.KeyValue) {
	c, err := o.meter.Int64ObservableCounter(name, metric.WithDescription(help))
	o.add(c, err, func(to metric.Observer) { to.ObserveInt64(c, of(), metric.WithAttributes(attributes...)) })
}

func (o *observed) gauge(name, unit, help string, of func() int64) {
	g, err := o.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(help))
	o.add(g, err, func(to metric.Observer) { to.ObserveInt64(g, of()) })
}

func (o *observed) add(i metric.Observable, err error, observe func(metric.Observer)) {
	o.all, o.observe, o.errs = append(o.all, i), append(o.observe, observe), append(o.errs, err)
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

// usage tells how a Counter does.
func (o *observed) usage(c *usage.Counter) {
	count := func(name, help string, of func(usage.Stats) int64) {
		o.counter("strikeplate.usage."+name, help, func() int64 { return of(c.Stats()) })
	}
	count("stored", "Requests that were counted and stored.", func(s usage.Stats) int64 { return s.Stored })
	count("others", "Requests counted as (other), since a bound was reached.", func(s usage.Stats) int64 { return s.Others })
	count("dropped", "Requests that are lost uncounted.", func(s usage.Stats) int64 { return s.Dropped })
	count("failures", "Batches that the store did not take.", func(s usage.Stats) int64 { return s.Failures })
	count("alarms", "Alarms of unusual use.", func(s usage.Stats) int64 { return s.Alarms })
	o.gauge("strikeplate.usage.pending", "{request}", "Requests that were counted and wait to be stored.",
		func() int64 { return c.Stats().Pending })
}

// authentication tells how an Authenticator does, as usage/prometheus does.
func (o *observed) authentication(keys *keyauth.Authenticator) {
	count := func(name, help string, of func(keyauth.Stats) uint64, attributes ...attribute.KeyValue) {
		o.counter("strikeplate.keyauth."+name, help, func() int64 { return int64(of(keys.Stats())) }, attributes...)
	}
	count("hashes", "Secrets hashed, to mint and to verify.", func(s keyauth.Stats) uint64 { return s.Hashes })
	count("shed", "Verifications refused because the hash queue was full.", func(s keyauth.Stats) uint64 { return s.Shed })
	count("throttled", "Attempts refused after too many wrong secrets.", func(s keyauth.Stats) uint64 { return s.Throttled })
	count("malformed", "Credentials refused by shape or checksum alone.", func(s keyauth.Stats) uint64 { return s.Malformed })
	count("lookups", "Records asked for by a key that was not proven here.", func(s keyauth.Stats) uint64 { return s.Lookups })
	count("reads", "Records asked for again, of keys that were proven.", func(s keyauth.Stats) uint64 { return s.Reads })
	count("bridged", "Requests answered from memory while the store was down.", func(s keyauth.Stats) uint64 { return s.Bridged })
	count("rehashed", "Hashes replaced by stronger ones.", func(s keyauth.Stats) uint64 { return s.Rehashed })
	shared := func(result string, of func(keyauth.Stats) uint64) {
		count("shared_proofs", "Looks at proofs that other instances shared, by what came of them.", of, attribute.String("strikeplate.result", result))
	}
	shared("hit", func(s keyauth.Stats) uint64 { return s.SharedHits })
	shared("miss", func(s keyauth.Stats) uint64 { return s.SharedMisses })
	shared("rejected", func(s keyauth.Stats) uint64 { return s.SharedRejected })
	shared("failed", func(s keyauth.Stats) uint64 { return s.SharedFailed })
	o.gauge("strikeplate.keyauth.hash_queue", "{request}", "Verifications that wait for the hash slot.",
		func() int64 { return int64(keys.Stats().Waiting) })
	o.gauge("strikeplate.keyauth.proven_keys", "{key}", "Keys remembered as proven, about.",
		func() int64 { return int64(keys.Stats().Proven) })
	o.gauge("strikeplate.keyauth.feed_fresh", "1", "1 while the change feed is healthy, 0 while every request asks the store.",
		func() int64 { return oneIf(keys.Stats().Fresh) })
	o.gauge("strikeplate.keyauth.feed_age", "ms", "Since the change feed's last barrier.",
		func() int64 { return keys.Stats().FeedAge.Milliseconds() })
}

// fallback tells whether limits are counted by this instance alone.
func (o *observed) fallback(inForce func() bool) {
	o.gauge("strikeplate.ratelimit.fallback", "1", "1 while limits are counted by this instance alone, since the shared engine fails.",
		func() int64 { return oneIf(inForce()) })
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
