package authserver_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/oauth"
	"github.com/strikeplate/strikeplate/oauth/authserver"
	"github.com/strikeplate/strikeplate/storage/memory"
)

func TestConfig(t *testing.T) {
	store := memory.New()
	good := func() authserver.Config {
		return authserver.Config{
			Issuer: "https://mavio.example", Store: store, Directory: store, Catalog: catalog(t),
			SignIn: authserver.SignIn{Who: (&world{}).who}, Tokens: authserver.Tokens{Prefix: "mvo_", Keys: [][]byte{random(32)}},
		}
	}
	if _, err := authserver.New(good()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*authserver.Config)
		want   string
	}{
		"no issuer":            {func(c *authserver.Config) { c.Issuer = "" }, "Issuer"},
		"http":                 {func(c *authserver.Config) { c.Issuer = "http://mavio.example" }, "https"},
		"a query":              {func(c *authserver.Config) { c.Issuer += "?x" }, "Issuer"},
		"a fragment":           {func(c *authserver.Config) { c.Issuer += "#x" }, "Issuer"},
		"a slash":              {func(c *authserver.Config) { c.Issuer += "/" }, "Issuer"},
		"an odd path":          {func(c *authserver.Config) { c.Issuer += "/{x}" }, "Issuer"},
		"a user":               {func(c *authserver.Config) { c.Issuer = "https://a@mavio.example" }, "Issuer"},
		"no store":             {func(c *authserver.Config) { c.Store = nil }, "Store"},
		"no directory":         {func(c *authserver.Config) { c.Directory = nil }, "Directory"},
		"both":                 {func(c *authserver.Config) { c.InsecureNoDirectory = true }, "exclude"},
		"no catalog":           {func(c *authserver.Config) { c.Catalog = nil }, "Catalog"},
		"no sign-in":           {func(c *authserver.Config) { c.SignIn.Who = nil }, "SignIn"},
		"no prefix":            {func(c *authserver.Config) { c.Tokens.Prefix = "" }, "Prefix"},
		"an odd prefix":        {func(c *authserver.Config) { c.Tokens.Prefix = "mvo-" }, "Prefix"},
		"no keys":              {func(c *authserver.Config) { c.Tokens.Keys = nil }, "Keys"},
		"a short key":          {func(c *authserver.Config) { c.Tokens.Keys = [][]byte{random(31)} }, "Keys"},
		"long access":          {func(c *authserver.Config) { c.Tokens.Access = 61 * time.Minute }, "Access"},
		"long codes":           {func(c *authserver.Config) { c.Tokens.Code = 61 * time.Second }, "Code"},
		"long grace":           {func(c *authserver.Config) { c.Tokens.Grace = 31 * time.Second }, "Grace"},
		"negative grant":       {func(c *authserver.Config) { c.Tokens.Grant = -1 }, "Grant"},
		"no signing key":       {func(c *authserver.Config) { c.Tokens.Signing = &authserver.Signing{} }, "Signing"},
		"an odd resource":      {func(c *authserver.Config) { c.Audiences.More = []string{"files"} }, "Audiences"},
		"an idle introspector": {func(c *authserver.Config) { c.Audiences.Introspectors = map[string][]string{"app": nil} }, "Introspectors"},
		"an odd logo":          {func(c *authserver.Config) { c.Product.Logo = "https://elsewhere.example/logo.svg" }, "Logo"},
		"an odd colour":        {func(c *authserver.Config) { c.Product.Accent = "red" }, "Accent"},
		"a pale colour":        {func(c *authserver.Config) { c.Product.Accent = "#ffee88" }, "Accent"},
		"no scopes":            {func(c *authserver.Config) { c.Clients.Registration = &authserver.Registration{} }, "Registration"},
		"unknown scopes":       {func(c *authserver.Config) { c.Clients.Documents = &authserver.Documents{Scopes: []string{"x:y"}} }, "Documents"},
		"long documents": {func(c *authserver.Config) {
			c.Clients.Documents = &authserver.Documents{Scopes: []string{"meetings:read"}, Keep: 25 * time.Hour}
		}, "Keep"},
		"a negative overlap": {func(c *authserver.Config) { c.Management.MaxOverlap = -1 }, "MaxOverlap"},
		"proxies alone":      {func(c *authserver.Config) { c.Tokens.Certificates = oauth.Certificates{Header: "X-Cert"} }, "Proxies"},
		"proofs elsewhere":   {func(c *authserver.Config) { c.Tokens.DPoP = &oauth.DPoPConfig{URL: "ftp://x"} }, "URL"},
	} {
		config := good()
		c.change(&config)
		if _, err := authserver.New(config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGuardIsBounded(t *testing.T) {
	g := authserver.NewGuard(2)
	for i := range 20_000 {
		g.Charge("app", fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255))
	}
	if g.Len() > 8192 {
		t.Errorf("it remembers %d", g.Len())
	}
	for _, a := range []string{"2001:db8::1", "2001:db8::2"} {
		if wait := g.Charge("app", a); wait != 0 {
			t.Errorf("%s waits %v", a, wait)
		}
	}
	if g.Charge("app", "2001:db8::3") == 0 || g.Charge("app", "2001:db8:0:1::1") != 0 || g.Charge("other", "2001:db8::3") != 0 {
		t.Error("it doesn't count by name and network")
	}
}
