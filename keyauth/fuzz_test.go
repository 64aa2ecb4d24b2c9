package keyauth_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
)

// FuzzAuthorization throws header values at a service of all formats: no panic,
// no Principal without a stored key, and always a refusal that a client can read.
func FuzzAuthorization(f *testing.F) {
	s := newServiceWith(f, everyFormat(), nil)
	good, _ := s.mintAs(f, s.scheme, "mvo_", strikeplate.Live)
	pair, _ := s.mintAs(f, s.scheme, "", strikeplate.Live)
	for _, seed := range []string{"", "Bearer", "Bearer ", "Bearer " + good, "bearer  " + good, "Basic " + b64(pair), "Bearer " + pair,
		"Bearer " + good + ", Bearer " + good, "Basic " + b64(good), "Basic Og==", "Digest x", "Bearer mvo_live_", "Bearer :", "Bearer old_abcdef.SECRET",
		"Bearer " + strings.Repeat("A", 600), "Basic " + strings.Repeat("A", 5000), "Bearer " + good[:40] + "\x00", "Bearer eyJ.e30.x", "\x00\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Authorization"] = []string{header}
		p, err := s.auth.Authenticate(r)
		if err == nil {
			if !strings.Contains(header, good) && !strings.Contains(header, pair) && !strings.Contains(header, b64(pair)) {
				t.Fatalf("%q was let in as %v", header, p)
			}
			return
		}
		e := refusal(t, err)
		if e.Status == 429 && e.Code == strikeplate.CodeFailures && e.RetryAfter > 0 {
			return // a foreign shape's id, tried before
		}
		if e.Status != 401 || e.Code != strikeplate.CodeInvalid || len(e.Challenge) == 0 {
			t.Fatalf("%q: %+v", header, e)
		}
	})
}

func everyFormat() keyauth.SchemeConfig {
	until := time.Now().Add(24 * time.Hour)
	return keyauth.SchemeConfig{Hashing: cheap, TagKeys: [][]byte{randomBytes(32)}, Formats: []keyauth.Format{
		{Prefix: "mvo_", Environments: liveAndTest}, {Prefix: "mavio_sk_"}, {Pair: true},
		{Prefix: "old_", Foreign: []keyauth.Foreign{
			{Prefix: "old_", Separator: ".", MinLength: 16, MaxLength: 512, Until: until},
			{Prefix: "old_", DigestKey: randomBytes(32), MinLength: 20, MaxLength: 80, Until: until},
		}},
	}}
}

// FuzzParse: what Parse accepts it takes apart without losing anything.
func FuzzParse(f *testing.F) {
	scheme, err := keyauth.NewScheme(everyFormat())
	if err != nil {
		f.Fatal(err)
	}
	for _, prefix := range []string{"mvo_", "mavio_sk_", ""} {
		m, err := scheme.Mint(f.Context(), prefix, strikeplate.Live)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(m.Secret.Reveal())
	}
	f.Add("old_abc.secretsecretsecret")
	f.Add("old_" + strings.Repeat("x", 40))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := scheme.Parse(text, time.Now())
		if err != nil {
			if !errors.Is(err, keyauth.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if p.Lookup == "" || p.Secret.Reveal() == "" || p.Format == "" || p.Environment == "" {
			t.Fatalf("%q: %+v", text, p)
		}
		if !strings.Contains(text, p.Secret.Reveal()) {
			t.Fatalf("%q: the secret %q is not of it", text, p.Secret.Reveal())
		}
	})
}

// FuzzStoredHash: any text in the hash column is refused or safe to compare.
func FuzzStoredHash(f *testing.F) {
	for _, seed := range []string{"", "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U",
		"$argon2id$v=19$m=8,t=0,p=1$c2FsdHNhbHQ$a2V5", "$argon2id$v=19$m=4294967295,t=1,p=255$$", "$2a$10$abcdefghijklmnopqrstuv", "$$$$$"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, phc string) {
		if keyauth.DecodeHash(phc) != nil {
			return
		}
		var memory, passes, threads int
		if n, err := fmt.Sscanf(phc, "$argon2id$v=19$m=%d,t=%d,p=%d$", &memory, &passes, &threads); n != 3 || err != nil ||
			memory < 8 || memory > 256<<10 || passes < 1 || passes > 16 || threads < 1 || threads > 16 {
			t.Fatalf("%q passed", phc)
		}
	})
}
