package leak_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/leak"
)

// Whatever a body holds, it is refused with a status or read as its JSON says.
func FuzzReports(f *testing.F) {
	for _, seed := range []string{
		`[{"token":"mvo_live_x","type":"mvo_live_api_key","url":"https://example/a","source":"Content"}]`,
		`[]`, `[null]`, `[{}]`, `[{"token":null}]`, `[{"TOKEN":"x"}]`, `[{"token":"x"},]`, `[[]]`, `[1]`, `{"token":"x"}`, ``, ` `, `[`,
		`[{"token":"x","token":"y"}]`, `[{"token":"\ud800"}]`, "[{\"token\":\"\xff\"}]", `[{"token":"x"}] []`, `[{"token":"x"} {"token":"y"}]`,
		strings.Repeat("[", 20_000), `[{"a":` + strings.Repeat("[", 20_000) + `}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		n, err := leak.ParseReports(content)
		var e *strikeplate.Error
		if err != nil {
			if !errors.As(err, &e) || e.Status != 400 && e.Status != 413 {
				t.Fatalf("%v", err)
			}
			return
		}
		var all []report
		if err := json.Unmarshal(content, &all); err != nil {
			t.Fatalf("read as %d reports, but: %v", n, err)
		}
		want := 0
		for _, r := range all {
			if r.Token != "" {
				want++
			}
		}
		if n != want {
			t.Errorf("%d reports, want %d", n, want)
		}
	})
}

// Whatever a signed report says, the reply is JSON and the log holds no secret.
func FuzzWords(f *testing.F) {
	shared := newWorld(f, closing(f, memoryStore()), formats(), func(c *leak.Config) { c.Action = leak.ReportOnly })
	f.Add("mvo_live_api_key", "https://example/KEY", "Commit")
	f.Add("KEY", "https://example/a%2FKEY%20", "KEYKEY")
	f.Add("\x00\xff", "%", "\u2028")
	f.Fuzz(func(t *testing.T, kind, url, source string) {
		w := *shared
		w.TB = t
		text, key := w.key()
		hide := strings.NewReplacer("KEY", text)
		content := body(t, []report{{Token: text, Type: hide.Replace(kind), URL: hide.Replace(url), Source: hide.Replace(source)}})
		if found := labels(t, post(w.intake.Scanner(), content, signed(w.secret, content, time.Now()))); found[hashed(text)] != "true_positive" {
			t.Fatalf("%v", found)
		}
		for _, e := range w.entries() {
			if e.Target == key.ID && strings.Contains(string(e.After), text[20:]) {
				t.Errorf("the log holds the key: %s", e.After)
			}
		}
	})
}
