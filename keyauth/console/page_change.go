package console

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/manage"
)

// editForm changes what may be changed of a key.
type editForm struct {
	Key      row
	Version  int64
	Allow    string
	Metadata string
	Keep     bool // the end stays
	Never    bool // can be chosen
	Choice   string
	Date     string
	Earliest string
	Latest   string
	Address  string
}

func (v *visit) editForm(k manage.Key) editForm {
	f := editForm{
		Key: v.row(k, nil), Version: k.Version, Allow: strings.Join(prefixTexts(k.Allow), "\n"), Choice: "keep",
		Never: v.s.c.Terms.MaxLifetime == 0, Earliest: v.now.AddDate(0, 0, 1).Format(dayForm), Address: addressText(v.actor.Client),
	}
	if limit := v.s.c.Terms.MaxLifetime; limit > 0 {
		f.Latest = k.Created.Add(limit).Format(dayForm)
	}
	for _, p := range sorted(k.Metadata) {
		f.Metadata += p.Name + "=" + p.Value + "\n"
	}
	return f
}

func (s *Console) showEdit(v *visit) error {
	k, err := v.key()
	if err != nil {
		return err
	}
	return v.show("edit.html", "Edit "+k.Name, "keys", v.editForm(k))
}

func (s *Console) postEdit(v *visit) error {
	id, sent := v.r.PathValue("id"), v.r.PostForm
	u, err := v.update()
	if err == nil {
		_, err = s.c.Manage.Update(v.r.Context(), v.actor, id, u)
	}
	if err == nil {
		return v.leave(keyPath(id, ""), "changed")
	}
	k, other := v.key()
	if other != nil {
		return err
	}
	f := v.editForm(k)
	f.Allow, f.Metadata, f.Choice, f.Date = sent.Get("allow"), sent.Get("metadata"), sent.Get("ends"), sent.Get("date")
	if version, other := strconv.ParseInt(sent.Get("version"), 10, 64); other == nil && !conflicts(err) {
		f.Version = version
	}
	return v.again(err, "edit.html", "Edit "+k.Name, f)
}

// conflicts says that somebody else changed the key. The form then has what was
// typed, with the new version: sending it again is meant.
func conflicts(err error) bool {
	var e *strikeplate.Error
	return errors.As(err, &e) && e.Code == manage.CodeConflict
}

// update reads the form.
func (v *visit) update() (manage.Update, error) {
	sent := v.r.PostForm
	version, err := strconv.ParseInt(sent.Get("version"), 10, 64)
	if err != nil {
		return manage.Update{}, invalid("version", "open the form again")
	}
	allow, err := manage.ParseAllow(strings.Fields(strings.ReplaceAll(sent.Get("allow"), ",", " ")))
	if err != nil {
		return manage.Update{}, err
	}
	if allow == nil {
		allow = []netip.Prefix{}
	}
	metadata, err := readMetadata(sent.Get("metadata"))
	if err != nil {
		return manage.Update{}, err
	}
	u := manage.Update{Version: version, Allow: &allow, Metadata: &metadata}
	switch sent.Get("ends") {
	case "never":
		u.Expires = new(time.Time)
	case "date":
		expires, _, err := v.ending("date", sent.Get("date"))
		if err != nil {
			return u, err
		}
		u.Expires = &expires
	}
	return u, nil
}

// readMetadata reads lines of the form name=value.
func readMetadata(text string) (map[string]string, error) {
	m := map[string]string{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if _, twice := m[name]; !found || twice {
			return nil, invalid("metadata", "write each entry once, on a line of its own, as name=value")
		}
		m[name] = strings.TrimSpace(value)
	}
	return m, nil
}

// rotateForm asks how long the old key goes on working.
type rotateForm struct {
	Key      row
	Line     []row
	Once     string
	Overlaps []lifetime
	Slots    slotsView
}

