// Package prometheus gives what package usage counts to Prometheus. It is a module
// of its own, so that nobody links the client who doesn't want it.
//
//	metrics, err := prometheus.New(prometheus.Config{Registerer: registry, Counter: counter})
//	...
//	edge := strikeplate.Edge{Done: []func(*strikeplate.Exchange){counter.Observe, metrics.Observe}}
//
// # Metrics
//
//	strikeplate_requests_total{route, class, credential}   class is 2xx and so on, or abandoned
//	strikeplate_request_duration_seconds{route}            abandoned requests left out
//	strikeplate_refusals_total{code, proven}               proven: the secret was right
//	strikeplate_usage_…                                    how the Counter does: see usage.Stats
//	strikeplate_keyauth_…                                  how the Authenticator does: see keyauth.Stats
//	strikeplate_ratelimit_fallback                         1 while limits are counted by this instance alone
//
// A dashboard and alert rules for them are in docs/observability.
//
// # Security notes
//
// Labels are registered patterns, codes and, where [Config.Keys] says so, ids of
// keys that were proven: nothing that a stranger chooses. Each has a bound, behind
// which the label is "(other)".
package prometheus

import (
	"errors"
	"fmt"
	"strconv"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/usage"
	"github.com/strikeplate/strikeplate/storage"
)

// Config wires [Metrics].
type Config struct {
	// Registerer is required.
	Registerer prom.Registerer
	// Namespace begins each name; empty: "strikeplate".
	Namespace string
	// Keys is how many credentials have a label of their own; the others, and with
	// zero all of them, are "(other)". Each may have a time series for each route
	// and class: mind the product.
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

// Metrics are counters for Prometheus. They are safe for concurrent use.
type Metrics struct {
	requests, refusals  *prom.CounterVec
	duration            *prom.HistogramVec
	keys, routes, codes *usage.Labels
}

// New registers the metrics.
func New(c Config) (*Metrics, error) {
	switch {
	case c.Registerer == nil:
		return nil, errors.New("usage/prometheus: a Registerer is required")
	case c.Keys < 0 || c.Routes < 0 || c.Codes < 0:
		return nil, errors.New("usage/prometheus: Keys, Routes and Codes must not be negative")
	}
	if c.Namespace == "" {
		c.Namespace = "strikeplate"
	}
	if c.Routes == 0 {
		c.Routes = 500
	}
	if c.Codes == 0 {
		c.Codes = 100
	}
	var bounds []float64
	for _, d := range storage.UsageLatencies {
		bounds = append(bounds, d.Seconds())
	}
	m := &Metrics{
		requests: prom.NewCounterVec(prom.CounterOpts{Namespace: c.Namespace, Name: "requests_total",
			Help: "Requests by route, class of status, and credential where that is told."}, []string{"route", "class", "credential"}),
		duration: prom.NewHistogramVec(prom.HistogramOpts{Namespace: c.Namespace, Name: "request_duration_seconds",
			Help: "How long requests took.", Buckets: bounds}, []string{"route"}),
		refusals: prom.NewCounterVec(prom.CounterOpts{Namespace: c.Namespace, Name: "refusals_total",
			Help: "Refused requests by code, and whether the credential was proven."}, []string{"code", "proven"}),
		keys: usage.NewLabels(c.Keys), routes: usage.NewLabels(c.Routes), codes: usage.NewLabels(c.Codes),
	}
	all := []prom.Collector{m.requests, m.duration, m.refusals}
	all = append(all, more(c)...)
	for _, one := range all {
		if err := c.Registerer.Register(one); err != nil {
			return nil, fmt.Errorf("usage/prometheus: %w", err)
		}
	}
	return m, nil
}

// state are the Counter's own metrics.
func state(c Config) []prom.Collector {
	var all []prom.Collector
	for _, s := range []struct {
		name, help string
		of         func(usage.Stats) int64
	}{
		{"usage_stored_total", "Requests that were counted and stored.", func(s usage.Stats) int64 { return s.Stored }},
		{"usage_others_total", "Requests counted as (other), since a bound was reached.", func(s usage.Stats) int64 { return s.Others }},
		{"usage_dropped_total", "Requests that are lost uncounted.", func(s usage.Stats) int64 { return s.Dropped }},
		{"usage_failures_total", "Batches that the store did not take.", func(s usage.Stats) int64 { return s.Failures }},
		{"usage_alarms_total", "Alarms of unusual use.", func(s usage.Stats) int64 { return s.Alarms }},
	} {
		all = append(all, prom.NewCounterFunc(prom.CounterOpts{Namespace: c.Namespace, Name: s.name, Help: s.help},
			func() float64 { return float64(s.of(c.Counter.Stats())) }))
	}
	return append(all, prom.NewGaugeFunc(prom.GaugeOpts{Namespace: c.Namespace, Name: "usage_pending_requests",
		Help: "Requests that were counted and wait to be stored."},
		func() float64 { return float64(c.Counter.Stats().Pending) }))
}

// Observe counts a complete request. It belongs into [strikeplate.Edge].Done.
func (m *Metrics) Observe(x *strikeplate.Exchange) {
	o := usage.Read(x)
	key, proven := o.Key()
	class, credential := o.Class(), ""
	if proven {
		credential = m.keys.Of(key.Credential)
	}
	route := m.routes.Of(o.Route())
	m.requests.WithLabelValues(route, classes[class], credential).Inc()
	if class == 0 {
		return
	}
	m.duration.WithLabelValues(route).Observe(o.Elapsed.Seconds())
	if o.Refusal != nil {
		m.refusals.WithLabelValues(m.codes.Of(o.Refusal.Code), strconv.FormatBool(proven)).Inc()
	}
}

var classes = [6]string{"abandoned", "1xx", "2xx", "3xx", "4xx", "5xx"}
