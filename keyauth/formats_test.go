package keyauth_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/google/go-cmp/cmp"
	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/storage"
)

var liveAndTest = []strikeplate.Environment{strikeplate.Live, strikeplate.Test}

// The four products' formats serve side by side in one service.
func TestFormatsSideBySide(t *testing.T) {
	s := newServiceWith(t, keyauth.SchemeConfig{
		Hashing: cheap, TagKeys: [][]byte{randomBytes(32)},
		Formats: []keyauth.Format{
			{Prefix: "mvo_", Environments: liveAndTest},
			{Prefix: "mavio_sk_"},
			{Prefix: "mvra_", Environments: liveAndTest[:1]},
			{Pair: true},
		},
	}, nil)
	for _, test := range []struct {
		prefix string
		env    strikeplate.Environment
		form   string
	}{
		{"mvo_", strikeplate.Live, `^mvo_live_[0-9A-Za-z]{45}$`},
		{"mvo_", strikeplate.Test, `^mvo_test_[0-9A-Za-z]{45}$`},
		{"mavio_sk_", strikeplate.Live, `^mavio_sk_[0-9A-Za-z]{45}$`},
		{"mvra_", strikeplate.Live, `^mvra_live_[0-9A-Za-z]{45}$`}, // 003-30: 32 characters or more
		{"", strikeplate.Live, `^[0-9A-Za-z]{11}:[0-9A-Za-z]{34}$`},
	} {
		text, key := s.mintAs(t, s.scheme, test.prefix, test.env)
		if !regexp.MustCompile(test.form).MatchString(text) {
			t.Errorf("%q doesn't match %s", text, test.form)
		}
		if !strings.HasSuffix(text, key.Last4) || len(key.Last4) != 4 {
			t.Errorf("last four %q of %q", key.Last4, text)
		}
		p, err := s.auth.Verify(t.Context(), text, client)
		if err != nil || p.Environment != test.env {
			t.Errorf("%q: %+v, %v", text, p, err)
		}
	}
}

// Pages offer the formats that are issued; foreign ones hold keys and aren't.
func TestFormatsOfAScheme(t *testing.T) {
	given := []keyauth.Format{
		{Prefix: "mvo_", Environments: []strikeplate.Environment{strikeplate.Live, strikeplate.Test}},
		{Pair: true, Foreign: []keyauth.Foreign{{
			MinLength: 32, MaxLength: 64, DigestKey: randomBytes(32), Until: time.Now().Add(time.Hour),
		}}},
	}
	s, err := keyauth.NewScheme(keyauth.SchemeConfig{Hashing: cheap, TagKeys: [][]byte{randomBytes(32)}, Formats: given})
	if err != nil {
		t.Fatal(err)
	}
	want := []keyauth.Format{{Prefix: "mvo_", Environments: liveAndTest}, {Pair: true}}
	if diff := cmp.Diff(want, s.Formats()); diff != "" {
		t.Error(diff)
	}
	given[0].Environments[0] = "altered"
	s.Formats()[0].Environments[1] = "altered"
	if diff := cmp.Diff(want, s.Formats()); diff != "" {
		t.Errorf("altering what went in or came out altered the scheme: %s", diff)
	}
}

// A pair is accepted as Bearer, though its colon is outside of RFC 6750's
// grammar, and as Basic; both are one credential and are hashed once.
func TestPairAsBearerAndBasic(t *testing.T) {
	s := newServiceWith(t, keyauth.SchemeConfig{Hashing: cheap, TagKeys: [][]byte{randomBytes(32)},
		Formats: []keyauth.Format{{Pair: true}}}, nil)
	text, _ := s.mintAs(t, s.scheme, "", strikeplate.Live)
	id, secret, _ := strings.Cut(text, ":")
	before := s.auth.Stats().Hashes
	r := bearer(text)
	if _, err := s.auth.Authenticate(r); err != nil {
		t.Error(err)
	}
	r.SetBasicAuth(id, secret)
	if _, err := s.auth.Authenticate(r); err != nil {
		t.Error(err)
	}
	if n := s.auth.Stats().Hashes - before; n != 1 {
		t.Errorf("%d hashes for one credential", n)
	}

	// Clients that wait for a Basic challenge get one; browsers would pop up a dialog.
	h := strikeplate.Require(s.auth)(http.NotFoundHandler())
	r = httptest.NewRequest(http.MethodGet, "/", nil)
	if got := serve(h, r).Header.Values("WWW-Authenticate"); len(got) != 2 || !strings.HasPrefix(got[1], "Basic ") {
		t.Errorf("challenges %q", got)
	}
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	if got := serve(h, r).Header.Values("WWW-Authenticate"); len(got) != 1 {
		t.Errorf("challenges to a browser: %q", got)
	}
}

