package keyauth_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/bcrypt"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/storage"
)

// foreignSecret is what follows the look-up id of an old_ key.
const foreignSecret = "s3cretOfTheOtherSystem"

var hmacKey = []byte("the other system's key")

func oldFormat() keyauth.SchemeConfig {
	sc := mavio()
	sc.ImportKeys = map[string][]byte{"old": hmacKey}
	sc.Formats = append(sc.Formats, keyauth.Format{Prefix: "old_", Foreign: []keyauth.Foreign{
		{Prefix: "old_", Separator: ".", MinLength: 16, MaxLength: 200, Until: time.Now().Add(24 * time.Hour)},
	}})
	return sc
}

func sum256(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

func hmac256(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func bcryptOf(t testing.TB, secret string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(secret), 4)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

func argonOf(t testing.TB, secret string) string {
	t.Helper()
	hash, err := argon2id.CreateHash(secret, &argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

// kinds is one secret as each other system would keep it.
func kinds(t testing.TB) map[string]keyauth.ForeignHash {
	t.Helper()
	digest := sum256(foreignSecret)
	return map[string]keyauth.ForeignHash{
		"SHA-256 hex":              {Kind: keyauth.SHA256, Text: hex.EncodeToString(digest)},
		"SHA-256 HEX":              {Kind: keyauth.SHA256, Text: strings.ToUpper(hex.EncodeToString(digest))},
		"SHA-256 base64":           {Kind: keyauth.SHA256, Text: base64.StdEncoding.EncodeToString(digest)},
		"SHA-256 base64 unpadded":  {Kind: keyauth.SHA256, Text: base64.RawStdEncoding.EncodeToString(digest)},
		"SHA-256 base64url":        {Kind: keyauth.SHA256, Text: base64.URLEncoding.EncodeToString(digest)},
		"SHA-256 base64url no pad": {Kind: keyauth.SHA256, Text: base64.RawURLEncoding.EncodeToString(digest)},
		"SHA-256 salt before":      {Kind: keyauth.SHA256, Text: hex.EncodeToString(sum256("NaCl" + foreignSecret)), Salt: []byte("NaCl")},
		"SHA-256 salt after":       {Kind: keyauth.SHA256, Text: hex.EncodeToString(sum256(foreignSecret + "NaCl")), Salt: []byte("NaCl"), SaltAfter: true},
		"HMAC-SHA256":              {Kind: keyauth.HMACSHA256, Text: hex.EncodeToString(hmac256(hmacKey, foreignSecret)), ImportKey: "old"},
		"bcrypt 2a":                {Kind: keyauth.Bcrypt, Text: bcryptOf(t, foreignSecret)},
		"bcrypt 2b":                {Kind: keyauth.Bcrypt, Text: strings.Replace(bcryptOf(t, foreignSecret), "$2a$", "$2b$", 1)},
		"bcrypt 2y":                {Kind: keyauth.Bcrypt, Text: strings.Replace(bcryptOf(t, foreignSecret), "$2a$", "$2y$", 1)},
		"argon2id":                 {Kind: keyauth.Argon2id, Text: argonOf(t, foreignSecret)},
	}
}

// TestForeignHashes: a key of each kind works at its first request, is re-hashed
// to argon2id in the background, and keeps its proof: nothing is hashed again.
func TestForeignHashes(t *testing.T) {
	s := newServiceWith(t, oldFormat(), nil)
	for name, h := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			id := "old-" + strings.ReplaceAll(name, " ", "-")
			stored, err := s.scheme.StoredHash(h)
			if err != nil {
				t.Fatal(err)
			}
			s.putForeign(t, id, stored)
			text := "old_" + id + "." + foreignSecret
			if _, err := s.auth.Verify(t.Context(), text+"x", netip.Addr{}); !isRefusal(err, strikeplate.CodeInvalid) {
				t.Fatalf("a wrong secret: %v", err)
			}
			for range 2 {
				if p, err := s.auth.Verify(t.Context(), text, netip.Addr{}); err != nil || p.Credential != id {
					t.Fatalf("got %v, %v", p, err)
				}
			}
			waitUntil(t, "it is re-hashed", func() bool { return strings.HasPrefix(s.hashOf(t, id), "$argon2id$") })
			before := s.auth.Stats().Hashes
			if _, err := s.auth.Verify(t.Context(), text, netip.Addr{}); err != nil {
				t.Fatal(err)
			}
			if k, _ := s.store.Key(t.Context(), "acme", id); k.SecretVersion != 1 || s.auth.Stats().Hashes != before {
				t.Errorf("secret version %d, %d hashes", k.SecretVersion, s.auth.Stats().Hashes-before)
			}
		})
	}
}

func (s *service) putForeign(t testing.TB, id, stored string) {
	t.Helper()
	s.put(t, storage.Key{ID: id, Lookup: id, Lineage: id, Organisation: "acme", Name: "n", Format: "old_", Environment: strikeplate.Live,
		Access: strikeplate.Legacy, Hash: stored, SecretVersion: 1, Created: time.Now()})
}

func (s *service) hashOf(t testing.TB, id string) string {
	t.Helper()
	k, err := s.store.Key(t.Context(), "acme", id)
	if err != nil {
		t.Fatal(err)
	}
	return k.Hash
}

func isRefusal(err error, code string) bool {
	var e *strikeplate.Error
	return errors.As(err, &e) && e.Code == code
}

// TestThreat2HashIsNoCredential: who reads the hash column can't present what it
// says, in any form, nor what another form would hash to.
func TestThreat2HashIsNoCredential(t *testing.T) {
	s := newServiceWith(t, oldFormat(), nil)
	n := 0
	for name, h := range kinds(t) {
		stored, err := s.scheme.StoredHash(h)
		if err != nil {
			t.Fatal(err)
		}
		forms := []string{stored}
		if s.scheme.IsWeak(stored) {
			wrapped, err := s.scheme.Wrap(t.Context(), stored)
			if err != nil {
				t.Fatal(err)
			}
			forms = append(forms, wrapped)
		}
		for _, form := range forms {
			n++
			id := fmt.Sprintf("stolen%d", n)
			s.putForeign(t, id, form)
			for i, stolen := range []string{form, stored, h.Text, stored[strings.LastIndexByte(stored, '$')+1:],
				hex.EncodeToString(sum256(foreignSecret)), string(sum256(foreignSecret)), "wrapped digest\x00" + string(sum256(foreignSecret))} {
				from := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
				if p, err := s.auth.Verify(t.Context(), "old_"+id+"."+stolen, from); err == nil {
					t.Errorf("%s: the hash, presented as %d, was let in as %v", name, i, p)
				}
			}
		}
	}
}

// TestThreat2WrappedTagLost: a wrapped hash that lost its tag, so that it reads
// as plain argon2id, lets in neither the digest nor the secret.
func TestThreat2WrappedTagLost(t *testing.T) {
	s := newServiceWith(t, oldFormat(), nil)
	stored, err := s.scheme.StoredHash(kinds(t)["SHA-256 hex"])
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := s.scheme.Wrap(t.Context(), stored)
	if err != nil {
		t.Fatal(err)
	}
	_, hash, _ := strings.Cut(wrapped, "$argon2id$")
	bare := "$argon2id$" + hash
	for _, secret := range []string{foreignSecret, hex.EncodeToString(sum256(foreignSecret)), string(sum256(foreignSecret))} {
		if match, err := keyauth.MatchHash(s.scheme, bare, secret); match || err != nil {
			t.Errorf("%q: %v, %v", secret, match, err)
		}
	}
}

// TestWrap: wrapped digests verify, hold no digest, and are re-hashed on use.
func TestWrap(t *testing.T) {
	s := newServiceWith(t, oldFormat(), nil)
	for name, h := range kinds(t) {
		stored, err := s.scheme.StoredHash(h)
		if err != nil {
			t.Fatal(err)
		}
		wrapped, err := s.scheme.Wrap(t.Context(), stored)
		if h.Kind == keyauth.Bcrypt || h.Kind == keyauth.Argon2id {
			if !errors.Is(err, keyauth.ErrStrong) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || s.scheme.IsWeak(wrapped) || !s.scheme.IsWeak(stored) || strings.Contains(wrapped, stored[strings.LastIndexByte(stored, '$'):]) {
			t.Errorf("%s: %q became %q, %v", name, stored, wrapped, err)
		}
		if _, err := s.scheme.Wrap(t.Context(), wrapped); !errors.Is(err, keyauth.ErrStrong) {
			t.Errorf("%s: wrapped twice: %v", name, err)
		}
		id := "wrapped-" + strings.ReplaceAll(name, " ", "-")
		s.putForeign(t, id, wrapped)
		if _, err := s.auth.Verify(t.Context(), "old_"+id+"."+foreignSecret, netip.Addr{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		waitUntil(t, "it is re-hashed", func() bool { return strings.HasPrefix(s.hashOf(t, id), "$argon2id$") })
	}
}

// TestWrapWaits: wrapping goes last, and gives up when its context ends only.
func TestWrapWaits(t *testing.T) {
	scheme, err := keyauth.NewScheme(oldFormat())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	stored, err := scheme.StoredHash(keyauth.ForeignHash{Kind: keyauth.SHA256, Text: strings.Repeat("0", 64)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := scheme.Wrap(ctx, stored); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestStoredHash: what is refused, and that no message tells the hash.
func TestStoredHash(t *testing.T) {
	scheme, err := keyauth.NewScheme(oldFormat())
	if err != nil {
		t.Fatal(err)
	}
	digest := hex.EncodeToString(sum256("x"))
	good := bcryptOf(t, "x")
	argon := func(m, passes int) string {
		return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=1$c2FsdHNhbHRzYWx0c2FsdA$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U", m, passes)
	}
	for name, h := range map[string]keyauth.ForeignHash{
		"no kind":               {Text: digest},
		"unknown kind":          {Kind: "md5", Text: digest},
		"empty":                 {Kind: keyauth.SHA256},
		"short":                 {Kind: keyauth.SHA256, Text: digest[:62]},
		"SHA-1":                 {Kind: keyauth.SHA256, Text: digest[:40]},
		"SHA-512":               {Kind: keyauth.SHA256, Text: digest + digest},
		"not hex":               {Kind: keyauth.SHA256, Text: "g" + digest[1:]},
		"line break":            {Kind: keyauth.SHA256, Text: base64.RawStdEncoding.EncodeToString(sum256("x")) + "\n"},
		"line break within":     {Kind: keyauth.SHA256, Text: digest[:31] + "\n" + digest[31:63]},
		"loose bits":            {Kind: keyauth.SHA256, Text: strings.Repeat("A", 42) + "B"},
		"long salt":             {Kind: keyauth.SHA256, Text: digest, Salt: make([]byte, 65)},
		"salt after nothing":    {Kind: keyauth.SHA256, Text: digest, SaltAfter: true},
		"salted HMAC":           {Kind: keyauth.HMACSHA256, Text: digest, ImportKey: "old", Salt: []byte("x")},
		"HMAC without a key":    {Kind: keyauth.HMACSHA256, Text: digest},
		"HMAC of unknown key":   {Kind: keyauth.HMACSHA256, Text: digest, ImportKey: "new"},
		"import key with SHA":   {Kind: keyauth.SHA256, Text: digest, ImportKey: "old"},
		"bcrypt short":          {Kind: keyauth.Bcrypt, Text: good[:59]},
		"bcrypt long":           {Kind: keyauth.Bcrypt, Text: good + "x"},
		"bcrypt cost 3":         {Kind: keyauth.Bcrypt, Text: strings.Replace(good, "$04$", "$03$", 1)},
		"bcrypt cost 15":        {Kind: keyauth.Bcrypt, Text: strings.Replace(good, "$04$", "$15$", 1)},
		"bcrypt cost 31":        {Kind: keyauth.Bcrypt, Text: strings.Replace(good, "$04$", "$31$", 1)},
		"bcrypt no cost":        {Kind: keyauth.Bcrypt, Text: strings.Replace(good, "$04$", "$+4$", 1)},
		"bcrypt 2x":             {Kind: keyauth.Bcrypt, Text: strings.Replace(good, "$2a$", "$2x$", 1)},
		"bcrypt alphabet":       {Kind: keyauth.Bcrypt, Text: good[:30] + "*" + good[31:]},
		"bcrypt as SHA":         {Kind: keyauth.Bcrypt, Text: digest},
		"argon2i":               {Kind: keyauth.Argon2id, Text: strings.Replace(argon(8, 1), "argon2id", "argon2i", 1)},
		"argon2id zero passes":  {Kind: keyauth.Argon2id, Text: argon(8, 0)},
		"argon2id huge":         {Kind: keyauth.Argon2id, Text: argon(1<<30, 1)},
		"argon2id slow":         {Kind: keyauth.Argon2id, Text: argon(256<<10, 16)},
		"our own form as SHA":   {Kind: keyauth.SHA256, Text: "$sha256$" + digest},
		"our own form as argon": {Kind: keyauth.Argon2id, Text: "$wrapped$sha256" + argon(8, 1)},
	} {
		stored, err := scheme.StoredHash(h)
		if !errors.Is(err, keyauth.ErrForeignHash) || stored != "" {
			t.Errorf("%s: got %q, %v", name, stored, err)
			continue
		}
		if len(h.Text) > 20 && strings.Contains(err.Error(), h.Text[10:20]) {
			t.Errorf("%s: the message tells the hash: %v", name, err)
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		row := struct{ Hash keyauth.ForeignHash }{keyauth.ForeignHash{Kind: keyauth.SHA256, Text: digest}}
		if text := fmt.Sprintf(verb, row); strings.Contains(text, digest[:8]) {
			t.Errorf("%s prints the hash: %s", verb, text)
		}
	}
}

// TestBcryptLooseBits: some implementations left the last bits of the salt
// undefined; the hash is the same without them.
func TestBcryptLooseBits(t *testing.T) {
	scheme, err := keyauth.NewScheme(oldFormat())
	if err != nil {
		t.Fatal(err)
	}
	good := bcryptOf(t, foreignSecret)
	loose := good[:28] + string(good[28]+1) + good[29:]
	stored, err := scheme.StoredHash(keyauth.ForeignHash{Kind: keyauth.Bcrypt, Text: loose})
	if err != nil || stored != good {
		t.Fatalf("got %q, %v", stored, err)
	}
	if keyauth.ReadHash(scheme, loose) == nil {
		t.Error("a second spelling is accepted in the store")
	}
	long := strings.Repeat("x", 73)
	if match, err := keyauth.MatchHash(scheme, bcryptOf(t, long[:72]), long); match || err != nil {
		t.Errorf("a secret longer than bcrypt looks at: %v, %v", match, err)
	}
}

// TestImportKeyGone: without the HMAC key nothing can be checked, which says
// nothing against the credential.
func TestImportKeyGone(t *testing.T) {
	sc := oldFormat()
	sc.ImportKeys = nil
	s := newServiceWith(t, sc, nil)
	s.putForeign(t, "h1", "$hmac-sha256$key=old$"+base64.RawStdEncoding.EncodeToString(hmac256(hmacKey, foreignSecret)))
	if _, err := s.auth.Verify(t.Context(), "old_h1."+foreignSecret, netip.Addr{}); !isRefusal(err, strikeplate.CodeUnavailable) {
		t.Errorf("got %v", err)
	}
	for _, keys := range []map[string][]byte{{"": hmacKey}, {"a$b": hmacKey}, {"old": nil}} {
		sc.ImportKeys = keys
		if _, err := keyauth.NewScheme(sc); err == nil {
			t.Errorf("%q is accepted", keys)
		}
	}
}

// TestForeignLookup: ids that no shape yields are found out before they are
// stored; where the key contains none, it is made from what the other system has.
func TestForeignLookup(t *testing.T) {
	now := time.Now()
	until := now.Add(24 * time.Hour)
	digestKey := randomBytes(32)
	sc := mavio()
	sc.Formats = append(sc.Formats,
		keyauth.Format{Prefix: "cut_", Foreign: []keyauth.Foreign{{Prefix: "cut_", Separator: ".", MinLength: 16, MaxLength: 40, Until: until}}},
		keyauth.Format{Prefix: "len_", Foreign: []keyauth.Foreign{{Prefix: "len_", IDLength: 8, MinLength: 20, MaxLength: 40, Until: until, Environment: strikeplate.Test}}},
		keyauth.Format{Prefix: "mac_", Foreign: []keyauth.Foreign{{Prefix: "mac_", DigestKey: digestKey, MinLength: 20, MaxLength: 40, Until: until}}},
		keyauth.Format{Prefix: "sum_", Foreign: []keyauth.Foreign{{Prefix: "sum_", DigestKey: digestKey, DigestOfSHA256: true, MinLength: 20, MaxLength: 40, Until: until}}},
		keyauth.Format{Prefix: "gone_", Foreign: []keyauth.Foreign{{Prefix: "gone_", IDLength: 8, MinLength: 20, MaxLength: 40, Until: now}}},
	)
	scheme, err := keyauth.NewScheme(sc)
	if err != nil {
		t.Fatal(err)
	}
	text := "sum_" + strings.Repeat("k", 20)
	h := keyauth.ForeignHash{Kind: keyauth.SHA256, Text: hex.EncodeToString(sum256(text))}
	made := hex.EncodeToString(hmac256(digestKey, string(sum256(text))))
	for _, c := range []struct {
		prefix, lookup string
		env            strikeplate.Environment
		want           string
	}{
		{"cut_", "abc", strikeplate.Live, "abc"},
		{"cut_", "a.b", strikeplate.Live, ""},
		{"cut_", "a b", strikeplate.Live, ""},
		{"cut_", strings.Repeat("a", 40), strikeplate.Live, ""},
		{"cut_", "abc", strikeplate.Test, ""},
		{"cut_", "", strikeplate.Live, ""},
		{"len_", "12345678", strikeplate.Test, "12345678"},
		{"len_", "1234567", strikeplate.Test, ""},
		{"mac_", strings.Repeat("0a", 32), strikeplate.Live, strings.Repeat("0a", 32)},
		{"mac_", strings.Repeat("0A", 32), strikeplate.Live, ""},
		{"mac_", "abc", strikeplate.Live, ""},
		{"mac_", "", strikeplate.Live, ""},
		{"sum_", "", strikeplate.Live, made},
		{"gone_", "12345678", strikeplate.Live, ""},
		{"mvo_", "12345678901", strikeplate.Live, ""},
		{"xxx_", "abc", strikeplate.Live, ""},
	} {
		got, err := scheme.ForeignLookup(c.prefix, c.env, c.lookup, h, now)
		if got != c.want || (err == nil) != (c.want != "") || err != nil && !errors.Is(err, keyauth.ErrNoShape) {
			t.Errorf("%s %s %q: got %q, %v", c.prefix, c.env, c.lookup, got, err)
		}
	}
	if p, err := scheme.Parse(text, now); err != nil || p.Lookup != made || p.Secret.Reveal() != text {
		t.Errorf("parsed to %+v, %v", p, err)
	}
}

// FuzzForeignHash: any text in the hash column is refused or safe to compare,
// has one spelling, and never matches itself.
func FuzzForeignHash(f *testing.F) {
	scheme, err := keyauth.NewScheme(oldFormat())
	if err != nil {
		f.Fatal(err)
	}
	for _, h := range kinds(f) {
		stored, err := scheme.StoredHash(h)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(stored)
	}
	for _, seed := range []string{"", "$", "$sha256", "$sha256$", "$sha256$salt=before$$", "$sha256$salt=after$TmFDbA$AAAA", "$wrapped$sha256",
		"$wrapped$wrapped$sha256$argon2id$", "$wrapped$sha256$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U",
		"$hmac-sha256$key=$", "$2b$04$", "$sha256$\n" + strings.Repeat("A", 43)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if keyauth.ReadHash(scheme, text) != nil || strings.HasPrefix(text, "$argon2id$") || strings.Contains(text, "$wrapped$") {
			return // argon2id's bounds have a target of their own, and its costs aren't for fuzzing
		}
		if strings.HasPrefix(text, "$2") && text[4:6] > "05" {
			return
		}
		if match, err := keyauth.MatchHash(scheme, text, text); match || err != nil {
			t.Fatalf("%q: %v, %v", text, match, err)
		}
		if len(text) > 200 || strings.ContainsAny(text, "\r\n \x00") {
			t.Fatalf("%q passed", text)
		}
	})
}
