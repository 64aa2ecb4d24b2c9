// Figures draws the plots of docs/SCALING.md and prints its tables:
//
//	go run ./model/figures -o ../../docs/scaling
package main

import (
	"flag"
	"fmt"
	"log"
	"path/filepath"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"

	"github.com/strikeplate/strikeplate/internal/fleet/model"
)

func main() {
	out := flag.String("o", ".", "the directory for the plots")
	flag.Parse()
	for _, draw := range []func(string) error{delays, load, limits} {
		if err := draw(*out); err != nil {
			log.Fatal(err)
		}
	}
}

// internet is 10,000 instances and 100 million keys, of which each is served by a
// few instances.
func internet() model.Config {
	return model.Config{
		Seed: 1, Instances: 10_000, Keys: 100e6, Skew: 1.05, Requests: 10e6, Spread: 4, Entries: 100_000,
		Beat: 400 * time.Millisecond, Fresh: 2 * time.Second, Directory: 5 * time.Second, Proofs: 24 * time.Hour,
		Delay: time.Millisecond, Jitter: 5 * time.Millisecond, Changes: 20,
	}
}

func save(title, x, y, file string, lines ...any) error {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Legend.Top = true
	if err := plotutil.AddLinePoints(p, lines...); err != nil {
		return err
	}
	return p.Save(16*vg.Centimeter, 9*vg.Centimeter, file)
}

// delays: how long after its revocation a key still passes.
func delays(dir string) error {
	fmt.Println("| instances | feeds dead | median | 99 % | last |\n|---|---|---|---|---|")
	var healthy, dead plotter.XYs
	for _, n := range []int{3, 10, 100, 1000, 10_000} {
		for _, broken := range []float64{0, 0.01, 1} {
			c := internet()
			c.Instances, c.Broken = n, broken
			d := model.Revocation(c)
			fmt.Printf("| %d | %.0f %% | %v | %v | %v |\n", n, 100*broken, d.Median.Round(time.Millisecond), d.P99.Round(time.Millisecond), d.Max.Round(time.Millisecond))
			at := plotter.XY{X: float64(n), Y: d.Max.Seconds()}
			switch broken {
			case 0:
				healthy = append(healthy, at)
			case 1:
				dead = append(dead, at)
			}
		}
	}
	return save("Until the last instance refuses a revoked key", "instances", "seconds", filepath.Join(dir, "revocation.svg"),
		"feeds work", healthy, "feeds silently dead", dead)
}

// load: what reaches the database, by how keys are spread over instances.
func load(dir string) error {
	fmt.Println("\n| instances that a key meets | from memory | records/s | directory/s | unproven/s | hashes/s with shared proofs |\n|---|---|---|---|---|---|")
	var records, unproven plotter.XYs
	for _, spread := range []float64{1, 4, 16, 100, 1000, 10_000} {
		c := internet()
		c.Spread = spread
		l := model.StoreLoad(c)
		fmt.Printf("| %.0f | %.1f %% | %.0f | %.0f | %.0f | %.0f |\n", spread, 100*l.HitRate, l.Records, l.Directory, l.Unproven, l.Hashes)
		records = append(records, plotter.XY{X: spread, Y: l.Records / 1e6})
		unproven = append(unproven, plotter.XY{X: spread, Y: l.Unproven / 1e6})
	}
	l := model.StoreLoad(internet())
	fmt.Printf("\nheartbeats %.0f/s, notices %.0f/s, records %.0f/s if no feed were fresh\n", l.Beats, l.Notices, l.Strict)
	fmt.Println("\n| instances | keys | requests/s | from memory | records/s | directory/s | unproven/s |\n|---|---|---|---|---|---|---|")
	for _, n := range []float64{3, 30, 300, 3000} {
		c := internet()
		c.Instances, c.Keys, c.Requests, c.Spread = int(n), 10_000*n, 1000*n, n
		l := model.StoreLoad(c)
		fmt.Printf("| %.0f | %.0f | %.0f | %.1f %% | %.0f | %.0f | %.1f |\n", n, c.Keys, c.Requests, 100*l.HitRate, l.Records, l.Directory, l.Unproven)
	}
	return save("10 million requests a second, 10,000 instances, 100 million keys", "instances that a key's requests meet", "millions a second",
		filepath.Join(dir, "load.svg"), "records read", records, "keys not proven here", unproven)
}

// limits: what leases cost in exactness and spare in questions.
func limits(dir string) error {
	fmt.Println("\n| lease, of the limit | error, even | error, skewed | questions a request |\n|---|---|---|---|")
	var even, skewed plotter.XYs
	for _, chunk := range []int{1, 10, 50, 250, 1000} {
		c := model.Lease{Seed: 1, Instances: 100, Limit: 100_000, Chunk: chunk, Window: time.Minute, Demand: 1800, Deny: 100 * time.Millisecond}
		a := model.Limit(c)
		c.Skew = 1.05
		b := model.Limit(c)
		part := 100 * float64(chunk) / float64(c.Limit)
		fmt.Printf("| %.3f %% | %+.1f %% | %+.1f %% | %.4f |\n", part, 100*a.Error, 100*b.Error, a.Operations)
		even, skewed = append(even, plotter.XY{X: part, Y: 100 * a.Error}), append(skewed, plotter.XY{X: part, Y: 100 * b.Error})
	}
	return save("What leases leave unused: 100 instances", "a lease, % of the limit", "error, %", filepath.Join(dir, "limits.svg"), "even", even, "skewed", skewed)
}
