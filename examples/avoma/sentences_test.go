package main

import (
	"net/http"
	"slices"
	"testing"

	"github.com/strikeplate/strikeplate/examples/internal/demo"
	"github.com/strikeplate/strikeplate/examples/internal/demotest"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
)

var everywhere = []string{"/v1/meetings", "/v1/meetings?page=2", "/v1/meetings/mtg_x", "/v1/meetings/mtg_x/transcription", "/v1/meetings/mtg_x/notes", "/v1/meetings/mtg_x/recording", "/v1/whoami"}

func Test002_130_DeactivatedOwnerIsAnError(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		s := start(t, demo.Options{DB: db})
		for _, path := range everywhere {
			refusal(t, "002-130a "+path, s.Get(t, "deactivated_owner", path), http.StatusUnauthorized, "inactive_owner")
		}
		// Bo leaves: his keys stop, nobody else's do. He comes back: they work again.
		s.Control(t, "/demo/users/usr_bo", `{"active": false}`)
		for _, key := range []string{"user_full", "user_limited"} {
			refusal(t, "002-130a "+key, s.Get(t, key, "/v1/meetings"), http.StatusUnauthorized, "inactive_owner")
		}
		s.Control(t, "/demo/users/usr_bo", `{"active": true}`)
		for _, key := range []string{"user_full", "user_limited"} {
			if r := s.Get(t, key, "/v1/meetings"); r.StatusCode != http.StatusOK {
				t.Errorf("002-130b %s: %d after its owner's return", key, r.StatusCode)
			}
		}
		s.Control(t, "/demo/users/usr_ada", `{"active": false}`)
		for _, key := range []string{"org_limited", "org_full", "legacy", "user_full"} {
			if r := s.Get(t, key, "/v1/meetings"); r.StatusCode != http.StatusOK {
				t.Errorf("002-58b, 002-59 %s: %d after its creator has left", key, r.StatusCode)
			}
		}
	})
}

func Test002_44_SettingsOpenPrivateMeetingsToOrgFull(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		s := start(t, demo.Options{DB: db})
		data := meetings.Generate()
		private := func(m meetings.Meeting) bool { return m.Private }
		hidden := expected(data, acme, private)[0]
		s.Control(t, "/demo/organisations/org_acme", `{"private_via_api": false}`)
		got, _ := s.list(t, "org_full", "")
		if want := expected(data, reach["org_limited"]); !slices.Equal(got, want) {
			t.Errorf("002-44, 002-65: without the setting org_full has %d meetings, want %d", len(got), len(want))
		}
		for _, part := range []string{"", "/transcription", "/notes", "/recording"} {
			refusal(t, "002-44 "+part, s.Get(t, "org_full", "/v1/meetings/"+hidden+part), http.StatusNotFound, "meeting_not_found")
		}
		for key, want := range map[string][]string{
			"legacy":         expected(data, acme), // 002-9b, 002-72: ignores the setting
			"user_full":      expected(data, reach["user_full"]),
			"other_org_full": expected(data, reach["other_org_full"]), // another organisation's setting
		} {
			if got, _ := s.list(t, key, ""); !slices.Equal(got, want) {
				t.Errorf("002-9b %s: %d meetings, want %d", key, len(got), len(want))
			}
		}
		s.Control(t, "/demo/organisations/org_acme", `{"private_via_api": true}`)
		if got, _ := s.list(t, "org_full", ""); !slices.Equal(got, expected(data, acme)) {
			t.Errorf("002-63: with the setting org_full has %d meetings", len(got))
		}
	})
}

func Test002_70_LegacyKeysKeepWorking(t *testing.T) {
	s := start(t, demo.Options{})
	r := s.Get(t, "legacy", "/v1/whoami")
	if who := demotest.Decode[map[string]any](t, r); who["access"] != "legacy" || who["organisation"] != "org_acme" {
		t.Errorf("002-69: %s", r.Body)
	}
	s.Control(t, "/demo/clock", `{"advance": "87600h"}`)
	if r := s.Get(t, "legacy", "/v1/meetings"); r.StatusCode != http.StatusOK {
		t.Errorf("002-70: %d ten years later", r.StatusCode)
	}
}

func TestLapsedSubscription(t *testing.T) {
	s := start(t, demo.Options{})
	s.Control(t, "/demo/organisations/org_acme", `{"subscription": "lapsed"}`)
	for _, path := range everywhere {
		refusal(t, path, s.Get(t, "org_full", path), http.StatusPaymentRequired, "subscription_required")
	}
	if r := s.Get(t, "other_org_full", "/v1/meetings"); r.StatusCode != http.StatusOK {
		t.Errorf("another organisation: %d", r.StatusCode)
	}
	s.Control(t, "/demo/organisations/org_acme", `{"subscription": "active"}`)
	if r := s.Get(t, "org_full", "/v1/meetings"); r.StatusCode != http.StatusOK {
		t.Errorf("renewed: %d", r.StatusCode)
	}
}
