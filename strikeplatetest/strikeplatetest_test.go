package strikeplatetest_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/strikeplatetest"
)

func TestKeysAuthenticate(t *testing.T) {
	ada := &strikeplate.Principal{Subject: "ada"}
	keys := strikeplatetest.Keys{"good": ada, "empty": nil, "with space": ada}
	for _, c := range []struct {
		name          string
		authorization []string
		want          *strikeplate.Principal
		code          string
		notMine       bool
	}{
		{"none", nil, nil, strikeplate.CodeMissing, true},
		{"known", []string{"Bearer good"}, ada, "", false},
		{"scheme in any case", []string{"bEARER good"}, ada, "", false},
		{"the whole text counts", []string{"Bearer with space"}, ada, "", false},
		{"unknown", []string{"Bearer bad"}, nil, strikeplate.CodeInvalid, false},
		{"nil in the map", []string{"Bearer empty"}, nil, strikeplate.CodeInvalid, false},
		{"empty field", []string{""}, nil, strikeplate.CodeInvalid, true},
		{"no text", []string{"Bearer "}, nil, strikeplate.CodeInvalid, true},
		{"another scheme", []string{"Basic good"}, nil, strikeplate.CodeInvalid, true},
		{"two fields", []string{"Bearer good", "Bearer good"}, nil, strikeplate.CodeInvalid, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header["Authorization"] = c.authorization
			p, err := keys.Authenticate(r)
			if p != c.want {
				t.Errorf("Principal %v, want %v", p, c.want)
			}
			if got := errors.Is(err, strikeplate.ErrNotMine); got != c.notMine {
				t.Errorf("not mine: %v, want %v", got, c.notMine)
			}
			var e *strikeplate.Error
			if code := ""; errors.As(err, &e) {
				code = e.Code
				if e.Status != 401 || len(e.Challenge) == 0 || code != c.code {
					t.Errorf("refused with %+v, want 401 %s and a challenge", e, c.code)
				}
			} else if code != c.code {
				t.Errorf("error %v, want code %q", err, c.code)
			}
		})
	}
}

func TestNilKeysKnowNobody(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer any")
	w := httptest.NewRecorder()
	strikeplate.Require(strikeplatetest.Keys(nil))(http.NotFoundHandler()).ServeHTTP(w, r)
	if w.Code != http.StatusUnauthorized {
		t.Errorf("status %d, want 401", w.Code)
	}
}

func TestAsIsInTheExchangeToo(t *testing.T) {
	ada := &strikeplate.Principal{Subject: "ada"}
	var seen *strikeplate.Principal
	edge := strikeplate.Edge{Done: []func(*strikeplate.Exchange){
		func(x *strikeplate.Exchange) { seen = x.Principal() }}}
	h := edge.Handler(strikeplatetest.As(ada)(http.NotFoundHandler()))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if seen != ada {
		t.Errorf("the Exchange's Principal is %v, want %v", seen, ada)
	}
}

func TestAsNobodyPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	strikeplatetest.As(nil)
}
