package console_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/keyauth/console"
	"github.com/strikeplate/strikeplate/keyauth/usage"
)

func TestNewRefuses(t *testing.T) {
	w := newWorld(t)
	good := func() console.Config {
		return console.Config{Manage: w.keys, Scheme: w.scheme, Replays: w.store, SignedIn: w.actor}
	}
	if _, err := console.New(good()); err != nil {
		t.Fatalf("the least that there must be: %v", err)
	}
	for _, c := range []struct {
		want   string
		change func(*console.Config)
	}{
		{"Manage", func(c *console.Config) { c.Manage = nil }},
		{"Scheme", func(c *console.Config) { c.Scheme = nil }},
		{"Replays", func(c *console.Config) { c.Replays = nil }},
		{"SignedIn", func(c *console.Config) { c.SignedIn = nil }},
		{"Product.Base", func(c *console.Config) { c.Product.Base = "settings" }},
		{"Product.Base", func(c *console.Config) { c.Product.Base = "/a/../b" }},
		{"Product.Base", func(c *console.Config) { c.Product.Base = "/a/{b}" }},
		{"Product.Base", func(c *console.Config) { c.Product.Base = "//evil.example" }},
		{"Product.Logo", func(c *console.Config) { c.Product.Logo = "javascript:alert(1)" }},
		{"Product.Logo", func(c *console.Config) { c.Product.Logo = "https://a.example;script-src/x.png" }},
		{"Product.Home", func(c *console.Config) { c.Product.Home = "//evil.example" }},
		{"Product.SignInURL", func(c *console.Config) { c.Product.SignInURL = "data:x" }},
		{"Product.TryURL", func(c *console.Config) { c.Product.TryURL = "https://x/'; rm -r ~'" }},
		{"Product.EnvironmentVariable", func(c *console.Config) { c.Product.EnvironmentVariable = "A B" }},
		{"Product.Colours.Accent", func(c *console.Config) { c.Product.Colours.Accent = "red" }},
		{"Product.Colours.Accent", func(c *console.Config) { c.Product.Colours.Accent = "#ffff00" }},
		{"Product.Colours.Accent", func(c *console.Config) { c.Product.Colours.Accent = "#}a{b:c" }},
		{"Product.Colours.AccentDark", func(c *console.Config) { c.Product.Colours.AccentDark = "#102030" }},
	} {
		config := good()
		c.change(&config)
		if _, err := console.New(config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.want, err)
		}
	}
}

// The product's own name, colours, logo, dates and place.
func TestProduct(t *testing.T) {
	w := newWorld(t, func(s *setting) {
		s.console.Product = console.Product{
			Name: "Avoma & Co", Base: base + "/", Logo: "https://cdn.example/logo.png", Home: "/home", DateLayout: "2006-01-02",
			Location: time.FixedZone("CET", 3600), Colours: console.Colours{Accent: "#7a1fa2", AccentDark: "#ffd54f"},
		}
	})
	k := w.create("ada", creation("CRM")).Key
	page := w.get("ada", "/keys/"+k.ID).want(t, 200, "Avoma &amp; Co", `src="https://cdn.example/logo.png"`, `href="/home"`, "2026-03-01 13:00 CET", `datetime="2026-03-01T12:00:00Z"`)
	if policy := page.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "img-src 'self' https://cdn.example;") {
		t.Errorf("policy %q", policy)
	}
	w.send("", w.request(http.MethodGet, base+"/assets/"+between(page.body, `href="`+base+`/assets/`, `"`), "")).
		want(t, 200, "--accent:#7a1fa2;--on-accent:#ffffff", "--accent:#ffd54f;--on-accent:#000000")
	w.get("ada", "/keys/new").want(t, 200, "non-private data")
	root := newWorld(t, func(s *setting) { s.console.Product = console.Product{} })
	root.send("ada", root.request(http.MethodGet, "/", "")).want(t, 200, `href="/keys/new"`)
	root.send("ada", root.request(http.MethodGet, "/api/keys", "")).want(t, 200)
}

var _ console.Usage = (*usage.Counter)(nil)
