package console

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

// listView is the list of keys.
type listView struct {
	Rows     []row
	Filters  []filter
	Slots    slotsView
	Next     string // path of the next page
	Later    bool   // not the first page
	Empty    string // what an empty list means
	Any      bool   // any filter but the default is set
	Missing  []string
	Advanced bool // there is something to revoke
}

type filter struct {
	Title, Path string
	Current     bool
}

type slotsView struct {
	Used, Max int
	Bounded   bool
	Full      bool
	Percent   int
}

func viewSlots(s manage.Slots) slotsView {
	v := slotsView{Used: s.Used, Max: s.Max, Bounded: s.Max >= 0}
	if v.Bounded {
		v.Full = s.Used >= s.Max
		v.Percent = min(100, 100*s.Used/max(1, s.Max))
	}
	return v
}

// row is a key as pages show it.
type row struct {
	manage.Key
	Masked      string // prefix and last four
	Level       string
	OwnerName   string // whom the key acts as; for the others who made it
	CreatorName string
	Test        bool
	Used        string // last used, in words
	Ends        string
	EndsSoon    bool
	Fresh       bool // active, and nothing is wrong with it
	Changeable  bool
	Active      bool
	CanReveal   bool
	Rotated     bool // an active successor is known
	Chips       []string
	More        int
	Path        string
	Networks    []string
}

const (
	chipsShown = 3
	soon       = 14 * 24 * time.Hour
)

func (v *visit) row(k manage.Key, n names) row {
	r := row{
		Key: k, Level: v.s.levelTitle(k.Access), Masked: v.s.masked(k), CreatorName: n.of(k.Creator), Path: v.s.path(keyPath(k.ID, "")),
		Test: k.Environment == strikeplate.Test, Used: "Never", Ends: "Never", Active: k.Status == storage.Active,
		Networks: prefixTexts(k.Allow),
	}
	r.OwnerName = r.CreatorName // the creating admin, for the record
	if k.Access.ForUser() {
		r.OwnerName = n.of(k.Owner)
	}
	if !k.LastUsed.IsZero() {
		r.Used = ago(v.now, k.LastUsed)
	}
	if !k.Expires.IsZero() {
		r.EndsSoon = r.Active && k.Expires.Sub(v.now) < soon
		r.Ends = ahead(v.now, k.Expires)
	}
	r.Fresh = r.Active && !k.OwnerInactive
	r.Changeable = k.Status != storage.Revoked && !k.Legacy
	r.CanReveal = k.Revealable && r.Active && v.s.c.FreshSignIn != nil
	r.Chips = k.Scopes[:min(len(k.Scopes), chipsShown)]
	r.More = len(k.Scopes) - len(r.Chips)
	return r
}

// masked is how a key begins and ends. Formats without a prefix are recorded as
// "pair", and imported keys may be of a format that is no longer issued.
func (s *Console) masked(k manage.Key) string {
	for _, f := range s.c.Scheme.Formats() {
		switch {
		case f.Prefix == "" && k.Format == "pair":
			return "••••" + k.Last4
		case f.Prefix == k.Format && slices.Contains(f.Environments, k.Environment):
			return f.Prefix + string(k.Environment) + "_••••" + k.Last4
		}
	}
	return k.Format + "••••" + k.Last4
}

// statuses are the filters of the list.
var statuses = []struct {
	title, name string
	status      storage.Status
	empty       string
}{
	{"Current", "", "", "Your organisation has no API keys yet."},
	{"Active", "active", storage.Active, "No key is active."},
	{"Expired", "expired", storage.Expired, "No key has expired."},
	{"Revoked", "revoked", storage.Revoked, "No key was revoked."},
	{"All", "all", manage.AllKeys, "Your organisation has no API keys yet."},
}

