package ratelimit

import (
	"net/http"
	"strconv"
	"time"
)

// The header fields, in net/http's canonical spelling: names are case-insensitive
// (RFC 9110 5.1), and a handler or test that asks [http.Header.Get] finds them.
var fieldNames = [...]string{
	"X-Ratelimit-Limit",
	"X-Ratelimit-Remaining",
	"X-Ratelimit-Reset",
	"Ratelimit-Policy", // these two: draft-ietf-httpapi-ratelimit-headers-10
	"Ratelimit",
}

// What is told of a policy whatever its counter says, written once.
type told struct{ limit, item string }

func tell(policies ...Policy) []*told {
	all := make([]*told, 0, len(policies))
	for i := range policies {
		p := &policies[i]
		all = append(all, &told{strconv.FormatInt(p.Limit, 10), string(appendQuota(nil, p))})
	}
	return all
}

// A span is a part of a text.
type span struct{ begin, end int }

func (s span) of(text string) string { return text[s.begin:s.end] }

// setFields replaces the header fields. All values are parts of one string, and
// their slices of one array. known are as many as charges, or none; nil ones are
// of policies that nothing was written of.
//
// The X- fields tell the tightest of several policies; the draft's list them all.
func setFields(h http.Header, charges []Charge, known []*told, decisions []Decision, now time.Time) {
	tight := tightest(decisions)
	only := len(known) == 1 && known[0] != nil
	var room [256]byte
	b := room[:0]
	if !only {
		b = appendQuotas(b, charges, known)
	}
	quotas := span{0, len(b)}
	b, remaining := appendStates(b, charges, decisions, tight)
	states := span{quotas.end, len(b)}
	b = strconv.AppendInt(b, unix(now.Add(wait(&decisions[tight]))), 10)
	reset := span{states.end, len(b)}
	limit := span{len(b), len(b)}
	if !only {
		b = strconv.AppendInt(b, charges[tight].Policy.Limit, 10)
		limit.end = len(b)
	}
	text := string(b)
	values := &[len(fieldNames)]string{limit.of(text), remaining.of(text), reset.of(text), quotas.of(text), states.of(text)}
	if only {
		values[0], values[3] = known[0].limit, known[0].item
	}
	for i, name := range fieldNames {
		h[name] = values[i : i+1 : i+1]
	}
}

func appendQuotas(b []byte, charges []Charge, known []*told) []byte {
	for i := range charges {
		if i > 0 {
			b = append(b, ", "...)
		}
		if i < len(known) && known[i] != nil {
			b = append(b, known[i].item...)
		} else {
			b = appendQuota(b, &charges[i].Policy)
		}
	}
	return b
}

func appendQuota(b []byte, p *Policy) []byte {
	b = strconv.AppendInt(append(appendName(b, p.Name), ";q="...), p.Limit, 10)
	return strconv.AppendInt(append(b, ";w="...), seconds(p.Period), 10)
}

// appendStates also returns where it tells what remains of the tightest policy.
func appendStates(b []byte, charges []Charge, decisions []Decision, tight int) (_ []byte, remaining span) {
	for i := range decisions {
		if i > 0 {
			b = append(b, ", "...)
		}
		d := &decisions[i]
		b = append(appendName(b, charges[i].Policy.Name), ";r="...)
		begin := len(b)
		b = strconv.AppendInt(b, d.Remaining, 10)
		if i == tight {
			remaining = span{begin, len(b)}
		}
		b = strconv.AppendInt(append(b, ";t="...), seconds(wait(d)), 10)
	}
	return b, remaining
}

// appendName appends a policy's name, which needs no escaping: see validName.
func appendName(b []byte, name string) []byte {
	return append(append(append(b, '"'), name...), '"')
}

// tightest returns the policy that the caller meets first: the one that refused
// it, for longest, else the one with the least remaining, and of such the one that
// takes longest to reset.
func tightest(decisions []Decision) int {
	if i := refusedBy(decisions); i >= 0 {
		return i
	}
	best := 0
	for i := range decisions {
		d, t := &decisions[i], &decisions[best]
		if d.Remaining < t.Remaining || d.Remaining == t.Remaining && d.ResetAfter > t.ResetAfter {
			best = i
		}
	}
	return best
}

// wait is what the fields tell: a refused caller when the same request passes,
// which with a sliding engine is sooner than when everything may be had again.
func wait(d *Decision) time.Duration {
	if !d.Allowed {
		return d.RetryAfter
	}
	return d.ResetAfter
}

// seconds and unix round up, so that whoever waits for them waits long enough.
func seconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	return s
}

func unix(t time.Time) int64 {
	if t.Nanosecond() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}
