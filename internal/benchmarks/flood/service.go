package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// service is where the attacked service is, and what keys it issued.
type service struct {
	URL    string
	Target string   // the look-up id that attackers know
	Warm   string   // a valid key, proven before the attack begins
	Cold   []string // valid ones that were never presented
}

// foreignPrefix begins keys of the shape without a checksum: the look-up id and
// the secret follow it.
const foreignPrefix = "old_"

const (
	lookupLength = 11
	secretLength = 27
)

// serve is the service's process.
func serve() error {
	return obey(func(struct{}) (service, func() pressure, error) {
		scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{
			Formats: []keyauth.Format{{
				Prefix: "key_",
				Foreign: []keyauth.Foreign{{Prefix: foreignPrefix, IDLength: lookupLength,
					MinLength: len(foreignPrefix) + lookupLength + secretLength,
					MaxLength: len(foreignPrefix) + lookupLength + secretLength,
					Until:     time.Now().Add(time.Hour)}},
			}},
			TagKeys: [][]byte{[]byte(rand.Text() + rand.Text())},
		})
		if err != nil {
			return service{}, nil, err
		}
		store := memory.New()
		keys, err := keyauth.New(keyauth.Config{Scheme: scheme, Keys: store, Directory: store, Feed: store,
			Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return service{}, nil, err
		}
		at, err := issue(scheme, store)
		if err != nil {
			return service{}, nil, err
		}
		if at.URL, err = listen(keys); err != nil {
			return service{}, nil, err
		}
		before := keys.Stats()
		return at, func() pressure { return pressed(before, keys.Stats()) }, nil
	})
}

// issue mints the keys, and one more for the attackers to guess at.
func issue(scheme *keyauth.Scheme, store *memory.Store) (service, error) {
	ctx := context.Background()
	if err := store.PutAccount(ctx, storage.Account{Organisation: "acme", Plan: "pro"}); err != nil {
		return service{}, err
	}
	var at service
	for range coldHolders + 2 {
		m, err := scheme.Mint(ctx, "key_", strikeplate.Live)
		if err != nil {
			return service{}, err
		}
		now, id := time.Now(), rand.Text()
		if err := store.Commit(ctx, storage.Mutation{Now: now, Put: []storage.Key{{
			ID: id, Lineage: id, Lookup: m.Lookup, Organisation: "acme", Format: m.Format, Environment: m.Environment,
			Access: strikeplate.OrganisationFull, Hash: m.Hash, SecretVersion: 1, Created: now,
		}}, Audit: []storage.Entry{{Organisation: "acme", Action: "key.created", Target: id, At: now}}}); err != nil {
			return service{}, err
		}
		at.Target = m.Lookup
		at.Cold = append(at.Cold, m.Secret.Reveal())
	}
	at.Warm, at.Cold = at.Cold[0], at.Cold[1:1+coldHolders] // the last one's id is the target
	return at, nil
}

func listen(keys *keyauth.Authenticator) (url string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello\n") })
	server := &http.Server{Handler: strikeplate.Edge{Logger: slog.New(slog.DiscardHandler)}.Handler(
		strikeplate.Require(keys)(hello)), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }() // until the process ends
	return l.Addr().String(), nil
}

// pressure is what the service went through.
type pressure struct {
	PeakRSS                 int64 // bytes, the minting included; 0 where the system doesn't tell
	Hashes, Shed, Throttled uint64
}

func pressed(before, after keyauth.Stats) pressure {
	return pressure{PeakRSS: peakRSS(), Hashes: after.Hashes - before.Hashes, Shed: after.Shed - before.Shed,
		Throttled: after.Throttled - before.Throttled}
}

func (p pressure) String() string {
	return fmt.Sprintf("%d hashes, %d shed, %d throttled", p.Hashes, p.Shed, p.Throttled)
}

// peakRSS reads the most memory that this process ever had resident. It is not
// asked of getrusage, where a child begins with its parent's.
func peakRSS() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(status) {
		var kib int64
		if rest, ok := strings.CutPrefix(string(line), "VmHWM:"); ok {
			if _, err := fmt.Sscan(rest, &kib); err == nil {
				return kib << 10
			}
		}
	}
	return 0
}