func TestSchemeRefusals(t *testing.T) {
	tagKeys := [][]byte{randomBytes(32)}
	until := time.Now().Add(time.Hour)
	for name, c := range map[string]keyauth.SchemeConfig{
		"no format":                   {TagKeys: tagKeys},
		"no tag key":                  {Formats: []keyauth.Format{{Prefix: "a_"}}},
		"short tag key":               {Formats: []keyauth.Format{{Prefix: "a_"}}, TagKeys: [][]byte{randomBytes(31)}},
		"keyed and unkeyed":           {Formats: []keyauth.Format{{Prefix: "a_"}}, TagKeys: tagKeys, InsecureUnkeyedChecksum: true},
		"same prefix":                 {Formats: []keyauth.Format{{Prefix: "a_"}, {Prefix: "a_"}}, TagKeys: tagKeys},
		"shadowed prefix":             {Formats: []keyauth.Format{{Prefix: "a_"}, {Prefix: "a_b_"}}, TagKeys: tagKeys},
		"shadowed by an environment":  {Formats: []keyauth.Format{{Prefix: "a_", Environments: liveAndTest}, {Prefix: "a_live_x"}}, TagKeys: tagKeys},
		"two pairs":                   {Formats: []keyauth.Format{{Pair: true}, {Pair: true}}, TagKeys: tagKeys},
		"no prefix":                   {Formats: []keyauth.Format{{}}, TagKeys: tagKeys},
		"environment without prefix":  {Formats: []keyauth.Format{{Pair: true, Environments: liveAndTest}}, TagKeys: tagKeys},
		"environment twice":           {Formats: []keyauth.Format{{Prefix: "a_", Environments: []strikeplate.Environment{"live", "live"}}}, TagKeys: tagKeys},
		"colon in the prefix":         {Formats: []keyauth.Format{{Prefix: "a:"}}, TagKeys: tagKeys},
		"weak hashing":                {Formats: []keyauth.Format{{Prefix: "a_"}}, TagKeys: tagKeys, Hashing: keyauth.Hashing{MemoryKiB: 1024, Passes: 1}},
		"endless hashing":             {Formats: []keyauth.Format{{Prefix: "a_"}}, TagKeys: tagKeys, Hashing: keyauth.Hashing{MemoryKiB: 1 << 20, Passes: 3}},
		"foreign without an end":      {Formats: []keyauth.Format{{Prefix: "a_", Foreign: []keyauth.Foreign{{Prefix: "a_", IDLength: 8, MinLength: 20, MaxLength: 40}}}}, TagKeys: tagKeys},
		"foreign without digest key":  {Formats: []keyauth.Format{{Prefix: "a_", Foreign: []keyauth.Foreign{{Prefix: "a_", MinLength: 20, MaxLength: 40, Until: until}}}}, TagKeys: tagKeys},
		"foreign without a length":    {Formats: []keyauth.Format{{Prefix: "a_", Foreign: []keyauth.Foreign{{Prefix: "a_", IDLength: 8, Until: until}}}}, TagKeys: tagKeys},
		"foreign without any secret":  {Formats: []keyauth.Format{{Prefix: "a_", Foreign: []keyauth.Foreign{{Prefix: "a_", IDLength: 18, MinLength: 20, MaxLength: 40, Until: until}}}}, TagKeys: tagKeys},
		"foreign with two ways to id": {Formats: []keyauth.Format{{Prefix: "a_", Foreign: []keyauth.Foreign{{Prefix: "a_", IDLength: 8, Separator: ".", MinLength: 20, MaxLength: 40, Until: until}}}}, TagKeys: tagKeys},
	} {
		if _, err := keyauth.NewScheme(c); err == nil {
			t.Errorf("%s: accepted", name)
		} else if !strings.HasPrefix(err.Error(), "keyauth: ") {
			t.Errorf("%s: %v doesn't say where it comes from", name, err)
		}
	}
}

