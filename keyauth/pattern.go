package keyauth

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Pattern finds leaked keys of one shape in text, for secret scanners.
type Pattern struct {
	// Name is unique among a scheme's patterns, and what a scanner's report
	// calls the key's type: lower-case letters, digits and "_".
	Name string
	// Regexp is in the syntax that RE2, Go and gitleaks share. Its only group is
	// the key; what is around it is a boundary.
	Regexp string
	// Keywords are lower-case texts of which one is in each match, whatever its
	// case; none for a shape without a prefix.
	Keywords []string
	// Until is when keys of the shape are no longer accepted; zero: they are for
	// ever. Only foreign shapes have such a date.
	Until time.Time
}

// A key may stand behind an escape, whose letter belongs to no word: "\nKEY"
// in a string literal, "%3DKEY" in a URL, "\u0022KEY" in JSON. It may stand
// between underscores, which are emphasis to Markdown and letters to \b.
const (
	before = `(?:\b|_|\\[abfnrtv0]|%[0-9A-Fa-f]{2}|\\[ux][0-9A-Fa-f]{2,4})`
	after  = `(?:\b|_)`
)

// foreignPrefix is how long a foreign shape's prefix must be for an expression
// to be of use: what finds everything finds nothing.
const foreignPrefix = 3

// Patterns returns an expression for each shape that is minted, and for foreign
// ones whose prefix has 3 characters or more. What Patterns find is a key only
// if [Scheme.Parse] says so, which needs no store; of a keyed checksum one in 57
// billion made-up texts passes.
//
// A key of a minted shape is found wherever no letter or digit adjoins it, so a
// longer word that merely contains the shape is not found. How a foreign secret
// is spelt is not known here: its expression takes letters, digits and _+/=-.
// A pair that leaked as Basic credentials is encoded, and not found.
func (s *Scheme) Patterns() []Pattern {
	var all []Pattern
	names := make(map[string]bool)
	for i := range s.shapes {
		sh := &s.shapes[i]
		if sh.foreign != nil && (len(sh.prefix) < foreignPrefix || !isVisibleASCII(sh.prefix)) {
			continue
		}
		p := Pattern{Name: sh.patternName(names), Regexp: before + sh.expression(s.tagged())}
		if len(sh.prefix) > 0 {
			p.Keywords = []string{strings.ToLower(string(sh.prefix))}
		}
		if sh.foreign != nil {
			p.Until = sh.foreign.Until
		}
		all = append(all, p)
	}
	return all
}

// expression matches the shape's texts, and as little else as can be known, up
// to a boundary behind them.
func (s *shape) expression(tagged int) string {
	head := regexp.QuoteMeta(string(s.prefix))
	if f := s.foreign; f != nil {
		class := `0-9A-Za-z_+/=` + quoteInClass(f.Separator) + `-`
		fewest, most := f.MinLength-len(s.prefix), f.MaxLength-len(s.prefix)
		return fmt.Sprintf(`(%s[%s]{%d,%d})(?:\b|$|[^%s])`, head, class, max(fewest, 1), most, class)
	}
	if s.pair {
		return fmt.Sprintf(`(%s[0-9A-Za-z]{%d}:[0-9A-Za-z]{%d})%s`, head, idLength, secretLength+tagged, after)
	}
	return fmt.Sprintf(`(%s[0-9A-Za-z]{%d})%s`, head, idLength+secretLength+tagged, after)
}

// quoteInClass escapes every character, which RE2 allows for punctuation.
func quoteInClass(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c > ' ' && c <= '~' && !isBase62([]byte{c}) {
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
	return b.String()
}

// patternName is made of the prefix. Two shapes may share one.
func (s *shape) patternName(taken map[string]bool) string {
	base := strings.Trim(notName.ReplaceAllString(strings.ToLower(string(s.prefix)), "_"), "_")
	switch {
	case s.foreign != nil:
		base += "_former_key"
	case s.pair && base == "":
		base = "key_pair"
	case s.pair:
		base += "_key_pair"
	default:
		base += "_api_key"
	}
	name := strings.TrimPrefix(base, "_")
	for n := 2; taken[name]; n++ {
		name = base + "_" + strconv.Itoa(n)
	}
	taken[name] = true
	return name
}

var notName = regexp.MustCompile(`[^a-z0-9]+`)

// gitleaksEntropy is in bits a character of the whole key. Minted keys have more
// than 4; a placeholder such as mvo_live_xxxx… has less than 3.
const gitleaksEntropy = 3.5

// GitleaksRules returns a configuration for gitleaks 8 (TOML) that finds the keys
// of [Scheme.Patterns]. Use it as it is, with --config, or append it to your own.
func (s *Scheme) GitleaksRules() string {
	var b strings.Builder
	b.WriteString("title = \"API keys\"\n")
	for _, p := range s.Patterns() {
		description := "An API key that this service issues"
		if !p.Until.IsZero() {
			description = "An API key of a former shape, accepted until " + p.Until.UTC().Format(time.DateOnly)
		}
		fmt.Fprintf(&b, "\n[[rules]]\nid = %s\ndescription = %s\nregex = %s\nsecretGroup = 1\nentropy = %.1f\n",
			tomlText(strings.ReplaceAll(p.Name, "_", "-")), tomlText(description), tomlText(p.Regexp), gitleaksEntropy)
		if len(p.Keywords) > 0 {
			quoted := make([]string, len(p.Keywords))
			for i, k := range p.Keywords {
				quoted[i] = tomlText(k)
			}
			fmt.Fprintf(&b, "keywords = [%s]\n", strings.Join(quoted, ", "))
		}
	}
	return b.String()
}

// tomlText quotes visible ASCII; a literal string keeps expressions readable.
func tomlText(text string) string {
	switch {
	case !strings.ContainsAny(text, `\"`):
		return `"` + text + `"`
	case !strings.Contains(text, "'"):
		return "'''" + text + "'''"
	default:
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
	}
}
