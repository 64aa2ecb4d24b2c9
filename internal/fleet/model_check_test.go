package fleet_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strikeplate/strikeplate/internal/fleet/model"
)

// modelled is the fleet that runs here, with the library's own bounds.
func (f *fleet) modelled() model.Config {
	return model.Config{
		Seed: 1, Instances: len(f.members), Spread: float64(len(f.members)), Keys: 2, Skew: 1.05, Entries: 100_000,
		Beat: 400 * time.Millisecond, Fresh: bound, Directory: 5 * time.Second, Proofs: 24 * time.Hour,
		Delay: time.Millisecond, Jitter: 5 * time.Millisecond,
	}
}

// revocationAgrees compares how long an instance whose feed was silently dead let a
// revoked key pass with what the model says of such instances. The key was revoked at
// some moment until that was acknowledged, so there is a range on either side. The last
// heartbeat that came back was sent before the feed died: a beat and a round trip, for
// which a busy machine may take some time.
func (f *fleet) revocationAgrees() verdict {
	c := f.modelled()
	c.Instances, c.Broken = 10_000, 1
	d := model.Revocation(c)
	least, most := f.last.latest-f.last.acknowledged, f.last.latest+f.last.gap
	low := c.Fresh - c.Beat - 100*time.Millisecond
	return verdict{least <= d.Max && most >= low, "the model agrees on a feed that is silently dead",
		fmt.Sprintf("the revoked key passed until between %v and %v after its revocation; model: %v to %v, median %v",
			max(0, least).Round(time.Millisecond), most.Round(time.Millisecond), low.Round(time.Millisecond), d.Max.Round(time.Millisecond), d.Median.Round(time.Millisecond))}
}

// directoryAgrees compares how often accounts are read under the usual load with what
// the model says: two keys are in use, and nothing changes.
func (f *fleet) directoryAgrees(t testing.TB) verdict {
	t.Helper()
	const measured = 30 * time.Second
	conn, err := pgx.Connect(t.Context(), f.postgres.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	scans := func() (n int64) {
		err := conn.QueryRow(t.Context(), "SELECT seq_scan + coalesce(idx_scan, 0) FROM pg_stat_user_tables WHERE relname = 'strikeplate_accounts'").Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	answers := func() int {
		f.ledger.mu.Lock()
		defer f.ledger.mu.Unlock()
		return f.ledger.passed + f.ledger.admitted.refused
	}
	// What was read at the start is counted late: an idle session of PostgreSQL tells
	// its statistics after ten seconds.
	pause(t.Context(), 12*time.Second)
	reads, asked, began := scans(), answers(), time.Now()
	pause(t.Context(), measured)
	took := time.Since(began).Seconds()
	got := float64(scans()-reads) / took
	c := f.modelled()
	c.Requests = float64(answers()-asked) / took
	want := model.StoreLoad(c).Directory
	return verdict{got > want*0.6 && got < want*1.4, "the model agrees on reads of the directory",
		fmt.Sprintf("%.2f a second at %.0f requests a second; model: %.2f", got, c.Requests, want)}
}
