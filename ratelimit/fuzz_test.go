package ratelimit_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/ratelimit"
)

// Whatever a valid policy and an engine say, a structured-field library reads the
// same out of the fields.
func FuzzFields(f *testing.F) {
	f.Add("pro", int64(300), int64(time.Minute), int64(287), int64(1500), int64(0), true)
	f.Add("a*b/c:d._-", int64(999_999_999_999), int64(366*24*time.Hour), int64(0), int64(time.Hour), int64(time.Hour), false)
	f.Add(strings.Repeat("n", 64), int64(1), int64(time.Millisecond), int64(1), int64(1), int64(1), false)
	f.Add(`"; q=1, "x`, int64(1), int64(time.Second), int64(1), int64(1), int64(1), true)
	f.Fuzz(func(t *testing.T, name string, limit, period, left, reset, retry int64, ok bool) {
		p := ratelimit.Policy{Name: name, Limit: limit, Period: time.Duration(period)}
		if p.Validate() != nil || left < 0 || left > limit || reset < 0 || retry < 0 || reset > int64(400*24*time.Hour) || retry > int64(400*24*time.Hour) {
			t.Skip()
		}
		other := policy("other", 5, time.Hour)
		d := ratelimit.Decision{Allowed: ok, Limit: limit, Remaining: left, ResetAfter: time.Duration(reset), RetryAfter: time.Duration(retry)}
		h, now := http.Header{"X-Ratelimit-Limit": {"of", "others"}}, time.Unix(1_713_100_800, 123)
		ratelimit.SetFields(h, []ratelimit.Charge{{Policy: p}, {Policy: other}}, int(limit%3), []ratelimit.Decision{d, {Allowed: true, Limit: 5, Remaining: 5}}, now)
		quotas, states := structured(t, h, "RateLimit-Policy"), structured(t, h, "RateLimit")
		if len(quotas) != 2 || quotas[0].Name != name || quotas[0].Params["q"] != limit || quotas[1].Params["w"] != 3600 {
			t.Errorf("RateLimit-Policy %q of %+v", h["Ratelimit-Policy"], p)
		}
		wait := time.Duration(retry)
		if ok {
			wait = time.Duration(reset)
		}
		if s := states[0].Params; s["r"] != left || time.Duration(s["t"])*time.Second < wait || time.Duration(s["t"]-1)*time.Second >= wait && wait > 0 {
			t.Errorf("RateLimit %q of %+v", h["Ratelimit"], d)
		}
		gotLimit, remaining, at := fields(t, h)
		if gotLimit == limit && remaining == left && (!ok || left < 5) {
			if time.Unix(at, 0).Before(now.Add(wait)) || time.Unix(at, 0).Sub(now.Add(wait)) >= time.Second {
				t.Errorf("X-RateLimit-Reset %d for %v", at, now.Add(wait))
			}
		} else if ok && left >= 5 && gotLimit != 5 && gotLimit != limit || !ok {
			t.Errorf("the X- fields tell %d of %d", remaining, gotLimit)
		}
	})
}

// Route patterns are accepted or refused, without a panic, and what was accepted
// can be asked with any request.
func FuzzRoutes(f *testing.F) {
	for _, pattern := range []string{"", "GET /", "POST /v1/{id}/x", "/{x...}", "GET  /{", "example.com/", "/{$}", "a b c", "/%2F/"} {
		f.Add(pattern, "/v1/7/x")
	}
	f.Fuzz(func(t *testing.T, pattern, path string) {
		r, err := http.NewRequest("GET", "http://example.com/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Path = path
		if cost, err := ratelimit.CostByRoute(map[string]int64{pattern: 7}); err == nil {
			if got := cost(r, nil); got != 1 && got != 7 {
				t.Errorf("%q of %q costs %d", path, pattern, got)
			}
		}
		table := table(nil)
		if err := table.Put(override(500, func(o *ratelimit.Override) { o.Route = pattern })); err == nil {
			plans := newPlans(func(c *ratelimit.PlansConfig) { c.Overrides = table })
			if limit := plans.Charges(r, keys["acme-1"], nil)[0].Policy.Limit; limit != 500 && limit != 3 {
				t.Errorf("%q of %q: limit %d", path, pattern, limit)
			}
		}
	})
}

// No two lists of parts make one key.
func FuzzKey(f *testing.F) {
	f.Add("a", "bc", "ab", "c")
	f.Add("", "a", "a", "")
	f.Add(strings.Repeat("x", 127), "y", strings.Repeat("x", 128), "")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		if same := a == c && b == d; same != (ratelimit.Key(a, b) == ratelimit.Key(c, d)) {
			t.Errorf("%q %q and %q %q: same key is %v", a, b, c, d, !same)
		}
		if ratelimit.Key(a, b) == ratelimit.Key(a+b) || ratelimit.Key(a) == ratelimit.Key(a, "") {
			t.Errorf("%q %q: parts are not told apart", a, b)
		}
	})
}
