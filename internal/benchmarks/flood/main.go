// Flood measures what a flood of wrong secrets costs the holders of valid keys,
// over real HTTP on the loopback interface:
//
//	go run ./flood            # every case, about two minutes; exit status 1 if a target is missed
//	go run ./flood -report    # the same, exit status 0 unless it could not be measured
//	go run ./flood -run cold  # only the cases whose name contains "cold"
//
// The service has the default parameters throughout. It is a process of its
// own, so that its memory can be measured, and so are the 256 attackers; the
// holders are this process. All of them share the machine's cores: on a small
// machine the attackers' own work is part of what the holders feel.
//
// Attackers know one real look-up id. They present it in a foreign shape, which
// has no checksum, so that each wrong secret gets as far as the throttle and
// the hash. They never wait between two requests, whatever they are told.
//
// The addresses of attackers are those of the loopback network, which systems
// other than Linux want to be configured first.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

const (
	attackers   = 256
	coldHolders = 100
	// A key is verified within coldBound or its holder missed the target;
	// coldPatience is when the measurement gives up altogether.
	coldBound    = 15 * time.Second
	coldPatience = 45 * time.Second
	warmSpan     = 10 * time.Second

	mostP50 = 2 * time.Millisecond
	mostP99 = 50 * time.Millisecond
	mostRSS = 150 << 20
)

func main() {
	role := flag.String("role", "", "what a child process of this program does; not for people")
	only := flag.String("run", "", "run only the cases whose name contains this `text`")
	report := flag.Bool("report", false, "only print: a missed target is no failure")
	flag.Parse()
	var err error
	switch *role {
	case "service":
		err = serve()
	case "attackers":
		err = attack()
	default:
		err = measure(*only)
	}
	if err != nil && (!*report || !errors.Is(err, errMissed)) {
		fmt.Fprintln(os.Stderr, "flood:", err)
		os.Exit(1)
	}
}

// scene is one case to measure.
type scene struct {
	name string
	// from are the attackers' addresses; lead is how long they attack before
	// the first holder comes.
	from source
	lead time.Duration
	hold func(service) (outcome, error)
}

// source says where attackers are.
type source string

const (
	nowhere   source = ""              // there are none
	sameHouse source = "same address"  // as the holders
	elsewhere source = "own addresses" // one each, 127.0.1.1 and on
)

var scenes = []scene{
	{"warm, quiet", nowhere, 0, warm},
	{"warm, attackers on the same address", sameHouse, 0, warm},
	{"warm, attackers on own addresses", elsewhere, 0, warm},
	{"cold, quiet", nowhere, 0, cold},
	{"cold, attackers on the same address", sameHouse, time.Second, cold},
	{"cold, attackers on own addresses", elsewhere, time.Second, cold},
	{"cold, attackers begin with the holders", elsewhere, 0, cold},
}

// outcome is what the holders felt.
type outcome struct {
	text   string
	missed []string
}

var errMissed = errors.New("a target was missed")

func measure(only string) error {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	defer func() { _ = out.Flush() }()
	fmt.Fprintln(out, "case\tholders\tpeak RSS\tservice\tattackers\ttargets")
	var missed bool
	for _, s := range scenes {
		if !strings.Contains(s.name, only) {
			continue
		}
		line, ok, err := s.run()
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintln(out, line)
		_ = out.Flush()
		missed = missed || !ok
	}
	if missed {
		return errMissed
	}
	return nil
}

// run measures one case with processes of its own, so that no case inherits
// another's throttles or memory.
func (s scene) run() (line string, met bool, err error) {
	var at service
	server, err := start("service", nil, &at)
	if err != nil {
		return "", false, err
	}
	defer server.kill()
	if err := prove(newHolder(at, at.Warm)); err != nil {
		return "", false, err
	}
	var flood *child
	if s.from != nowhere {
		if flood, err = start("attackers", plan{URL: at.URL, Lookup: at.Target, From: s.from}, nil); err != nil {
			return "", false, err
		}
		defer flood.kill()
		time.Sleep(s.lead)
	}
	o, err := s.hold(at)
	if err != nil {
		return "", false, err
	}
	answers := answers{}
	if flood != nil {
		if err := flood.finish(&answers); err != nil {
			return "", false, err
		}
	}
	var p pressure
	if err := server.finish(&p); err != nil {
		return "", false, err
	}
	if p.PeakRSS > mostRSS {
		o.missed = append(o.missed, fmt.Sprintf("RSS above %d MiB", mostRSS>>20))
	}
	verdict := "met"
	if len(o.missed) > 0 {
		verdict = "MISSED: " + strings.Join(o.missed, ", ")
	}
	return fmt.Sprintf("%s\t%s\t%d MiB\t%s\t%s\t%s", s.name, o.text, p.PeakRSS>>20, p, answers, verdict),
		len(o.missed) == 0, nil
}
