package strikeplate_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/strikeplatetest"
)

// notMine answers that the request carries nothing of its kind.
func notMine(code, message string, challenge ...string) strikeplate.Authenticator {
	return refusing(&strikeplate.Error{Status: 401, Code: code, Message: message, Challenge: challenge, Err: strikeplate.ErrNotMine})
}

func TestRequire(t *testing.T) {
	const missing, invalid = strikeplate.CodeMissing, strikeplate.CodeInvalid
	eve := &strikeplate.Principal{Subject: "eve"}
	bare := refusing(strikeplate.ErrNotMine)
	knows := authenticator(func(*http.Request) (*strikeplate.Principal, error) { return eve, nil })
	unreached := authenticator(func(*http.Request) (*strikeplate.Principal, error) {
		t.Error("an authenticator was asked after another had decided")
		return ada, nil
	})
	all := func(a ...strikeplate.Authenticator) []strikeplate.Authenticator { return a }
	for _, c := range []struct {
		name           string
		authenticators []strikeplate.Authenticator
		authorization  []string
		want           *strikeplate.Principal
		status         int
		code           string
		challenge      []string
	}{
		{"a good key", all(keys, unreached), []string{"Bearer good"}, ada, 200, "", nil},
		{"a bad key", all(keys), []string{"Bearer bad"}, nil, 401, invalid, []string{`Bearer error="invalid_token"`}},
		{"no key", all(keys), nil, nil, 401, missing, []string{"Bearer"}},
		{"another scheme", all(keys), []string{"Basic Z29vZA=="}, nil, 401, invalid, []string{`Bearer error="invalid_token"`}},

		{"the second knows", all(bare, knows), nil, eve, 200, "", nil},
		{"the third knows", all(bare, notMine(missing, "m"), knows), nil, eve, 200, "", nil},
		{"the first that recognises the shape decides in failing", all(bare, keys, unreached), []string{"Bearer bad"}, nil, 401, invalid, []string{`Bearer error="invalid_token"`}},
		{"a check that could not be made decides", all(refusing(errors.New("store down")), unreached), nil, nil, 503, strikeplate.CodeUnavailable, nil},
		{"a 429 decides", all(refusing(&strikeplate.Error{Status: 429, Code: "c"}), unreached), nil, nil, 429, "c", nil},

		{"nobody says anything", all(bare), nil, nil, 401, missing, []string{"Bearer"}},
		{"nobody says anything of a credential", all(bare), []string{"Digest x"}, nil, 401, invalid, []string{"Bearer"}},
		{"nobody says anything of an empty field", all(bare), []string{""}, nil, 401, invalid, []string{"Bearer"}},
		{"wrapped without an Error", all(refusing(fmt.Errorf("x: %w", strikeplate.ErrNotMine))), nil, nil, 401, missing, []string{"Bearer"}},
		{"the first account, every challenge", all(notMine(missing, "first", "A"), notMine(missing, "second", "B", "A")), nil, nil, 401, missing, []string{"A", "B"}},
		{"the first account, one says nothing", all(bare, notMine(missing, "first", "A")), nil, nil, 401, missing, []string{"A"}},
		{"unreadable for one, missing for another", all(notMine(missing, "first", "A"), notMine(invalid, "second", "B")), nil, nil, 401, invalid, []string{"A", "B"}},
		{"missing for one that looks elsewhere, unknown to one that says nothing",
			all(bare, notMine(missing, "no cookie", "Cookie")), []string{"Bearer typo"}, nil, 401, invalid, []string{"Cookie"}},

		{"neither a Principal nor an error", all(refusing(nil), unreached), nil, nil, 503, strikeplate.CodeUnavailable, nil},
		{"a Principal with an error", all(authenticator(func(*http.Request) (*strikeplate.Principal, error) {
			return ada, &strikeplate.Error{Status: 401, Code: invalid}
		})), nil, nil, 401, invalid, []string{"Bearer"}},
		{"a Principal with a nil *Error", all(authenticator(func(*http.Request) (*strikeplate.Principal, error) {
			return ada, (*strikeplate.Error)(nil)
		})), nil, nil, 503, strikeplate.CodeUnavailable, nil},
		{"nobody's account has a status", all(refusing(&strikeplate.Error{Code: missing, Err: strikeplate.ErrNotMine})), nil, nil, 503, strikeplate.CodeUnavailable, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := newRecorder()
			var got *strikeplate.Principal
			h := seen.edge().Handler(strikeplate.Require(c.authenticators[0], c.authenticators[1:]...)(http.HandlerFunc(
				func(_ http.ResponseWriter, r *http.Request) { got, _ = strikeplate.FromContext(r.Context()) })))
			w := serve(h, get(c.authorization...))
			if w.Code != c.status || got != c.want || seen.only(t).principal != c.want {
				t.Errorf("%d with Principal %v, want %d with %v", w.Code, got, c.status, c.want)
			}
			if c.status == 200 {
				return
			}
			if p := problemOf(t, w.Body.Bytes()); p.Code != c.code {
				t.Errorf("code %q, want %q", p.Code, c.code)
			}
			if challenge := w.Header().Values("Www-Authenticate"); !slices.Equal(challenge, c.challenge) {
				t.Errorf("challenges %q, want %q", challenge, c.challenge)
			}
		})
	}
}

