package keyauth_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
)

// patterned issues the four products' formats, and takes two former shapes.
func patterned(t testing.TB, unkeyed bool) *keyauth.Scheme {
	t.Helper()
	until := time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
	c := keyauth.SchemeConfig{
		Hashing: cheap, InsecureUnkeyedChecksum: unkeyed,
		Formats: []keyauth.Format{
			{Prefix: "mvo_", Environments: liveAndTest},
			{Prefix: "mavio_sk_", Foreign: []keyauth.Foreign{
				{Prefix: "mav.", MinLength: 40, MaxLength: 48, Separator: ".", Until: until},
				{Prefix: "mavio_sk_", MinLength: 41, MaxLength: 41, IDLength: 8, Until: until},
				{MinLength: 32, MaxLength: 32, DigestKey: randomBytes(32), Until: until}, // finds everything: no pattern
			}},
			{Prefix: "mvra_", Environments: liveAndTest[:1]},
			{Pair: true},
		},
	}
	if !unkeyed {
		c.TagKeys = [][]byte{randomBytes(32)}
	}
	s, err := keyauth.NewScheme(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// minted are the formats of patterned.
var minted = []struct {
	pattern, prefix string
	env             strikeplate.Environment
}{
	{"mvo_live_api_key", "mvo_", strikeplate.Live},
	{"mvo_test_api_key", "mvo_", strikeplate.Test},
	{"mavio_sk_api_key", "mavio_sk_", strikeplate.Live},
	{"mvra_live_api_key", "mvra_", strikeplate.Live},
	{"key_pair", "", strikeplate.Live},
}

// expressions compiles a scheme's patterns, by name.
func expressions(t testing.TB, s *keyauth.Scheme) map[string]*regexp.Regexp {
	t.Helper()
	all := make(map[string]*regexp.Regexp)
	for _, p := range s.Patterns() {
		if all[p.Name] != nil {
			t.Errorf("two patterns are called %s", p.Name)
		}
		all[p.Name] = regexp.MustCompile(p.Regexp)
		if n := all[p.Name].NumSubexp(); n != 1 {
			t.Errorf("%s has %d groups", p.Name, n)
		}
	}
	return all
}

// finds returns what an expression's group matched in text.
func finds(re *regexp.Regexp, text string) []string {
	var found []string
	for _, m := range re.FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

// places are what leaked keys stand in.
func places(key string) map[string]string {
	quoted, _ := json.Marshal(map[string]string{"api_key": key})
	again, _ := json.Marshal("line one\n" + string(quoted))
	return map[string]string{
		"alone":             key,
		"a sentence":        "The key is " + key + ". Don't tell.",
		"quotes":            `client := New("` + key + `")`,
		"an env file":       "API_KEY=" + key + "\nDEBUG=1\n",
		"exported":          "export API_KEY='" + key + "'",
		"JSON":              string(quoted),
		"JSON in JSON":      string(again),
		"YAML":              "  apiKey: " + key,
		"a header":          "Authorization: Bearer " + key + "\r\n",
		"a URL":             "https://api.example/v1/meetings?key=" + key + "&limit=5",
		"a URL in a URL":    "https://example/r?to=" + url.QueryEscape("https://api.example/?key=") + key + "%26limit",
		"a string literal":  `"first\n` + key + `\n"`,
		"markup":            "<code>" + key + "</code>",
		"emphasis":          "use _" + key + "_ or **" + key + "**",
		"a list":            key + "," + key + "," + key,
		"a CSV line":        "7;" + key + ";" + key,
		"a path":            "/v1/keys/" + key + "/usage",
		"a diff":            "-key = " + key + "\n+key = os.Getenv(\"KEY\")",
		"an escaped unit":   `\u0022` + key + `\u0022`,
		"a shell variable":  "curl -u " + key + " https://api.example",
		"between brackets":  "[" + key + "](https://example)",
		"behind a colon":    "key:" + key,
		"a windows newline": "\r\n" + key + "\r\n",
	}
}

func TestPatternsFindMintedKeys(t *testing.T) {
	for _, unkeyed := range []bool{false, true} {
		s := patterned(t, unkeyed)
		all := expressions(t, s)
		for _, f := range minted {
			for range 20 {
				m, err := s.Mint(t.Context(), f.prefix, f.env)
				if err != nil {
					t.Fatal(err)
				}
				key := m.Secret.Reveal()
				for place, text := range places(key) {
					found := finds(all[f.pattern], text)
					if want := strings.Count(text, key); len(found) != want {
						t.Fatalf("%s in %s: found %d of %d", f.pattern, place, len(found), want)
					}
					for _, got := range found {
						p, err := s.Parse(got, time.Now())
						if err != nil || got != key || p.Foreign || p.Environment != f.env {
							t.Errorf("%s in %s: found %q, want %q; %+v, %v", f.pattern, place, got, key, p, err)
						}
					}
				}
			}
		}
	}
}

func TestPatternsHaveBoundaries(t *testing.T) {
	s := patterned(t, false)
	all := expressions(t, s)
	for _, f := range minted {
		m, err := s.Mint(t.Context(), f.prefix, f.env)
		if err != nil {
			t.Fatal(err)
		}
		key := m.Secret.Reveal()
		for what, text := range map[string]string{
			"a letter behind": key + "x",
			"a digit before":  "7" + key,
			"a letter before": "x" + key,
			"doubled":         key + key,
			"cut":             key[:len(key)-1],
			"a dash within":   key[:len(key)-5] + "-" + key[len(key)-4:],
			"another prefix":  "xyz_" + strings.TrimPrefix(key, f.prefix),
		} {
			if f.prefix == "" && what == "another prefix" {
				continue
			}
			if found := finds(all[f.pattern], text); found != nil {
				t.Errorf("%s, %s: found %q in %q", f.pattern, what, found, text)
			}
		}
		// The environment's name is a part of the prefix, so one is not the other.
		if f.env == strikeplate.Live {
			if found := finds(all["mvo_test_api_key"], key); found != nil {
				t.Errorf("a live key is found as %q", found)
			}
		}
	}
}

func TestPatternsOfForeignShapes(t *testing.T) {
	s := patterned(t, false)
	all := expressions(t, s)
	var names []string
	for _, p := range s.Patterns() {
		names = append(names, p.Name)
		if foreign := strings.Contains(p.Name, "former"); foreign == p.Until.IsZero() {
			t.Errorf("%s is accepted until %v", p.Name, p.Until)
		}
	}
	want := []string{"mvra_live_api_key", "mvo_live_api_key", "mvo_test_api_key", "mavio_sk_api_key", "key_pair",
		"mavio_sk_former_key", "mav_former_key"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	for pattern, key := range map[string]string{
		"mav_former_key":      "mav.7f3a9.c2VjcmV0IG9mIGEgZm9ybWVyIHRpbWU+/w==",
		"mavio_sk_former_key": "mavio_sk_abcdefgh-former_shape-0123456789",
	} {
		for place, text := range places(key) {
			switch place {
			case "a sentence", "a path", "a URL in a URL", "emphasis", "an escaped unit":
				continue // there it adjoins what a foreign secret may be spelt with
			}
			for _, got := range append(finds(all[pattern], text), "") {
				if p, err := s.Parse(got, time.Now()); err == nil && p.Foreign && got == key {
					break
				}
				if got == "" {
					t.Errorf("%s in %s: not found in %q", pattern, place, text)
				}
			}
		}
	}
}

// ordinaryText is n bytes of what repositories are full of, the same each time.
func ordinaryText(n int) string {
	r := rand.New(rand.NewChaCha8([32]byte([]byte("ten megabytes of ordinary text.."))))
	words := strings.Fields(`the key of a service is minted once and shown to nobody else meeting summary transcript
		live test mvo mavio sk mvra token secret client_key client_secret api_key func return error string context
		mvo_live_ mvo_test_ mavio_sk_ mvra_live_ "mvo_live_…" mvo_live_xxxxxxxxxxxxxxxxxxxx YOUR_API_KEY`)
	word := func() string { return words[r.IntN(len(words))] }
	raw := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	letters := func(n int) string {
		return strings.NewReplacer("+", "a", "/", "b").Replace(base64.StdEncoding.EncodeToString(raw(n)))[:n]
	}
	kinds := []func() string{
		func() string { return word() + " " + word() + " " + word() + ", " + word() + ". " },
		func() string {
			return fmt.Sprintf("\tif %s_%s := %s.%s(ctx, %q); err != nil {\n\t\treturn\n\t}\n", word(), word(), word(), word(), word())
		},
		func() string { return base64.StdEncoding.EncodeToString(raw(57)) + "\n" },
		func() string { return base64.RawURLEncoding.EncodeToString(raw(30+r.IntN(90))) + " " },
		func() string { return "sha256:" + hex.EncodeToString(raw(32)) + "\n" },
		func() string { return "commit " + hex.EncodeToString(raw(20)) + "\n" },
		func() string {
			h := raw(16)
			return fmt.Sprintf("%x-%x-%x-%x-%x\n", h[:4], h[4:6], h[6:8], h[8:10], h[10:])
		},
		func() string { return letters(8+r.IntN(8)) + ":" + letters(30+r.IntN(10)) + "\n" },
		func() string { return word() + "_" + letters(40+r.IntN(10)) + " " },
		func() string { return "mvo_live_" + letters(43+r.IntN(5)) + "\n" },
		func() string { return "mavio_sk_" + strings.Repeat("x", 45) + "\n" },
	}
	weights := []int{300, 200, 40, 20, 20, 20, 20, 4, 4, 2, 1} // mostly words
	total := 0
	for _, w := range weights {
		total += w
	}
	var b strings.Builder
	for b.Len() < n {
		k := r.IntN(total)
		for i, w := range weights {
			if k -= w; k < 0 {
				b.WriteString(kinds[i]())
				break
			}
		}
	}
	return b.String()
}

// scan looks at the lines in which a keyword is, as scanners do: an expression
// takes seconds for ten megabytes. A pair has none, but a colon.
func scan(p keyauth.Pattern, text string) []string {
	re := regexp.MustCompile(p.Regexp)
	keyword := ":"
	if len(p.Keywords) > 0 {
		keyword = p.Keywords[0]
	}
	var found []string
	for line := range strings.Lines(text) {
		if strings.Contains(strings.ToLower(line), keyword) {
			found = append(found, finds(re, line)...)
		}
	}
	return found
}

// In ten megabytes of ordinary text, with lookalikes among it, no true key is
// found but the one that is there: what else matches, Parse refuses offline.
func TestPatternsInOrdinaryText(t *testing.T) {
	s := patterned(t, false)
	size := 10 << 20
	if testing.Short() {
		size = 1 << 20
	}
	text := ordinaryText(size)
	m, err := s.Mint(t.Context(), "mvo_", strikeplate.Live)
	if err != nil {
		t.Fatal(err)
	}
	text = text[:len(text)/2] + "\n" + m.Secret.Reveal() + "\n" + text[len(text)/2:]
	var keys, lookalikes int
	for _, p := range s.Patterns() {
		start, matches := time.Now(), scan(p, text)
		for _, got := range matches {
			_, err := s.Parse(got, time.Now())
			switch {
			case err != nil:
				lookalikes++
			case got == m.Secret.Reveal():
				keys++
			default:
				t.Errorf("%s: %q passes for a key", p.Name, got)
			}
		}
		t.Logf("%-20s %5d matches in %v", p.Name, len(matches), time.Since(start).Round(time.Millisecond))
	}
	if keys != 1 || lookalikes == 0 {
		t.Errorf("found the key %d times, and %d lookalikes", keys, lookalikes)
	}
}

func TestGitleaksRules(t *testing.T) {
	s := patterned(t, false)
	rules := s.GitleaksRules()
	if n := strings.Count(rules, "\n[[rules]]\n"); n != len(s.Patterns()) {
		t.Errorf("%d rules for %d patterns", n, len(s.Patterns()))
	}
	for _, p := range s.Patterns() {
		want := fmt.Sprintf("\nid = %q\n", strings.ReplaceAll(p.Name, "_", "-"))
		if !strings.Contains(rules, want) || !strings.Contains(rules, "regex = '''"+p.Regexp+"'''\n") {
			t.Errorf("%s is missing from\n%s", p.Name, rules)
		}
		for _, k := range p.Keywords {
			if k != strings.ToLower(k) || !strings.Contains(rules, `"`+k+`"`) {
				t.Errorf("keyword %q of %s", k, p.Name)
			}
		}
	}
}

// What a rule's threshold would hide is lost, so it must be far below any key.
func TestGitleaksEntropyIsBelowEveryKeys(t *testing.T) {
	s := patterned(t, false)
	lowest := 8.0
	for range 500 {
		for _, f := range minted {
			m, err := s.Mint(t.Context(), f.prefix, f.env)
			if err != nil {
				t.Fatal(err)
			}
			lowest = min(lowest, entropy(m.Secret.Reveal()))
		}
	}
	if lowest < 4 {
		t.Errorf("a key has %.2f bits a character, too near to the rules' 3.5", lowest)
	}
	if placeholder := entropy("mavio_sk_" + strings.Repeat("x", 45)); placeholder > 3 {
		t.Errorf("a placeholder has %.2f bits a character", placeholder)
	}
}

// entropy is Shannon's, in bits a character, as gitleaks computes it.
func entropy(text string) float64 {
	counts := make(map[rune]float64)
	for _, c := range text {
		counts[c]++
	}
	var sum float64
	for _, n := range counts {
		p := n / float64(len(text))
		sum -= p * math.Log2(p)
	}
	return sum
}

// A scanner's matches are told apart without asking anybody.
func ExampleScheme_Patterns() {
	scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{
		Formats: []keyauth.Format{{Prefix: "mavio_sk_"}},
		TagKeys: [][]byte{[]byte("32 random bytes, the same always")},
	})
	if err != nil {
		panic(err)
	}
	for _, p := range scheme.Patterns() {
		fmt.Println(p.Name, p.Keywords)
		leaked := "api_key: mavio_sk_" + strings.Repeat("a1B2c", 9)
		for _, match := range regexp.MustCompile(p.Regexp).FindAllStringSubmatch(leaked, -1) {
			_, err := scheme.Parse(match[1], time.Now())
			fmt.Println(err)
		}
	}
	// Output:
	// mavio_sk_api_key [mavio_sk_]
	// keyauth: not a key of this service
}