func TestMintRefusesUnknownFormats(t *testing.T) {
	s := newService(t, nil)
	for _, of := range []struct {
		prefix string
		env    strikeplate.Environment
	}{{"mvo_", "staging"}, {"xyz_", "live"}, {"", "live"}} {
		if _, err := s.scheme.Mint(t.Context(), of.prefix, of.env); !errors.Is(err, keyauth.ErrNoFormat) {
			t.Errorf("%v: %v", of, err)
		}
	}
}

// THREATS 7 and 28: forged keys ask nobody; a typo anywhere is found; the tag
// covers prefix, environment, id and secret.
func TestThreat7ForgedKeysAskNobody(t *testing.T) {
	s := newService(t, nil)
	key := s.mint(t, strikeplate.Live)
	before := s.auth.Stats()
	for i := range len(key) {
		_, err := s.auth.Verify(t.Context(), flip(key, i), client)
		wantCode(t, err, 401, "invalid_api_key")
	}
	other := newService(t, nil) // another tag key
	_, err := s.auth.Verify(t.Context(), other.mint(t, strikeplate.Live), client)
	wantCode(t, err, 401, "invalid_api_key")
	after := s.auth.Stats()
	if after.Lookups != before.Lookups || after.Hashes != before.Hashes {
		t.Errorf("%d look-ups and %d hashes for forged keys", after.Lookups-before.Lookups, after.Hashes-before.Hashes)
	}
	if got := after.Malformed - before.Malformed; got != uint64(len(key))+1 {
		t.Errorf("%d malformed counted, want %d", got, len(key)+1)
	}
}