func TestRequireTellsTheFirstAccount(t *testing.T) {
	h := strikeplate.Require(notMine(strikeplate.CodeMissing, "first"), notMine(strikeplate.CodeMissing, "second"))(never(t))
	if got := problemOf(t, serve(h, get()).Body.Bytes()); got.Detail != "first" {
		t.Errorf("told %q, want the first one's account", got.Detail)
	}
}

// An account is shared between requests; putting challenges together must not
// write it.
func TestRequireDoesNotWriteSharedErrors(t *testing.T) {
	shared := &strikeplate.Error{Status: 401, Code: strikeplate.CodeMissing, Challenge: make([]string, 1, 8), Err: strikeplate.ErrNotMine}
	shared.Challenge[0] = "A"
	serve(strikeplate.Require(refusing(shared), notMine(strikeplate.CodeMissing, "", "B"))(ok), get())
	if full := shared.Challenge[:8]; full[1] != "" || len(shared.Challenge) != 1 {
		t.Errorf("the shared challenges became %q", full)
	}
}

func TestOptional(t *testing.T) {
	cookie := notMine(strikeplate.CodeMissing, "no cookie")
	for _, c := range []struct {
		name          string
		first         strikeplate.Authenticator
		more          []strikeplate.Authenticator
		authorization []string
		status        int
		want          *strikeplate.Principal
	}{
		{"nothing", keys, nil, nil, 200, nil},
		{"nothing, and nobody says anything", refusing(strikeplate.ErrNotMine), nil, nil, 200, nil},
		{"nothing, for several", keys, []strikeplate.Authenticator{cookie}, nil, 200, nil},
		{"a good key", keys, nil, []string{"Bearer good"}, 200, ada},
		{"a typo", keys, nil, []string{"Bearer god"}, 401, nil},
		{"an unreadable one", keys, nil, []string{"good"}, 401, nil},
		{"an empty one", keys, nil, []string{""}, 401, nil},
		{"an unreadable one, missing for another", cookie, []strikeplate.Authenticator{keys}, []string{"good"}, 401, nil},
		{"one that nobody knows", refusing(strikeplate.ErrNotMine), nil, []string{"Bearer x"}, 401, nil},
		{"one that somebody doesn't know and another doesn't look at", cookie,
			[]strikeplate.Authenticator{refusing(strikeplate.ErrNotMine)}, []string{"Bearer x"}, 401, nil},
		{"one that the only authenticator doesn't look at", cookie, nil, []string{"Basic x"}, 200, nil},
		{"a check that could not be made", refusing(errors.New("store down")), nil, nil, 503, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			reached := false
			h := newRecorder().edge().Handler(strikeplate.Optional(c.first, c.more...)(http.HandlerFunc(
				func(_ http.ResponseWriter, r *http.Request) {
					reached = true
					if p, found := strikeplate.FromContext(r.Context()); p != c.want || found != (c.want != nil) {
						t.Errorf("Principal %v, %v, want %v", p, found, c.want)
					}
				})))
			if w := serve(h, get(c.authorization...)); w.Code != c.status || reached != (c.status == 200) {
				t.Errorf("status %d, reached %v, want %d", w.Code, reached, c.status)
			}
		})
	}
}

func TestPreflight(t *testing.T) {
	options := func(fields ...string) *http.Request {
		r := httptest.NewRequest(http.MethodOptions, "/", nil)
		for i := 0; i < len(fields); i += 2 {
			r.Header.Set(fields[i], fields[i+1])
		}
		return r
	}
	const origin, method = "Origin", "Access-Control-Request-Method"
	unasked := authenticator(func(*http.Request) (*strikeplate.Principal, error) {
		t.Error("a preflight was authenticated")
		return ada, nil
	})
	for name, gate := range map[string]func(http.Handler) http.Handler{
		"Require": strikeplate.Require(unasked), "Optional": strikeplate.Optional(unasked)} {
		t.Run(name, func(t *testing.T) {
			seen := newRecorder()
			w := serve(seen.edge().Handler(gate(never(t))), options(origin, "https://a.example", method, "GET"))
			if w.Code != 204 || w.Body.Len() > 0 || w.Header().Get("X-Request-Id") == "" || len(w.Header()) != 1 {
				t.Errorf("%d %v, want 204 and no permission", w.Code, w.Header())
			}
			if got := seen.only(t); got.status != 204 || got.refusal != nil || got.principal != nil {
				t.Errorf("Done saw %+v", got)
			}
		})
	}
	for name, r := range map[string]*http.Request{
		"plain OPTIONS":               options(),
		"OPTIONS with Origin only":    options(origin, "https://a.example"),
		"OPTIONS without Origin":      options(method, "GET"),
		"GET with a preflight's head": func() *http.Request { r := options(origin, "x", method, "GET"); r.Method = "GET"; return r }(),
	} {
		if w := serve(strikeplate.Require(keys)(never(t)), r); w.Code != 401 {
			t.Errorf("%s: status %d, want 401", name, w.Code)
		}
	}
}

