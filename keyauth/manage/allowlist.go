package manage

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/strikeplate/strikeplate/storage"
)

const maxAllow = 100 // networks

// ParseAllow reads an allowlist from texts such as "192.0.2.0/24" and
// "2001:db8::1"; an address alone is a network of one. It refuses with 400
// invalid_request, field "allow".
func ParseAllow(texts []string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, text := range texts {
		text = strings.TrimSpace(text)
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a, err := netip.ParseAddr(text)
			if err != nil || a.Zone() != "" {
				return nil, invalid("allow", "%.100q is neither an address nor a network such as 192.0.2.0/24", text)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		list = append(list, p)
	}
	return settleAllow(list)
}

// settleAllow brings an allowlist into the form in which callers' addresses are
// compared with it: networks masked, IPv4 as IPv4, each once. None is nil.
func settleAllow(list []netip.Prefix) ([]netip.Prefix, error) {
	var settled []netip.Prefix
	seen := make(map[netip.Prefix]bool, len(list))
	for _, p := range list {
		if !p.IsValid() {
			return nil, invalid("allow", "an entry is not a network")
		}
		if p.Addr().Is4In6() {
			if p.Bits() < 96 {
				return nil, invalid("allow", "%s mixes IPv4 and IPv6; write the IPv4 network as such", p)
			}
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		p = p.Masked()
		if !seen[p] {
			seen[p] = true
			settled = append(settled, p)
		}
	}
	if len(settled) > maxAllow {
		return nil, invalid("allow", "at most %d networks are allowed", maxAllow)
	}
	return settled, nil
}

// planAllows refuses a new allowlist on a plan without the feature. One stored
// earlier stays in force whatever the plan is now.
func (t Terms) planAllows(account storage.Account) error {
	if t.AllowlistPlans == nil || slices.Contains(t.AllowlistPlans, account.Plan) {
		return nil
	}
	e := refuse(http.StatusForbidden, CodePlan, "Your plan has no IP allowlists. Upgrade to %s, or leave the allowlist empty.",
		strings.Join(t.AllowlistPlans, " or "))
	e.Params = map[string]string{"field": "allow", "plans": strings.Join(t.AllowlistPlans, " ")}
	return e
}
