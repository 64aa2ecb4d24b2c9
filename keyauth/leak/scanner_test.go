package leak_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/leak"
)

// signed are the header fields of a scanner's report.
func signed(secret, content []byte, at time.Time) map[string]string {
	now := strconv.FormatInt(at.Unix(), 10)
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(now + "."))
	h.Write(content)
	return map[string]string{"Leak-Timestamp": now, "Leak-Signature": hex.EncodeToString(h.Sum(nil))}
}

func TestScanner(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		old := randomBytes(40)
		w := newWorld(t, s, formats(), func(c *leak.Config) { c.ScannerSecrets = append(c.ScannerSecrets, old) })
		h := w.intake.Scanner()
		for _, secret := range [][]byte{w.secret, old} {
			text, key := w.key()
			content := body(t, leaked(text, "no key"))
			fields := signed(secret, content, time.Now())
			for range 2 { // the second is a replay
				found := labels(t, post(h, content, fields))
				if found[hashed(text)] != "true_positive" || found[hashed("no key")] != "false_positive" {
					t.Errorf("%v", found)
				}
			}
			if got := w.stored(key); got.RevokedBecause != "leaked: reported by scanner" {
				t.Errorf("%+v", got)
			}
		}
		if n := len(w.entries()); n != 4 {
			t.Errorf("%d entries", n)
		}
	})
}

// The documented command line, run by a shell.
func TestScannerSignedByOpenSSL(t *testing.T) {
	newSigner(t, "unused") // skips without openssl
	w := newWorld(t, closing(t, memoryStore()), formats())
	text, key := w.key()
	content := body(t, leaked(text))
	file := filepath.Join(t.TempDir(), "body")
	w.must(os.WriteFile(file, content, 0o600))
	now := strconv.FormatInt(time.Now().Unix(), 10)
	command := exec.CommandContext(t.Context(), "sh", "-c", `body=$(cat "$FILE"); printf '%s.%s' "$NOW" "$body" |
		openssl dgst -sha256 -mac HMAC -macopt hexkey:$SECRET_HEX -r | cut -d' ' -f1`)
	command.Env = append(os.Environ(), "FILE="+file, "NOW="+now, "SECRET_HEX="+hex.EncodeToString(w.secret))
	mac, err := command.Output()
	w.must(err)
	reply := post(w.intake.Scanner(), content, map[string]string{"Leak-Timestamp": now, "Leak-Signature": strings.TrimSpace(string(mac))})
	if found := labels(t, reply); found[hashed(text)] != "true_positive" || w.stored(key).Revoked.IsZero() {
		t.Errorf("%v", found)
	}
}

func TestScannerRefusals(t *testing.T) {
	w := newWorld(t, closing(t, memoryStore()), formats())
	text, key := w.key()
	content := body(t, leaked(text))
	now := time.Now()
	good := signed(w.secret, content, now)
	for what, fields := range map[string]map[string]string{
		"another secret":   signed(randomBytes(32), content, now),
		"another body":     signed(w.secret, content[1:], now),
		"too old":          signed(w.secret, content, now.Add(-6*time.Minute)),
		"ahead of time":    signed(w.secret, content, now.Add(6*time.Minute)),
		"another time":     {"Leak-Timestamp": strconv.FormatInt(now.Unix()-1, 10), "Leak-Signature": good["Leak-Signature"]},
		"a spelt time":     {"Leak-Timestamp": "+" + good["Leak-Timestamp"], "Leak-Signature": good["Leak-Signature"]},
		"no time":          {"Leak-Signature": good["Leak-Signature"]},
		"no signature":     {"Leak-Timestamp": good["Leak-Timestamp"]},
		"a cut signature":  {"Leak-Timestamp": good["Leak-Timestamp"], "Leak-Signature": good["Leak-Signature"][:62]},
		"the last of time": {"Leak-Timestamp": "-9223372036854775808", "Leak-Signature": good["Leak-Signature"]},
		"no number":        {"Leak-Timestamp": "now", "Leak-Signature": good["Leak-Signature"]},
		"GitHub's fields":  {"Github-Public-Key-Identifier": "x", "Github-Public-Key-Signature": "AAAA"},
	} {
		t.Run(what, func(t *testing.T) {
			refused(t, post(w.intake.Scanner(), content, fields), 401, leak.CodeSignature, text)
		})
	}
	if !w.stored(key).Revoked.IsZero() {
		t.Error("a refused report had an effect")
	}

	none := newWorld(t, w.store, formats(), func(c *leak.Config) { c.ScannerSecrets = nil })
	refused(t, post(none.intake.Scanner(), content, signed(nil, content, now)), 503, strikeplate.CodeUnavailable)
}

func TestConfig(t *testing.T) {
	w := newWorld(t, closing(t, memoryStore()), formats())
	good := leak.Config{Scheme: w.scheme, Keys: w.store}
	for what, change := range map[string]func(*leak.Config){
		"no scheme":        func(c *leak.Config) { c.Scheme = nil },
		"no keys":          func(c *leak.Config) { c.Keys = nil },
		"a short secret":   func(c *leak.Config) { c.ScannerSecrets = [][]byte{randomBytes(31)} },
		"an empty secret":  func(c *leak.Config) { c.ScannerSecrets = [][]byte{randomBytes(32), nil} },
		"keys by http":     func(c *leak.Config) { c.KeysURL = "http://api.github.com/meta" },
		"keys from a file": func(c *leak.Config) { c.KeysURL = "file:///etc/keys" },
		"no URL":           func(c *leak.Config) { c.KeysURL = "https://%" },
		"a strange action": func(c *leak.Config) { c.Action = 7 },
		"a budget of less": func(c *leak.Config) { c.Budget = -time.Second },
	} {
		c := good
		change(&c)
		if in, err := leak.New(c); err == nil {
			t.Errorf("%s is accepted", what)
			w.must(in.Close(context.Background()))
		} else if !strings.HasPrefix(fmt.Sprint(err), "leak: ") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A batch of 1,000 leaked keys is dealt with within the budget.
func TestThousandTokens(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		w := newWorld(t, s, formats())
		var tokens []string
		for range 1000 {
			text, _ := w.key()
			tokens = append(tokens, text)
		}
		content := body(t, leaked(tokens...))
		start := time.Now()
		found := labels(t, post(w.intake.Scanner(), content, signed(w.secret, content, start)))
		took := time.Since(start)
		for _, text := range tokens {
			if found[hashed(text)] != "true_positive" {
				t.Fatalf("one of %d verdicts is %q", len(found), found[hashed(text)])
			}
		}
		if got := w.intake.Stats(); got.Revoked != 1000 || got.Pending != 0 {
			t.Errorf("%+v", got)
		}
		t.Logf("1,000 keys verified, revoked and audited in %v", took.Round(time.Millisecond))
	})
}
