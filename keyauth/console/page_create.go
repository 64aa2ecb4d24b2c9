package console

import (
	"context"
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
)

// createForm is the form for a new key: what can be chosen, and what is.
type createForm struct {
	Once     string // by which a form that is sent twice is recognised
	Name     string
	Kinds    []kind
	Levels   []levelChoice
	Owner    string
	Owners   []storage.User
	Groups   []scope.Group
	Checked  map[string]bool
	Ends     []lifetime
	Date     string // of the expiry, where it was chosen
	Earliest string
	Latest   string // empty: no bound
	Allow    string
	Address  string // where the form came from
	Slots    slotsView
}

// kind is a format and an environment.
type kind struct {
	Value, Title, Example, Meaning string
	Chosen                         bool
}

type levelChoice struct {
	level
	Chosen  bool
	ForUser bool
}

// lifetime is a choice of how long a key lives.
type lifetime struct {
	Value, Title string
	Recommended  bool
	Chosen       bool
}

const (
	dayForm     = "2006-01-02"
	recommended = 90 // days
	oneDay      = 24 * time.Hour
)

func (s *Console) showCreate(v *visit) error {
	form, err := v.createForm()
	if err != nil {
		return err
	}
	return v.show("create.html", "Create an API key", "keys", form)
}

// createForm makes the form of what was sent with the request; of a request that
// sent nothing, with the safest choices made, and no scope among them.
func (v *visit) createForm() (createForm, error) {
	page, err := v.s.c.Manage.List(v.r.Context(), v.actor, manage.Filter{Limit: 1})
	if err != nil {
		return createForm{}, err
	}
	members, _ := v.s.members(v.r.Context(), v.actor) // without them an id is typed
	sent := v.r.PostForm
	f := createForm{
		Once: sent.Get("once"), Name: sent.Get("name"), Owner: sent.Get("owner"), Allow: sent.Get("allow"), Date: sent.Get("date"),
		Kinds: v.s.kinds(sent.Get("kind")), Groups: v.s.c.Catalog.Groups(), Checked: map[string]bool{},
		Earliest: v.now.AddDate(0, 0, 1).Format(dayForm), Address: addressText(v.actor.Client), Slots: viewSlots(page.Slots),
	}
	f.Once = nonce(f.Once)
	for _, m := range members {
		if m.Active && len(members) < mostMembers {
			f.Owners = append(f.Owners, m)
		}
	}
	for _, l := range v.s.levels() {
		f.Levels = append(f.Levels, levelChoice{l, string(l.Access) == sent.Get("access"), l.Access.ForUser()})
	}
	for _, text := range sent["scope"] {
		f.Checked[text] = true
	}
	if limit := v.s.c.Terms.MaxLifetime; limit > 0 {
		f.Latest = v.now.Add(limit).Format(dayForm)
	}
	f.Ends = v.s.lifetimes(sent.Get("ends"))
	return f, nil
}

// nonce is the one that a form had, or a new one.
func nonce(sent string) string {
	if sent == "" || len(sent) > 100 {
		return rand.Text()
	}
	return sent
}

// kinds are the formats and environments to choose from. Test is chosen where
// there is one: what is tried out must not touch production.
func (s *Console) kinds(chosen string) []kind {
	var all []kind
	for _, f := range s.c.Scheme.Formats() {
		if len(f.Environments) == 0 {
			all = append(all, kind{Value: f.Prefix + "|", Title: "Live", Example: f.Prefix + "…", Meaning: "Production data."})
		}
		for _, e := range f.Environments {
			k := kind{Value: f.Prefix + "|" + string(e), Title: capital(string(e)), Example: f.Prefix + string(e) + "_…"}
			switch e {
			case strikeplate.Live:
				k.Meaning = "Live data, for production integrations."
			case strikeplate.Test:
				k.Meaning = "Test data, safe for development."
			}
			all = append(all, k)
		}
	}
	at := slices.IndexFunc(all, func(k kind) bool { return k.Value == chosen })
	if at < 0 {
		at = max(0, slices.IndexFunc(all, func(k kind) bool { return strings.HasSuffix(k.Value, "|"+string(strikeplate.Test)) }))
	}
	all[at].Chosen = true
	return all
}

