// Package otel gives what package usage counts to OpenTelemetry. It is a module of
// its own, so that nobody links the API who doesn't want it.
//
//	metrics, err := otel.New(otel.Config{Meter: provider.Meter("api"), Counter: counter})
//	...
//	defer metrics.Close()
//	edge := strikeplate.Edge{Done: []func(*strikeplate.Exchange){counter.Observe, metrics.Observe}}
//
// # Instruments
//
//	strikeplate.requests           {http.route, strikeplate.class, strikeplate.credential}
//	strikeplate.request.duration   s, {http.route}; abandoned requests left out
//	strikeplate.refusals           {strikeplate.code, strikeplate.proven}
//	strikeplate.usage.…            how the Counter does: see usage.Stats
//	strikeplate.keyauth.…          how the Authenticator does: see keyauth.Stats
//	strikeplate.ratelimit.fallback 1 while limits are counted by this instance alone
//
// A class is 2xx and so on, or "abandoned". Proven says that the secret was right.
//
// # Security notes
//
// Attributes are registered patterns, codes and, where [Config.Keys] says so, ids
// of keys that were proven: nothing that a stranger chooses. Each has a bound,
// behind which the attribute is "(other)".
package otel

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/usage"
	"github.com/strikeplate/strikeplate/storage"
)

// Config wires [Metrics].
type Config struct {
	// Meter is required.
	Meter metric.Meter
	// Keys is how many credentials have an attribute of their own; the others, and
	// with zero all of them, are "(other)". Each may have a time series for each
	// route and class: mind the product.
	Keys int
	// Routes is how many patterns have; zero: 500.
	Routes int
	// Codes is how many codes of refusals have; zero: 100.
	Codes int
	// Counter's own state is told as well; nil: it isn't.
	Counter *usage.Counter
	// Authenticator's own state is told as well: hashes, the queue for them, look-ups,
	// and the feed; nil: it isn't.
	Authenticator *keyauth.Authenticator
	// Fallback tells whether limits are counted by this instance alone, as
	// ratelimit.Fallback says it: func() bool { return f.Stats().Failing }. Nil: it
	// isn't told.
	Fallback func() bool
}

// Metrics are counters for OpenTelemetry. They are safe for concurrent use.
type Metrics struct {
	requests, refusals  metric.Int64Counter
	duration            metric.Float64Histogram
	keys, routes, codes *usage.Labels
	state               metric.Registration // nil: nothing is told but requests
}

// New makes the instruments. Close ends what asks the Counter, the Authenticator and
// Fallback.
func New(c Config) (*Metrics, error) {
	switch {
	case c.Meter == nil:
		return nil, errors.New("usage/otel: a Meter is required")
	case c.Keys < 0 || c.Routes < 0 || c.Codes < 0:
		return nil, errors.New("usage/otel: Keys, Routes and Codes must not be negative")
	}
	if c.Routes == 0 {
		c.Routes = 500
	}
	if c.Codes == 0 {
		c.Codes = 100
	}
	m := &Metrics{keys: usage.NewLabels(c.Keys), routes: usage.NewLabels(c.Routes), codes: usage.NewLabels(c.Codes)}
	var bounds []float64
	for _, d := range storage.UsageLatencies {
		bounds = append(bounds, d.Seconds())
	}
	var errs [4]error
	m.requests, errs[0] = c.Meter.Int64Counter("strikeplate.requests", metric.WithUnit("{request}"),
		metric.WithDescription("Requests by route, class of status, and credential where that is told."))
	m.refusals, errs[1] = c.Meter.Int64Counter("strikeplate.refusals", metric.WithUnit("{request}"),
		metric.WithDescription("Refused requests by code, and whether the credential was proven."))
	m.duration, errs[2] = c.Meter.Float64Histogram("strikeplate.request.duration", metric.WithUnit("s"),
		metric.WithDescription("How long requests took."), metric.WithExplicitBucketBoundaries(bounds...))
	errs[3] = m.tell(c)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("usage/otel: %w", err)
	}
	return m, nil
}

// Close ends what asks the Counter, the Authenticator and Fallback.
func (m *Metrics) Close() error {
	if m.state == nil {
		return nil
	}
	return m.state.Unregister()
}

// Observe counts a complete request. It belongs into [strikeplate.Edge].Done.
func (m *Metrics) Observe(x *strikeplate.Exchange) {
	ctx := context.Background() // the request's is over
	o := usage.Read(x)
	key, proven := o.Key()
	class := o.Class()
	route := attribute.String("http.route", m.routes.Of(o.Route()))
	attributes := []attribute.KeyValue{route, attribute.String("strikeplate.class", classes[class])}
	if proven {
		attributes = append(attributes, attribute.String("strikeplate.credential", m.keys.Of(key.Credential)))
	}
	m.requests.Add(ctx, 1, metric.WithAttributes(attributes...))
	if class == 0 {
		return
	}
	m.duration.Record(ctx, o.Elapsed.Seconds(), metric.WithAttributes(route))
	if o.Refusal != nil {
		m.refusals.Add(ctx, 1, metric.WithAttributes(
			attribute.String("strikeplate.code", m.codes.Of(o.Refusal.Code)), attribute.Bool("strikeplate.proven", proven)))
	}
}

var classes = [6]string{"abandoned", "1xx", "2xx", "3xx", "4xx", "5xx"}