func (s *Console) showKeys(v *visit) error {
	query := v.r.URL.Query()
	list := listView{Later: query.Get("cursor") != ""}
	chosen := statuses[0]
	for _, st := range statuses {
		f := filter{Title: st.title, Path: s.path("/")}
		if st.name != "" {
			f.Path += "?status=" + st.name
		}
		if st.name == query.Get("status") {
			chosen, f.Current = st, true
		}
		list.Filters = append(list.Filters, f)
	}
	page, err := s.c.Manage.List(v.r.Context(), v.actor, manage.Filter{Status: chosen.status, Cursor: query.Get("cursor")})
	if err != nil {
		return err
	}
	n := s.names(v.r.Context(), v.actor)
	newer := map[string]bool{} // lineages: pages begin with the newest key
	for _, k := range page.Keys {
		r := v.row(k, n)
		r.Rotated = newer[k.Lineage]
		newer[k.Lineage] = newer[k.Lineage] || r.Active
		list.Rows = append(list.Rows, r)
	}
	list.Slots, list.Empty, list.Any = viewSlots(page.Slots), chosen.empty, chosen.name != ""
	list.Missing, list.Advanced = page.Missing, page.Slots.Used > 0
	if page.Next != "" {
		list.Next = s.path("/") + "?" + url.Values{"status": {chosen.name}, "cursor": {page.Next}}.Encode()
	}
	return v.show("keys.html", "API keys", "keys", list)
}

// keyView is a key and the others of its lineage.
type keyView struct {
	row
	Line     []row // rotated from and to, newest first
	Metadata []pair
	Counted  bool
}

type pair struct{ Name, Value string }

func sorted(m map[string]string) []pair {
	pairs := make([]pair, 0, len(m))
	for name, value := range m {
		pairs = append(pairs, pair{name, value})
	}
	slices.SortFunc(pairs, func(a, b pair) int { return strings.Compare(a.Name, b.Name) })
	return pairs
}

func (v *visit) key() (manage.Key, error) {
	return v.s.c.Manage.Get(v.r.Context(), v.actor, v.r.PathValue("id"))
}

func (s *Console) showKey(v *visit) error {
	k, line, err := v.line()
	if err != nil {
		return err
	}
	view := keyView{row: k, Line: line, Counted: s.c.Usage != nil, Metadata: sorted(k.Metadata)}
	return v.show("key.html", k.Name, "keys", view)
}

// longestLine is how many of an organisation's newest keys are looked at for
// the others of a lineage.
const longestLine = 1000

// line returns the key that the visit is about, and the others of its lineage,
// newest first. Lists know more of a key than a single one's record does: when
// it was last used, and whether its owner is active.
func (v *visit) line() (row, []row, error) {
	k, err := v.key()
	if err != nil {
		return row{}, nil, err
	}
	keys, err := v.s.lineage(v.r.Context(), v.actor, k.Lineage)
	if err != nil {
		return row{}, nil, err
	}
	n := v.s.names(v.r.Context(), v.actor)
	var r row
	var others []row
	newer := false // an active one is newer
	for _, one := range keys {
		of := v.row(one, n)
		of.Rotated, newer = newer, newer || of.Active
		if one.ID == k.ID {
			r = of
		} else {
			others = append(others, of)
		}
	}
	if r.ID == "" { // older than what was looked at
		r = v.row(k, n)
	}
	return r, others, nil
}

// lineage returns the keys of a lineage, newest first.
func (s *Console) lineage(ctx context.Context, a storage.Actor, lineage string) ([]manage.Key, error) {
	page, err := s.c.Manage.List(ctx, a, manage.Filter{Status: manage.AllKeys, Limit: longestLine})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(page.Keys, func(k manage.Key) bool { return k.Lineage != lineage }), nil
}

func (s *Console) postRename(v *visit) error {
	id := v.r.PathValue("id")
	back := "/"
	if v.r.PostFormValue("back") == "key" {
		back = keyPath(id, "")
	}
	_, err := s.c.Manage.Rename(v.r.Context(), v.actor, id, v.r.PostFormValue("name"))
	if err == nil {
		return v.leave(back, "renamed")
	}
	k, found := v.key()
	if found != nil {
		return err
	}
	return v.again(err, "rename.html", "Rename "+k.Name, map[string]any{
		"Key": v.row(k, nil), "Name": v.r.PostFormValue("name"), "Back": v.r.PostFormValue("back"), "Cancel": s.path(back),
	})
}