// A key names its tag key, so that any number of retired ones go on verifying,
// and a removed one doesn't.
func TestTagKeyRotation(t *testing.T) {
	var tagKeys [][]byte // newest first
	scheme := func() *keyauth.Scheme {
		s, err := keyauth.NewScheme(keyauth.SchemeConfig{Formats: []keyauth.Format{{Prefix: "k_"}}, Hashing: cheap, TagKeys: tagKeys})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	var minted []string
	for range 70 { // more than there are names
		tagKeys = append([][]byte{randomBytes(32)}, tagKeys...)
		m, err := scheme().Mint(t.Context(), "k_", strikeplate.Live)
		if err != nil {
			t.Fatal(err)
		}
		minted = append(minted, m.Secret.Reveal())
	}
	all := scheme()
	for i, text := range minted {
		if _, err := all.Parse(text, time.Now()); err != nil {
			t.Errorf("key under retired tag key %d: %v", i, err)
		}
	}
	tagKeys = tagKeys[:69]
	if _, err := scheme().Parse(minted[0], time.Now()); !errors.Is(err, keyauth.ErrMalformed) {
		t.Errorf("under a removed tag key: %v", err)
	}
}

func TestUnkeyedChecksum(t *testing.T) {
	s := newServiceWith(t, keyauth.SchemeConfig{Formats: []keyauth.Format{{Prefix: "k_"}}, Hashing: cheap, InsecureUnkeyedChecksum: true}, nil)
	text, _ := s.mintAs(t, s.scheme, "k_", strikeplate.Live)
	if _, err := s.auth.Verify(t.Context(), text, client); err != nil {
		t.Error(err)
	}
	before := s.auth.Stats().Lookups
	_, err := s.auth.Verify(t.Context(), flip(text, 20), client)
	wantCode(t, err, 401, "invalid_api_key")
	if s.auth.Stats().Lookups != before {
		t.Error("a typo costs a look-up")
	}
}

// Keys of a product's former times go on working until their date, in each of
// the ways in which their look-up id is found; afterwards, and with any other
// secret, they are unknown.
func TestForeignShapes(t *testing.T) {
	now := time.Now()
	until := now.Add(time.Hour)
	digestKey := randomBytes(32)
	hash := func(secret string) string {
		h, err := argon2id.CreateHash(secret, &argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	mac := hmac.New(sha256.New, digestKey)
	const whole = "mvra_live_0123456789abcdef0123456789abcdef"
	mac.Write([]byte(whole))
	for _, test := range []struct {
		name    string
		foreign keyauth.Foreign
		text    string
		lookup  string
		secret  string
	}{
		{"by length", keyauth.Foreign{Prefix: "mvra_live_", IDLength: 8}, "mvra_live_abcdefghSECRETSECRETSECRET", "abcdefgh", "SECRETSECRETSECRET"},
		{"by separator", keyauth.Foreign{Prefix: "mvra_live_", Separator: "."}, "mvra_live_abc.SECRETSECRETSECRET", "abc", "SECRETSECRETSECRET"},
		{"hash of the whole", keyauth.Foreign{Prefix: "mvra_live_", IDLength: 8, HashOfWhole: true}, "mvra_live_abcdefghSECRETSECRETSECRET", "abcdefgh", "mvra_live_abcdefghSECRETSECRETSECRET"},
		{"by digest", keyauth.Foreign{Prefix: "mvra_live_", DigestKey: digestKey}, whole, hex.EncodeToString(mac.Sum(nil)), whole},
		{"pair", keyauth.Foreign{Separator: ":"}, "legacykey:legacysecret", "legacykey", "legacysecret"},
		{"no prefix", keyauth.Foreign{IDLength: 6}, "abcdefSECRETSECRET-SECRET", "abcdef", "SECRETSECRET-SECRET"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.foreign.MinLength, test.foreign.MaxLength, test.foreign.Until = 20, 64, until
			later := now
			s := newServiceWith(t, keyauth.SchemeConfig{Hashing: cheap, TagKeys: [][]byte{randomBytes(32)},
				Formats: []keyauth.Format{{Prefix: "mvra_", Environments: liveAndTest, Foreign: []keyauth.Foreign{test.foreign}}}},
				func(c *keyauth.Config) { c.Now = func() time.Time { return later } })
			s.put(t, storage.Key{ID: "old", Lookup: test.lookup, Lineage: "old", Organisation: "acme", Format: "mvra_",
				Environment: strikeplate.Live, Access: strikeplate.Legacy, Hash: hash(test.secret), SecretVersion: 1, Created: now})
			if p, err := s.auth.Verify(t.Context(), test.text, client); err != nil || p.Credential != "old" {
				t.Fatalf("%+v, %v", p, err)
			}
			_, err := s.auth.Verify(t.Context(), flip(test.text, len(test.text)-1), client)
			wantCode(t, err, 401, "invalid_api_key")

			minted, _ := s.mintAs(t, s.scheme, "mvra_", strikeplate.Live) // the new shape beside it
			if _, err := s.auth.Verify(t.Context(), minted, client); err != nil {
				t.Errorf("a minted key: %v", err)
			}
			later = until
			if _, err := s.scheme.Parse(test.text, later); !errors.Is(err, keyauth.ErrMalformed) {
				t.Errorf("after the date: %v", err)
			}
			_, err = s.auth.Verify(t.Context(), test.text, client)
			if refusal(t, err).Code != "invalid_api_key" {
				t.Errorf("after the date: %v", err)
			}
		})
	}
}

// A record is found by its look-up id alone, so one that is presented in another
// format or environment than it was issued in is refused.
func TestForeignKeyOfAnotherEnvironment(t *testing.T) {
	until := time.Now().Add(time.Hour)
	old := func(env strikeplate.Environment) keyauth.Foreign {
		return keyauth.Foreign{Prefix: "old_" + string(env) + "_", IDLength: 8, MinLength: 20, MaxLength: 64, Environment: env, Until: until}
	}
	s := newServiceWith(t, keyauth.SchemeConfig{Hashing: cheap, TagKeys: [][]byte{randomBytes(32)}, Formats: []keyauth.Format{
		{Prefix: "old_", Environments: liveAndTest, Foreign: []keyauth.Foreign{old("live"), old("test")}},
		{Prefix: "new_", Foreign: []keyauth.Foreign{{Prefix: "new_", IDLength: 8, MinLength: 20, MaxLength: 64, Until: until}}},
	}}, nil)
	const secret = "SECRETSECRETSECRET"
	hash, err := argon2id.CreateHash(secret, &argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	if err != nil {
		t.Fatal(err)
	}
	s.put(t, storage.Key{ID: "old", Lookup: "abcdefgh", Lineage: "old", Organisation: "acme", Format: "old_",
		Environment: strikeplate.Live, Access: strikeplate.Legacy, Hash: hash, SecretVersion: 1, Created: time.Now()})
	for text, good := range map[string]bool{
		"old_test_abcdefgh" + secret: false, "new_abcdefgh" + secret: false, "old_live_abcdefgh" + secret: true,
	} {
		_, err := s.auth.Verify(t.Context(), text, client)
		if good && err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if !good {
			wantCode(t, err, 401, "invalid_api_key")
		}
	}
}

// A foreign shape without a prefix leaves JWTs to package oauth.
func TestForeignShapesLeaveJWTsAlone(t *testing.T) {
	s := newServiceWith(t, keyauth.SchemeConfig{Hashing: cheap, TagKeys: [][]byte{randomBytes(32)},
		Formats: []keyauth.Format{{Prefix: "k_", Foreign: []keyauth.Foreign{{IDLength: 6, MinLength: 16, MaxLength: 512, Until: time.Now().Add(time.Hour)}}}}}, nil)
	_, err := s.auth.Authenticate(bearer("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"))
	if !errors.Is(err, strikeplate.ErrNotMine) {
		t.Errorf("got %v", err)
	}
	_, err = s.auth.Authenticate(bearer("k_" + strings.Repeat("x", 10)))
	if errors.Is(err, strikeplate.ErrNotMine) {
		t.Error("a malformed key of ours was left to others")
	}
}

// A weaker hash is replaced on use; a stronger or equal one isn't.
func TestRehashOnUse(t *testing.T) {
	tagKeys := [][]byte{randomBytes(32)}
	formats := []keyauth.Format{{Prefix: "k_"}}
	weak, err := keyauth.NewScheme(keyauth.SchemeConfig{Formats: formats, TagKeys: tagKeys, Hashing: cheap})
	if err != nil {
		t.Fatal(err)
	}
	s := newServiceWith(t, keyauth.SchemeConfig{Formats: formats, TagKeys: tagKeys,
		Hashing: keyauth.Hashing{MemoryKiB: 16, Passes: 2, InsecureCheap: true}}, nil)
	text, key := s.mintAs(t, weak, "k_", strikeplate.Live)
	for range 2 {
		if _, err := s.auth.Verify(t.Context(), text, client); err != nil {
			t.Fatal(err)
		}
		waitUntil(t, "the hash is replaced", func() bool { return s.auth.Stats().Rehashed == 1 })
	}
	stored, err := s.store.Key(t.Context(), "acme", key.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(stored.Hash, "m=16,t=2,p=1") || stored.SecretVersion != key.SecretVersion {
		t.Errorf("stored %s at secret version %d", stored.Hash, stored.SecretVersion)
	}
	if match, err := argon2id.ComparePasswordAndHash(text[2+11:2+38], stored.Hash); err != nil || !match {
		t.Errorf("the new hash is not of the secret: %v", err)
	}
}

// Nothing that is stored of a key contains its secret.
func TestThreat28NothingStoredHoldsTheSecret(t *testing.T) {
	s := newService(t, nil)
	text, key := s.mintAs(t, s.scheme, "mvo_", strikeplate.Live)
	secret := text[len("mvo_live_")+11 : len("mvo_live_")+38]
	for _, stored := range []string{key.Hash, key.Lookup, key.Last4} {
		if strings.Contains(stored, secret) || bytes.Contains([]byte(secret), []byte(stored)) && len(stored) > 3 {
			t.Errorf("%q shows the secret", stored)
		}
	}
}
