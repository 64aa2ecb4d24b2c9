package leak

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
)

// label is what a token turned out to be, as replies say it.
type label string

const (
	unknown       label = "" // not yet, or it could not be found out
	truePositive  label = "true_positive"
	falsePositive label = "false_positive"
)

// verdict is one element of a reply: for each token one, and for each type that
// it was reported as.
type verdict struct {
	TokenRaw  string `json:"token_raw,omitempty"`
	TokenHash string `json:"token_hash,omitempty"`
	TokenType string `json:"token_type"`
	Label     label  `json:"label"`
}

// judge deals with a body's reports, each token once, until ctx ends; what is
// left then goes on without.
func (in *Intake) judge(ctx context.Context, from origin, reports []report) ([]verdict, error) {
	items, err := in.take(from, reports)
	if err != nil {
		return nil, err
	}
	verdicts := []verdict{}
	told := make(map[report]bool)
	for _, r := range reports {
		it := items[r.Token]
		found := it.wait(ctx)
		if found == unknown && it.troubled.Load() {
			return nil, busy(errTroubled)
		}
		once := report{Token: r.Token, Type: r.Type}
		if found != unknown && !told[once] {
			told[once] = true
			verdicts = append(verdicts, in.verdict(r, found))
		}
	}
	return verdicts, nil
}

// take gives each token that may be a key to the queue: all of them or none.
func (in *Intake) take(from origin, reports []report) (map[string]*item, error) {
	now := in.c.Now()
	items := make(map[string]*item, len(reports))
	var texts []string
	var claims []*item
	for _, r := range reports {
		if it := items[r.Token]; it != nil {
			it.leak.Places++
			continue
		}
		parsed, err := in.c.Scheme.Parse(r.Token, now)
		if err != nil {
			items[r.Token] = settled(falsePositive)
			continue
		}
		it := newItem(in.work.digest(r.Token), parsed)
		it.leak, it.client = in.cleaner.leak(from, r, parsed), from.client
		items[r.Token] = it
		texts, claims = append(texts, r.Token), append(claims, it)
	}
	if err := in.work.admit(len(items), claims); err != nil {
		return nil, err
	}
	for i, text := range texts {
		items[text] = claims[i]
	}
	return items, nil
}

func (in *Intake) verdict(r report, found label) verdict {
	v := verdict{TokenType: r.Type, Label: found}
	if in.c.InsecureEchoTokens {
		v.TokenRaw = r.Token
		return v
	}
	sum := sha256.Sum256([]byte(r.Token))
	v.TokenHash = hex.EncodeToString(sum[:])
	return v
}