func capital(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// lifetimes are those that the terms allow. 90 days are recommended, or the
// longest that there is.
func (s *Console) lifetimes(chosen string) []lifetime {
	longest := s.c.Terms.MaxLifetime
	var all []lifetime
	for _, l := range []struct {
		days         int
		value, title string
	}{{30, "30d", "30 days"}, {recommended, "90d", "90 days"}, {180, "180d", "180 days"}, {365, "365d", "1 year"}} {
		if d := time.Duration(l.days) * oneDay; longest == 0 || d <= longest {
			all = append(all, lifetime{Value: l.value, Title: l.title, Recommended: l.days == recommended})
		}
	}
	if longest > 0 && longest < recommended*oneDay {
		all = append(all, lifetime{Value: "longest", Title: inWords(longest), Recommended: true})
	}
	all = append(all, lifetime{Value: "date", Title: "On a date"})
	if longest == 0 {
		all = append(all, lifetime{Value: "never", Title: "Never"})
	}
	at := slices.IndexFunc(all, func(l lifetime) bool { return l.Value == chosen })
	if at < 0 {
		at = slices.IndexFunc(all, func(l lifetime) bool { return l.Recommended })
	}
	all[at].Chosen = true
	return all
}

// ending reads a choice of lifetime.
func (v *visit) ending(choice, date string) (expires time.Time, never bool, err error) {
	switch choice {
	case "never":
		return time.Time{}, true, nil
	case "date":
		day, err := time.ParseInLocation(dayForm, date, v.s.c.Product.Location)
		if err != nil {
			return time.Time{}, false, invalid("expires", "choose a date")
		}
		return day, false, nil
	case "longest":
		return v.now.Add(v.s.c.Terms.MaxLifetime), false, nil
	}
	days := map[string]int{"30d": 30, "90d": 90, "180d": 180, "365d": 365}[choice]
	if days == 0 {
		return time.Time{}, false, invalid("expires", "choose when the key ends")
	}
	return v.now.Add(time.Duration(days) * oneDay), false, nil
}

// creation reads the form.
func (v *visit) creation() (manage.Creation, error) {
	sent := v.r.PostForm
	allow, err := manage.ParseAllow(strings.Fields(strings.ReplaceAll(sent.Get("allow"), ",", " ")))
	if err != nil {
		return manage.Creation{}, err
	}
	prefix, env, _ := strings.Cut(sent.Get("kind"), "|")
	c := manage.Creation{
		Name: sent.Get("name"), Prefix: prefix, Environment: environment(env), Access: access(sent.Get("access")),
		Scopes: sent["scope"], Allow: emptyIsNil(allow),
	}
	if c.Access.ForUser() { // the field is there for all levels where no script hides it
		c.Owner = strings.TrimSpace(sent.Get("owner"))
	}
	c.Expires, c.NoExpiry, err = v.ending(sent.Get("ends"), sent.Get("date"))
	return c, err
}

func (s *Console) postCreate(v *visit) error {
	if preset := v.r.PostFormValue("preset"); preset != "" {
		return v.preset(preset)
	}
	c, err := v.creation()
	if err != nil {
		return v.createAgain(err)
	}
	sent := v.r.PostForm
	once := nonce(sent.Get("once"))
	sent.Del("once")
	var created manage.Created
	target, done, err := s.once(v.r.Context(), request{actor: v.actor, route: "create page", key: once, body: sent},
		func(ctx context.Context) (string, error) {
			var err error
			created, err = s.c.Manage.Create(ctx, v.actor, c)
			return created.Key.ID, err
		})
	sent.Set("once", once)
	switch {
	case err != nil:
		return v.createAgain(err)
	case !done:
		return v.shownBefore(target)
	}
	return v.showSecret("Your new API key", created, nil)
}

// preset fills in scopes. It is a button of the form, so that it works without a
// script; nothing is created.
func (v *visit) preset(name string) error {
	v.presetScopes(name)
	form, err := v.createForm()
	if err != nil {
		return err
	}
	return v.show("create.html", "Create an API key", "keys", form)
}

// presetScopes puts those of a preset in place of the scopes that were sent.
func (v *visit) presetScopes(name string) {
	if name == "" {
		return
	}
	v.r.PostForm.Del("scope")
	for _, e := range v.s.c.Catalog.Entries() {
		if name == "all" || name == "read" && readOnly(e.Scope) {
			v.r.PostForm.Add("scope", e.Scope)
		}
	}
}

// readOnly says that a scope's action is to read.
func readOnly(text string) bool { return strings.HasSuffix(text, ":read") }

func (v *visit) createAgain(err error) error {
	form, other := v.createForm()
	if other != nil {
		return err
	}
	return v.again(err, "create.html", "Create an API key", form)
}

// secretView is a new secret, on the one page that has it.
type secretView struct {
	Key         row
	Secret      string
	Variable    string
	TryURL      string
	Predecessor *row
	Kept        bool // it can be copied again later
}

func (v *visit) showSecret(title string, c manage.Created, predecessor *manage.Key) error {
	n := v.s.names(v.r.Context(), v.actor)
	view := secretView{
		Key: v.row(c.Key, n), Secret: c.Secret.Reveal(),
		Variable: v.s.c.Product.EnvironmentVariable, TryURL: v.s.c.Product.TryURL,
	}
	view.Kept = view.Key.CanReveal
	if predecessor != nil {
		old := v.row(*predecessor, n)
		view.Predecessor = &old
	}
	l := v.s.layout(title, "keys", view)
	return v.render(http.StatusOK, "secret.html", l)
}

// shownBefore answers a form that was sent again.
func (v *visit) shownBefore(id string) error {
	k, err := v.s.c.Manage.Get(v.r.Context(), v.actor, id)
	if err != nil {
		return err
	}
	return v.show("shown.html", "This key was shown already", "keys", v.row(k, v.s.names(v.r.Context(), v.actor)))
}
