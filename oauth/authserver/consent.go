package authserver

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
)

// consentPage is what the consent page shows.
type consentPage struct {
	App          storage.App
	AppHost      string // of its home page or document, empty if it has none
	Maker        string // the organisation that registered it, empty if none did
	Own          bool   // it is the person's own organisation
	Unverified   bool   // nobody registered it
	Person       string
	Organisation string
	Groups       []scope.Group
	Withheld     int    // scopes that the person can't give
	Host         string // where the person is sent afterwards
	Local        bool   // that is a program on the person's own machine
	Until        time.Time
	Action       string
	Request      string // the ticket
	Switch       string // where to sign in as somebody else
	Back         string // of a refusal: where the app learns of it
	Wrong        string
}

// ask shows the consent page.
func (s *Server) ask(w http.ResponseWriter, r *http.Request, q *request, v visitor) error {
	page := s.describe(r.Context(), q, v)
	sealed, err := s.seal(ticket{Form: q.form, Pushed: q.pushed, Shown: grantable(q, v)}, toConsent, signIn(v.actor, v.at))
	if err != nil {
		return err
	}
	page.Request, page.Action = sealed, s.path(pathConsent)
	if s.c.SignIn.Page != nil {
		back := s.path(pathAuthorize) + "?" + q.form
		if q.pushed {
			if back, err = s.resumption(ticket{Form: q.form, Pushed: true}); err != nil {
				return err
			}
		}
		page.Switch = s.c.SignIn.Page(back)
	}
	w.Header().Set("Content-Security-Policy", s.pages.policy(q.redirect))
	return s.pages.show(w, http.StatusOK, "consent.html", "Let "+q.app.Name+" in?", page)
}

// showRefusal says why the app can't be let in, and offers the way back to it.
func (s *Server) showRefusal(w http.ResponseWriter, q *request, v visitor, why error) error {
	e := refusalOf(why)
	if e == nil || e.Status >= http.StatusInternalServerError {
		return why
	}
	page := consentPage{App: q.app, Host: hostOf(q.redirect), Wrong: e.Message, Person: nameOf(v)}
	page.Back = s.answerURL(q, errorParams(bad(CodeDenied, "The user can't let the app in.")))
	return s.pages.show(w, e.Status, "refused.html", "You can't let "+q.app.Name+" in", page)
}

func (s *Server) describe(ctx context.Context, q *request, v visitor) consentPage {
	granted := grantable(q, v)
	page := consentPage{
		App: q.app, Own: q.app.Organisation == v.actor.Organisation, Unverified: q.app.Source != storage.AppRegistered,
		Person: nameOf(v), Organisation: s.organisationName(ctx, v.actor.Organisation),
		Groups: s.inWords(granted), Withheld: len(q.scopes) - len(granted),
		Host: hostOf(q.redirect), Local: strings.HasPrefix(q.redirect, "http:"), Until: s.now().Add(s.c.Tokens.Grant),
	}
	switch {
	case q.app.Source == storage.AppDocument:
		page.AppHost = hostOf(q.app.ClientID)
	case q.app.Homepage != "":
		page.AppHost = hostOf(q.app.Homepage)
	}
	if !page.Unverified {
		page.Maker = s.organisationName(ctx, q.app.Organisation)
	}
	return page
}

// inWords is the catalog's account of scopes, wildcards left out.
func (s *Server) inWords(scopes []string) []scope.Group {
	var groups []scope.Group
	for _, g := range s.c.Catalog.Groups() {
		kept := scope.Group{Resource: g.Resource}
		for _, e := range g.Entries {
			if len(common([]string{e.Scope}, scopes)) > 0 {
				kept.Entries = append(kept.Entries, e)
			}
		}
		if len(kept.Entries) > 0 {
			groups = append(groups, kept)
		}
	}
	return groups
}

func nameOf(v visitor) string {
	if v.user.Name != "" {
		return v.user.Name
	}
	return v.actor.User
}

// organisationName is for reading: where it can't be told, the id must do.
func (s *Server) organisationName(ctx context.Context, id string) string {
	if s.c.Product.OrganisationName != nil {
		if name, err := s.c.Product.OrganisationName(ctx, id); err == nil && name != "" {
			return name
		}
	}
	return id
}

// hostOf is a URL's host as it was registered: in ASCII, so that look-alikes show.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Host
}
