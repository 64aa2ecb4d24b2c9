package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

// The demo starts, and shows each person what there is to see.
func TestDemo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	urls, done := make(chan string, 1), make(chan error, 1)
	go func() { done <- run(ctx, "127.0.0.1:0", func(url string) error { urls <- url; return nil }) }()
	var base string
	select {
	case base = <-urls:
	case err := <-done:
		t.Fatal(err)
	}
	for user, want := range map[string]string{
		"": "You are signed out", "user_ada": "Salesforce sync", "user_ben": "administrators: Ada Lovelace",
		"user_dora": "All 10 keys are in use", "user_eli": "Warehouse export", "user_fay": "no API keys yet",
	} {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"settings/developer/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if user != "" {
			r.AddCookie(&http.Cookie{Name: cookie, Value: user})
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: %d, %v: doesn't say %q", user, res.StatusCode, err, want)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestLoopbackOnly(t *testing.T) {
	for _, addr := range []string{":8080", "0.0.0.0:0", "192.0.2.1:80", "nowhere"} {
		if err := run(t.Context(), addr, func(string) error { t.Error("it listens"); return nil }); err == nil {
			t.Errorf("%s: a fake sign-in for everybody", addr)
		}
	}
}
