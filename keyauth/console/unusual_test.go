package console_test

import (
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// 001-101: far more requests in an hour than in any of the week before, and routes
// that the key did not use before, are told on the key's usage page.
func TestUnusualUse(t *testing.T) {
	w := newWorld(t)
	quiet := w.create("ada", creation("Quiet")).Key
	loud := w.create("ada", creation("Loud")).Key
	w.pass(3 * day)
	now := w.clock()
	for i, k := range []storage.UsageKey{
		{Organisation: "org", Credential: quiet.ID, Lineage: quiet.Lineage, Environment: quiet.Environment},
		{Organisation: "org", Credential: loud.ID, Lineage: loud.Lineage, Environment: loud.Environment},
	} {
		b := storage.UsageBatch{Instance: k.Credential, Sequence: 1, Now: now, Every: time.Minute, Until: now, Final: true}
		add := func(pattern string, ago time.Duration, requests int64) {
			row := storage.UsageRow{UsageKey: k, Pattern: pattern, Minute: now.Add(-ago)}
			row.Class[2], row.Latency[0] = requests, requests
			b.Rows = append(b.Rows, row)
		}
		for ago := 30 * time.Hour; ago < 48*time.Hour; ago += time.Hour {
			add("GET /v1/meetings", ago, 900)
		}
		add("GET /v1/meetings", 2*time.Hour, 1200)
		if i == 1 {
			add("GET /v1/meetings", 3*time.Hour, 8000)
			add("GET /v1/members", time.Hour, 12)
		}
		b.Seen = []storage.UsageSeen{{UsageKey: k, First: noon, Succeeded: now, Presented: now}}
		if err := w.store.AddUsage(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	w.get("ada", "/keys/"+quiet.ID+"/usage").want(t, 200).wantNone(t, "Unusual")
	w.get("ada", "/keys/"+loud.ID+"/usage").want(t, 200, "Unusual volume.", "8,000 requests in the hour from", "4 Mar 2026 09:00 UTC", "at most 900 in any hour",
		"Unusual endpoints.", "12 requests today went to routes", "<code>GET /v1/members</code>")
	w.call("ada", "GET", "/keys/"+quiet.ID+"/usage", "").want(t, 200, `"unusual":[]`)
	w.call("ada", "GET", "/keys/"+loud.ID+"/usage", "").want(t, 200, `"kind":"usage.volume"`, `"usual":900`, `"patterns":["GET /v1/members"]`)
}
