package prometheus

import (
	"cmp"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/strikeplate/strikeplate/keyauth"
)

// authentication tells how an Authenticator does, each time that it is asked.
type authentication struct {
	keys   *keyauth.Authenticator
	told   []told
	shared *prom.Desc
}

// told is one figure of [keyauth.Stats].
type told struct {
	desc *prom.Desc
	kind prom.ValueType
	of   func(s *keyauth.Stats) float64
}

func newAuthentication(namespace string, keys *keyauth.Authenticator) *authentication {
	a := &authentication{keys: keys, shared: prom.NewDesc(prom.BuildFQName(namespace, "keyauth", "shared_proofs_total"),
		"Looks at proofs that other instances shared, by what came of them.", []string{"result"}, nil)}
	add := func(name, help string, kind prom.ValueType, of func(s *keyauth.Stats) float64) {
		a.told = append(a.told, told{prom.NewDesc(prom.BuildFQName(namespace, "keyauth", name), help, nil, nil), kind, of})
	}
	count := func(name, help string, of func(s *keyauth.Stats) uint64) {
		add(name, help, prom.CounterValue, func(s *keyauth.Stats) float64 { return float64(of(s)) })
	}
	count("hashes_total", "Secrets hashed, to mint and to verify.", func(s *keyauth.Stats) uint64 { return s.Hashes })
	count("shed_total", "Verifications refused because the hash queue was full.", func(s *keyauth.Stats) uint64 { return s.Shed })
	count("throttled_total", "Attempts refused after too many wrong secrets.", func(s *keyauth.Stats) uint64 { return s.Throttled })
	count("malformed_total", "Credentials refused by shape or checksum alone.", func(s *keyauth.Stats) uint64 { return s.Malformed })
	count("lookups_total", "Records asked for by a key that was not proven here.", func(s *keyauth.Stats) uint64 { return s.Lookups })
	count("reads_total", "Records asked for again, of keys that were proven.", func(s *keyauth.Stats) uint64 { return s.Reads })
	count("bridged_total", "Requests answered from memory while the store was down.", func(s *keyauth.Stats) uint64 { return s.Bridged })
	count("rehashed_total", "Hashes replaced by stronger ones.", func(s *keyauth.Stats) uint64 { return s.Rehashed })
	add("hash_queue", "Verifications that wait for the hash slot.", prom.GaugeValue, func(s *keyauth.Stats) float64 { return float64(s.Waiting) })
	add("proven_keys", "Keys remembered as proven, about.", prom.GaugeValue, func(s *keyauth.Stats) float64 { return float64(s.Proven) })
	add("feed_fresh", "1 while the change feed is healthy, 0 while every request asks the store.", prom.GaugeValue, func(s *keyauth.Stats) float64 {
		if s.Fresh {
			return 1
		}
		return 0
	})
	add("feed_age_seconds", "Since the change feed's last barrier.", prom.GaugeValue, func(s *keyauth.Stats) float64 { return s.FeedAge.Seconds() })
	return a
}

// Describe implements [prom.Collector].
func (a *authentication) Describe(to chan<- *prom.Desc) {
	for _, t := range a.told {
		to <- t.desc
	}
	to <- a.shared
}

// Collect implements [prom.Collector].
func (a *authentication) Collect(to chan<- prom.Metric) {
	s := a.keys.Stats()
	for _, t := range a.told {
		to <- prom.MustNewConstMetric(t.desc, t.kind, t.of(&s))
	}
	for result, n := range map[string]uint64{"hit": s.SharedHits, "miss": s.SharedMisses, "rejected": s.SharedRejected, "failed": s.SharedFailed} {
		to <- prom.MustNewConstMetric(a.shared, prom.CounterValue, float64(n), result)
	}
}

// more are the collectors for what Config names beside requests.
func more(c Config) []prom.Collector {
	var all []prom.Collector
	if c.Counter != nil {
		all = append(all, state(c)...)
	}
	if c.Authenticator != nil {
		all = append(all, newAuthentication(cmp.Or(c.Namespace, "strikeplate"), c.Authenticator))
	}
	if c.Fallback != nil {
		all = append(all, prom.NewGaugeFunc(prom.GaugeOpts{Namespace: c.Namespace, Name: "ratelimit_fallback",
			Help: "1 while limits are counted by this instance alone, since the shared engine fails."}, func() float64 {
			if c.Fallback() {
				return 1
			}
			return 0
		}))
	}
	return all
}
