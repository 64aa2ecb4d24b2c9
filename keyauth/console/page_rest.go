package console

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/keyauth/usage"
	"github.com/strikeplate/strikeplate/storage"
)

const (
	jsonLines  = "application/x-ndjson"
	attachment = `attachment; filename="audit.jsonl"`
	auditPage  = 50
)

// usageView is what a key was used for, as its page shows it.
type usageView struct {
	Key      row
	Counted  bool
	Spans    []filter
	Whole    []filter // the key alone, or its lineage
	Chart    chart
	Requests string
	Errors   string
	Rate     string
	Latency  string
	Used     string
	UsedAt   time.Time
	Points   []storage.UsagePoint
	Routes   []route
	Sources  []source
	Own      []storage.UsageRefusal // after the secret was proven
	Foreign  []storage.UsageRefusal // with a wrong secret
	Origin   string
	Unusual  []usage.Event
	Missing  map[string]bool
	None     bool // nothing was asked for in the range
}

type route struct {
	Pattern, Requests, Rate string
	Share                   int // percent of the busiest
}

type source struct {
	Address, Requests string
	First, Last       time.Time
}

func (s *Console) showUsage(v *visit) error {
	k, line, err := v.line()
	if err != nil {
		return err
	}
	query := v.r.URL.Query()
	sp, whole := rangeNamed(query.Get("range")), query.Get("of") == "lineage"
	var ids []string
	if whole {
		ids = append(ids, k.ID)
		for _, other := range line {
			ids = append(ids, other.ID)
		}
	}
	u := s.askUsage(v.r.Context(), k.Key, sp, ids)
	view := usageView{
		Key: k, Counted: u.counted, Chart: drawChart(u.points), Points: u.points,
		Requests: grouped(u.total.Requests()), Errors: grouped(u.total.Errors()), Rate: percent(u.total.ErrorRate()),
		Latency: milliseconds(u.total.MeanLatency()), Used: "Never", UsedAt: u.seen.Succeeded,
		Origin: u.seen.Origin, Unusual: u.unusual, Missing: map[string]bool{},
	}
	if !u.seen.Succeeded.IsZero() {
		view.Used = ago(v.now, u.seen.Succeeded)
	}
	for _, what := range u.missing {
		view.Missing[what] = true
	}
	if view.None = u.total.Requests() == 0; view.None { // of nothing there is no rate and no mean
		view.Rate, view.Latency = "–", "–"
	}
	view.links(s, sp, whole, len(line) > 0)
	view.tables(u)
	return v.show("usage.html", "Usage of "+k.Name, "keys", view)
}

// links are the choices of range, and of what is counted.
func (u *usageView) links(s *Console, chosen span, whole, line bool) {
	link := func(sp span, whole bool) string {
		q := url.Values{"range": {sp.Name}}
		if whole {
			q.Set("of", "lineage")
		}
		return s.path(keyPath(u.Key.ID, "/usage")) + "?" + q.Encode()
	}
	for _, sp := range spans {
		u.Spans = append(u.Spans, filter{sp.Title, link(sp, whole), sp.Name == chosen.Name})
	}
	if line {
		u.Whole = []filter{{"This key", link(chosen, false), !whole}, {"With those it was rotated from and to", link(chosen, true), whole}}
	}
}

func (u *usageView) tables(from usageOf) {
	busiest := int64(1)
	for _, e := range from.endpoints {
		busiest = max(busiest, e.Requests())
	}
	for _, e := range from.endpoints {
		u.Routes = append(u.Routes, route{e.Pattern, grouped(e.Requests()), percent(e.ErrorRate()), int(100 * e.Requests() / busiest)})
	}
	for _, a := range from.addresses {
		text := addressText(a.Address)
		if text == "" {
			text = "Others"
		}
		u.Sources = append(u.Sources, source{text, grouped(a.Count), a.First, a.Last})
	}
	for _, r := range from.refusals {
		if r.Proven {
			u.Own = append(u.Own, r)
		} else {
			u.Foreign = append(u.Foreign, r)
		}
	}
}

// auditView is a page of the log.
type auditView struct {
	Entries []line
	Next    string // path of what is older, where there is more
	Older   bool   // this is not the first page
	Export  string
}

