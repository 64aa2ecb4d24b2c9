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

// A span is a part of a text.
type span struct{ begin, end int }

// setFields replaces the header fields. All values are parts of one string, and
// their slices of one array.
//
// The X- fields tell the tightest of several policies; the draft's list them all.
func setFields(h http.Header, charges []Charge, decisions []Decision, now time.Time) {
	var room [512]byte
	b, spans := appendFields(room[:0], charges, decisions, now)
	text := string(b)
	values := new([len(fieldNames)]string)
	for i, name := range fieldNames {
		values[i] = text[spans[i].begin:spans[i].end]
		h[name] = values[i : i+1 : i+1]
	}
}

// appendFields writes each number once: what X- fields tell is a part of what the
// draft's say.
func appendFields(b []byte, charges []Charge, decisions []Decision, now time.Time) (_ []byte, at [len(fieldNames)]span) {
	tight := tightest(decisions)
	for i := range charges {
		p := &charges[i].Policy
		b = append(appendItem(b, i, p.Name), ";q="...)
		begin := len(b)
		b = strconv.AppendInt(b, p.Limit, 10)
		if i == tight {
			at[0] = span{begin, len(b)}
		}
		b = strconv.AppendInt(append(b, ";w="...), seconds(p.Period), 10)
	}
	at[3] = span{0, len(b)}
	for i := range decisions {
		d := &decisions[i]
		b = append(appendItem(b, i, charges[i].Policy.Name), ";r="...)
		begin := len(b)
		b = strconv.AppendInt(b, d.Remaining, 10)
		if i == tight {
			at[1] = span{begin, len(b)}
		}
		b = strconv.AppendInt(append(b, ";t="...), seconds(wait(d)), 10)
	}
	at[4] = span{at[3].end, len(b)}
	b = strconv.AppendInt(b, unix(now.Add(wait(&decisions[tight]))), 10)
	at[2] = span{at[4].end, len(b)}
	return b, at
}

// appendItem appends a policy's name, which needs no escaping: see validName.
func appendItem(b []byte, i int, name string) []byte {
	if i > 0 {
		b = append(b, ", "...)
	}
	b = append(b, '"')
	b = append(b, name...)
	return append(b, '"')
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