func TestRequireNested(t *testing.T) {
	eve := &strikeplate.Principal{Subject: "eve"}
	second := authenticator(func(r *http.Request) (*strikeplate.Principal, error) {
		if p, _ := strikeplate.FromContext(r.Context()); p != ada {
			t.Errorf("the inner authenticator sees %v, want ada", p)
		}
		if r.Header.Get("X-Second") == "" {
			return nil, strikeplate.ErrNotMine
		}
		return eve, nil
	})
	seen := newRecorder()
	var got *strikeplate.Principal
	h := seen.edge().Handler(strikeplate.Require(keys)(strikeplate.Require(second)(http.HandlerFunc(
		func(_ http.ResponseWriter, r *http.Request) { got, _ = strikeplate.FromContext(r.Context()) }))))
	r := get("Bearer good")
	r.Header.Set("X-Second", "1")
	if w := serve(h, r); w.Code != 200 || got != eve || seen.only(t).principal != eve {
		t.Errorf("%d as %v, want the inner one's Principal", w.Code, got)
	}
	if w := serve(h, get("Bearer good")); w.Code != 401 {
		t.Errorf("status %d, want the inner one's 401", w.Code)
	}
	if done := seen.only(t); done.principal != ada {
		t.Errorf("Done saw %v, want who passed the outer one", done.principal)
	}
}

// A Principal that another middleware put into the context, such as a session's,
// doesn't stand over the one that Require let in.
func TestRequireDecidesWhoItIs(t *testing.T) {
	session := &strikeplate.Principal{Subject: "session"}
	withSession := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(strikeplate.NewContext(r.Context(), session)))
		})
	}
	var got *strikeplate.Principal
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got, _ = strikeplate.FromContext(r.Context()) })
	for name, h := range map[string]http.Handler{
		"between Edge and Require": strikeplate.Edge{}.Handler(withSession(strikeplate.Require(keys)(handler))),
		"outside the Edge":         withSession(strikeplate.Edge{}.Handler(strikeplate.Require(keys)(handler))),
		"without an Edge":          withSession(strikeplate.Require(keys)(handler)),
	} {
		t.Run(name, func(t *testing.T) {
			serve(h, get("Bearer good"))
			if got != ada {
				t.Errorf("the handler acts for %v, want ada", got)
			}
		})
	}
	t.Run("inside Require, it is the caller's wish", func(t *testing.T) {
		serve(strikeplate.Require(keys)(withSession(handler)), get("Bearer good"))
		if got != session {
			t.Errorf("the handler acts for %v, want the innermost", got)
		}
	})
}

type pointer struct{ keys strikeplatetest.Keys }

func (p *pointer) Authenticate(r *http.Request) (*strikeplate.Principal, error) {
	return p.keys.Authenticate(r)
}

func TestNilAuthenticatorsPanicEarly(t *testing.T) {
	for name, a := range map[string]strikeplate.Authenticator{
		"nil": nil, "nil pointer": (*pointer)(nil), "nil function": authenticator(nil),
	} {
		for _, gate := range []func(strikeplate.Authenticator, ...strikeplate.Authenticator) func(http.Handler) http.Handler{
			strikeplate.Require, strikeplate.Optional} {
			for position, build := range map[string]func(){
				"first": func() { gate(a) }, "later": func() { gate(keys, a) }} {
				t.Run(name+" "+position, func(t *testing.T) {
					defer func() {
						if recover() == nil {
							t.Error("no panic")
						}
					}()
					build()
				})
			}
		}
	}
}

func TestContext(t *testing.T) {
	ctx := t.Context()
	if p, found := strikeplate.FromContext(ctx); p != nil || found {
		t.Errorf("Principal %v, %v of nothing", p, found)
	}
	with := strikeplate.NewContext(ctx, ada)
	if p, found := strikeplate.FromContext(with); p != ada || !found {
		t.Errorf("Principal %v, %v, want ada", p, found)
	}
	for name, child := range map[string]context.Context{
		"detached": context.WithoutCancel(with), "derived": context.WithValue(with, ada, 1)} {
		if p, _ := strikeplate.FromContext(child); p != ada {
			t.Errorf("%s: Principal %v, want ada", name, p)
		}
	}
	if p, found := strikeplate.FromContext(strikeplate.NewContext(with, nil)); p != nil || found {
		t.Errorf("Principal %v, %v, want nobody: nil hides ada", p, found)
	}
}

func TestAccessForUser(t *testing.T) {
	for access, want := range map[strikeplate.Access]bool{
		strikeplate.UserLimited: true, strikeplate.UserFull: true, strikeplate.OrganisationLimited: false,
		strikeplate.OrganisationFull: false, strikeplate.Legacy: false, "": false, "user": false,
	} {
		if got := access.ForUser(); got != want {
			t.Errorf("%q is for a user: %v, want %v", access, got, want)
		}
	}
}