// line is an entry of the log.
type line struct {
	manage.Entry
	Who, What, Target, Client string
	TargetPath                string
	Details                   string
}

var actions = map[string]string{ //nolint:gosec // names of actions
	manage.ActionCreate: "Created", manage.ActionRename: "Renamed", manage.ActionUpdate: "Changed",
	manage.ActionRotate: "Rotated", manage.ActionRegenerate: "Regenerated", manage.ActionRevoke: "Revoked",
	manage.ActionReveal: "Copied the secret of", manage.ActionDenied: "Was refused", manage.ActionForget: "Kept secret erased",
	"key.import":   "Imported",
	"app.register": "Registered", "app.update": "Changed", "app.rotate_secret": "Made a new secret of", "app.revoke": "Revoked",
	"app.block": "Blocked", "app.unblock": "Unblocked", "app.denied": "Was refused",
	"grant.begin": "Let in", "app.revoke_grants": "Disconnected", "grant.revoke": "Disconnected",
}

func (s *Console) showAudit(v *visit) error {
	from := v.r.URL.Query().Get("cursor")
	log, err := s.c.Manage.NewestAudit(v.r.Context(), v.actor, from, auditPage)
	if err != nil {
		return err
	}
	n := s.names(v.r.Context(), v.actor)
	view := auditView{Older: from != "", Export: s.path("/audit/export")}
	for _, e := range log.Entries {
		view.Entries = append(view.Entries, s.line(e, n))
	}
	if log.Next != "" {
		view.Next = s.path("/audit") + "?" + url.Values{"cursor": {log.Next}}.Encode()
	}
	return v.show("audit.html", "Audit log", "audit", view)
}

func (s *Console) line(e manage.Entry, n names) line {
	l := line{Entry: e, Who: n.of(e.Actor.User), What: actions[e.Action], Target: e.Target, Client: addressText(e.Actor.Client)}
	if l.What == "" {
		l.What = e.Action
	}
	var key struct {
		Name  string `json:"name"`
		Last4 string `json:"last4"`
	}
	for _, text := range []json.RawMessage{e.After, e.Before} {
		if key.Name == "" && len(text) > 0 {
			_ = json.Unmarshal(text, &key) // what isn't a key has no name
		}
	}
	if key.Name != "" {
		l.Target = key.Name
	}
	if key.Name != "" && key.Last4 != "" {
		l.Target += " ••••" + key.Last4
	}
	switch what, _, _ := strings.Cut(e.Action, "."); {
	case e.Target == "":
	case what == "key":
		l.TargetPath = s.path(keyPath(e.Target, ""))
	case what == "app" && s.c.Apps != nil:
		l.TargetPath = s.path(appPath(e.Target, ""))
	}
	l.Details = details(e)
	return l
}

// details tells what an entry changed, one line for each member.
func details(e manage.Entry) string {
	before, after := members(e.Before), members(e.After)
	var all []string
	for name := range before {
		if _, ok := after[name]; !ok {
			all = append(all, name+": "+before[name]+" → –")
		}
	}
	for name, text := range after {
		switch was, ok := before[name]; {
		case !ok && len(before) > 0:
			all = append(all, name+": – → "+text)
		case !ok:
			all = append(all, name+": "+text)
		case was != text:
			all = append(all, name+": "+was+" → "+text)
		}
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// members takes a JSON object apart.
func members(text json.RawMessage) map[string]string {
	var raw map[string]json.RawMessage
	if len(text) == 0 || json.Unmarshal(text, &raw) != nil {
		return nil
	}
	m := make(map[string]string, len(raw))
	for name, value := range raw {
		var b bytes.Buffer
		if json.Compact(&b, value) == nil {
			m[name] = b.String()
		}
	}
	return m
}

func (s *Console) exportAudit(v *visit) error {
	ctx, from := v.r.Context(), v.r.URL.Query().Get("cursor")
	// Asked first: once the first line is out, nothing can be refused.
	if _, err := s.c.Manage.Audit(ctx, v.actor, from, 1); err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", jsonLines)
	v.w.Header().Set("Content-Disposition", attachment)
	if _, err := s.c.Manage.ExportAudit(ctx, v.actor, v.w, from); err != nil {
		panic(http.ErrAbortHandler) // so that nobody takes half a log for all of it
	}
	return nil
}
