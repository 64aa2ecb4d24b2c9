package ratelimit

import (
	"encoding/binary"
	"net/http"
	"net/netip"

	"github.com/strikeplate/strikeplate"
)

// A By says what a limit counts: it returns the [Charge.Key] of a request, or ""
// where the limit doesn't apply to it. The Principal is nil before authentication and
// for anonymous callers. Functions of your own should build their keys with
// [Key], so that they can't be mistaken for another kind's.
type By func(r *http.Request, p *strikeplate.Principal) string

// Key makes a [Charge.Key] of the kind of thing that is counted and what tells
// one such thing from another. Every part is preceded by its length, so no two
// lists of parts make the same key. It is not readable text, but no secret
// either: see [Charge.Digest].
func Key(kind string, parts ...string) string {
	var room [128]byte
	b := appendPart(room[:0], kind)
	for _, part := range parts {
		b = appendPart(b, part)
	}
	return string(b)
}

func appendPart(b []byte, part string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(part))), part...)
}

// ByOrganisation counts all of an organisation's keys and tokens together, live
// and test apart. It is what plans count by.
func ByOrganisation(_ *http.Request, p *strikeplate.Principal) string {
	if p == nil {
		return ""
	}
	return Key("organisation", p.Organisation, string(p.Environment))
}

// ByLineage counts each key together with those it was rotated from, and each
// OAuth grant.
func ByLineage(_ *http.Request, p *strikeplate.Principal) string {
	if p == nil {
		return ""
	}
	if p.Lineage == "" {
		return Key("credential", p.Organisation, p.Credential)
	}
	return Key("lineage", p.Organisation, p.Lineage)
}

// ByUser counts the user that a credential acts as, over all of the user's
// credentials, live and test apart. It doesn't apply to credentials of a whole organisation:
// limit those by another policy.
func ByUser(_ *http.Request, p *strikeplate.Principal) string {
	if p == nil || p.Subject == "" {
		return ""
	}
	return Key("user", p.Organisation, p.Subject, string(p.Environment))
}

// ByClient counts an OAuth client over all organisations that use it. It doesn't
// apply to API keys.
func ByClient(_ *http.Request, p *strikeplate.Principal) string {
	if p == nil || p.ClientID == "" {
		return ""
	}
	return Key("client", p.ClientID)
}

// ByAddress counts the caller's address as [strikeplate.Exchange] tells it: the
// socket's, or what a trusted proxy says. An IPv6 caller commands a /64, which is
// counted as one. Callers without an address, as on a Unix socket, are counted
// together.
func ByAddress(r *http.Request, _ *strikeplate.Principal) string {
	a := client(r)
	if a.Is6() {
		return prefixKey("address6", a, 64/8)
	}
	return prefixKey("address", a, 32/8)
}

// ByNetwork counts the /48 that an IPv6 caller's address is in, which is what one
// customer of a provider is given at most. It is for a second, wider policy beside
// one by address: whoever has a /48 has 65,536 of the /64. It doesn't apply to IPv4.
func ByNetwork(r *http.Request, _ *strikeplate.Principal) string {
	a := client(r)
	if !a.Is6() {
		return ""
	}
	return prefixKey("network6", a, 48/8)
}

func client(r *http.Request) netip.Addr {
	if x := strikeplate.ExchangeFrom(r.Context()); x != nil {
		return x.Client().Unmap()
	}
	return netip.Addr{}
}

func prefixKey(kind string, a netip.Addr, n int) string {
	var room [48]byte
	b := appendPart(room[:0], kind)
	return string(append(b, a.AsSlice()[:min(n, a.BitLen()/8)]...))
}
