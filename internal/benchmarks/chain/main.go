// Chain compares whole chains of middleware: Strikeplate as the examples wire it,
// and what teams would pick instead.
//
//	go run ./chain               # every table, about three minutes; exit status 1 if a target is missed
//	go run ./chain -report       # only print
//	go run ./chain -quick        # a tenth of the rounds, to see that it works
//	go run ./chain -only loopback
//	go run ./chain -profile dir  # a processor profile of each server, for go tool pprof
//
// The peers do less: see the comments of each. Chains take turns in short rounds,
// and what is compared are medians of the ratios round by round, so that other work
// on the machine counts for all alike.
package main

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"time"
)

// target is what a figure has to be.
type target struct {
	what   string
	figure float64
	least  bool // else at most
	bound  float64
}

func (t target) met() bool {
	if t.least {
		return t.figure >= t.bound
	}
	return t.figure <= t.bound
}

func (t target) String() string {
	verdict, sign := "met", "<="
	if t.least {
		sign = ">="
	}
	if !t.met() {
		verdict = "MISSED"
	}
	return fmt.Sprintf("%-6s  %-58s %10.2f  %s %g", verdict, t.what, t.figure, sign, t.bound)
}

func main() {
	report := flag.Bool("report", false, "exit with 0 though a target is missed")
	quick := flag.Bool("quick", false, "a tenth of the rounds")
	only := flag.String("only", "", "one table: process or loopback")
	profiles := flag.String("profile", "", "a directory for processor profiles of the servers on loopback")
	role := flag.String("serve", "", "for the program itself: serve this chain")
	flag.Parse()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	if *role != "" {
		if err := serve(*role, *profiles); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		return
	}
	profileDir = *profiles
	missed, err := run(*only, *quick)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	case missed && !*report:
		os.Exit(1)
	}
}

// tables in the order in which they are printed.
var tables = []struct {
	name string
	show func(quick bool) ([]target, error)
}{
	{"process", showInProcess},
	{"loopback", showLoopback},
}

func run(only string, quick bool) (missed bool, err error) {
	fmt.Printf("%s, %d processors: %s\n", runtime.Version(), runtime.GOMAXPROCS(0), processor())
	var all []target
	for _, t := range tables {
		if only != "" && only != t.name {
			continue
		}
		targets, err := t.show(quick)
		if err != nil {
			return false, fmt.Errorf("%s: %w", t.name, err)
		}
		all = append(all, targets...)
	}
	fmt.Println()
	for _, t := range all {
		fmt.Println(t)
		missed = missed || !t.met()
	}
	return missed, nil
}

// processor is the machine's, as Linux tells it.
func processor() string {
	content, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(content)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimLeft(strings.TrimSpace(name), ": \t")
		}
	}
	return "unknown"
}

func showInProcess(quick bool) ([]target, error) {
	rounds, slice := 101, 20*time.Millisecond
	if quick {
		rounds, slice = 5, 5*time.Millisecond
	}
	results, err := measureInProcess([]string{"strikeplate", "strikeplate+addresses", "by hand", "by hand, plain", "JWT RS256", "JWT EdDSA", "bare"}, rounds, slice)
	if err != nil {
		return nil, err
	}
	fmt.Printf("\nIn process, %d of %d credentials taking turns, medians of %d rounds\n\n", used, known, rounds)
	fmt.Println("| chain | CPU µs | of Strikeplate's | p99 µs | allocations | bytes | heap MiB |")
	fmt.Println("|---|---|---|---|---|---|---|")
	ratios := make(map[string]float64)
	for _, r := range results {
		ratios[r.name] = r.ratio
		fmt.Printf("| %s | %.2f | %.2f | %.1f | %.1f | %.0f | %.1f |\n", r.name, r.cpu/1000, r.ratio,
			float64(r.p99.Nanoseconds())/1000, r.allocations, r.bytes, float64(r.heap)/(1<<20))
	}
	return []target{
		{"warm chain in process, allocations", results[0].allocations, false, 8},
		{"CPU of the JWT chain with RS256, of Strikeplate's", ratios["JWT RS256"], true, 20},
		{"CPU of the chain by hand, of Strikeplate's", ratios["by hand"], true, 2.5},
	}, nil
}