func (v *visit) rotateForm() (rotateForm, error) {
	k, line, err := v.line()
	if err != nil {
		return rotateForm{}, err
	}
	page, err := v.s.c.Manage.List(v.r.Context(), v.actor, manage.Filter{Limit: 1})
	if err != nil {
		return rotateForm{}, err
	}
	f := rotateForm{Key: k, Once: nonce(v.r.PostForm.Get("once")), Slots: viewSlots(page.Slots), Overlaps: v.s.overlaps(v.r.PostForm.Get("overlap"))}
	for _, other := range line {
		if other.Active {
			f.Line = append(f.Line, other)
		}
	}
	return f, nil
}

// overlaps are those that the terms allow; a day is recommended.
func (s *Console) overlaps(chosen string) []lifetime {
	var all []lifetime
	longest := s.c.Terms.MaxOverlap
	for _, d := range []time.Duration{time.Hour, oneDay, 3 * oneDay, 7 * oneDay} {
		if d < longest {
			all = append(all, lifetime{Value: d.String(), Title: inWords(d), Recommended: d == oneDay})
		}
	}
	all = append(all, lifetime{Value: longest.String(), Title: inWords(longest), Recommended: longest <= oneDay})
	all = append(all, lifetime{Value: "0s", Title: "End it at once"})
	for i := range all {
		if all[i].Chosen = all[i].Value == chosen; all[i].Chosen {
			return all
		}
	}
	for i := range all {
		all[i].Chosen = all[i].Recommended
	}
	return all
}

func (s *Console) showRotate(v *visit) error {
	f, err := v.rotateForm()
	if err != nil {
		return err
	}
	return v.show("rotate.html", "Rotate "+f.Key.Name, "keys", f)
}

func (s *Console) postRotate(v *visit) error {
	id := v.r.PathValue("id")
	overlap, err := time.ParseDuration(v.r.PostFormValue("overlap"))
	if err != nil {
		return v.rotateAgain(invalid("overlap", "choose how long the old key goes on working"))
	}
	var rotated manage.Rotated
	q := request{actor: v.actor, route: "rotate page " + id, key: nonce(v.r.PostFormValue("once")), body: overlap}
	target, done, err := s.once(v.r.Context(), q, func(ctx context.Context) (string, error) {
		var err error
		rotated, err = s.c.Manage.Rotate(ctx, v.actor, id, overlap)
		return rotated.Key.ID, err
	})
	switch {
	case err != nil:
		return v.rotateAgain(err)
	case !done:
		return v.shownBefore(target)
	}
	return v.showSecret("The key's successor", rotated.Created, &rotated.Predecessor)
}

func (v *visit) rotateAgain(err error) error {
	f, other := v.rotateForm()
	if other != nil {
		return err
	}
	return v.again(err, "rotate.html", "Rotate "+f.Key.Name, f)
}

func (s *Console) showRegenerate(v *visit) error {
	k, _, err := v.line()
	if err != nil {
		return err
	}
	return v.show("regenerate.html", "Regenerate "+k.Name, "keys", k)
}

// postRegenerate replaces the secret that the form was about, and no later one:
// a form that is sent again would put an end to what was just shown.
func (s *Console) postRegenerate(v *visit) error {
	k, err := v.key()
	if err != nil {
		return err
	}
	if v.r.PostFormValue("secret_version") != strconv.FormatInt(k.SecretVersion, 10) {
		return v.shownBefore(k.ID)
	}
	created, err := s.c.Manage.Regenerate(v.r.Context(), v.actor, k.ID)
	if err != nil {
		return v.again(err, "regenerate.html", "Regenerate "+k.Name, v.row(k, nil))
	}
	return v.showSecret("The key's new secret", created, nil)
}

func (s *Console) postReveal(v *visit) error {
	signedIn, err := s.freshSignIn(v.r)
	if err != nil {
		return err
	}
	id := v.r.PathValue("id")
	secret, err := s.c.Manage.Reveal(v.r.Context(), v.actor, id, signedIn)
	if err != nil {
		return err
	}
	k, err := v.key()
	if err != nil {
		return err
	}
	return v.showSecret("Copy the key", manage.Created{Key: k, Secret: secret}, nil)
}
