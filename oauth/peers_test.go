package oauth_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/internal/processtest"
	"github.com/strikeplate/strikeplate/oauth"
)

// oidcProvider starts npm oidc-provider, a server that nobody here wrote.
func oidcProvider(t *testing.T) (issuer string) {
	t.Helper()
	directory := filepath.Join("..", "internal", "npm")
	if _, err := os.Stat(filepath.Join(directory, "node_modules", "oidc-provider")); err != nil {
		processtest.GiveUp(t, "npm", processtest.MissingError{Text: "npm oidc-provider is missing: make npm"})
	}
	program, err := exec.LookPath("node")
	if err != nil {
		processtest.GiveUp(t, "npm", processtest.MissingError{Text: "Node.js is missing: apt-get install nodejs"})
	}
	run := exec.Command(program, "oidc-provider.mjs")
	run.Dir, run.Stderr = directory, t.Output()
	in, err1 := run.StdinPipe()
	out, err2 := run.StdoutPipe()
	if err1 != nil || err2 != nil || run.Start() != nil {
		t.Fatal(err1, err2, "node doesn't start")
	}
	t.Cleanup(func() {
		_ = in.Close() // ends it
		_ = run.Wait()
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var ready struct{ Issuer string }
	if err != nil || json.Unmarshal(line, &ready) != nil {
		t.Fatalf("oidc-provider: %v %s", err, line)
	}
	return ready.Issuer
}

// issued asks the server for a token for a client itself. prove, if not nil, adds
// DPoP.
func issued(t testing.TB, issuer, client, form string, prove bool) string {
	t.Helper()
	body := url.Values{"grant_type": {"client_credentials"}, "resource": {api + "/" + form}, "scope": {"meetings:read"}}
	r, err := http.NewRequest(http.MethodPost, issuer+"/token", strings.NewReader(body.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(client, client+"-secret")
	if prove {
		r.Header.Set("DPoP", sign(t, "ES256", ecKey, header{"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: ecKey.Public()}},
			claims{"jti": rand.Text(), "htm": "POST", "htu": issuer + "/token", "iat": time.Now().Unix()}))
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(resp.Body)
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Token == "" {
		t.Fatalf("%d %s", resp.StatusCode, text)
	}
	return answer.Token
}

func rotate(t testing.TB, issuer, query string) {
	t.Helper()
	resp, err := http.Post(issuer+"/rotate"+query, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
}

// What oidc-provider issues is accepted: signed in each way, audience-bound,
// DPoP-bound, and opaque.
func TestOIDCProvider(t *testing.T) {
	issuer := oidcProvider(t)
	trust := oauth.Trust{Organisations: []string{"acme"}, Machines: strikeplate.OrganisationLimited}
	d := newDPoP(t, nil)
	resource := func(form string) *oauth.Resource {
		return newResource(t, func(c *oauth.ResourceConfig) { c.Identifier, c.DPoP = api+"/"+form, d })
	}
	tokens := func(form string) *oauth.JWT {
		return newJWT(t, resource(form), oauth.Issuer{URL: issuer, InsecureHTTP: true, Trust: trust})
	}
	for _, form := range []string{"RS256", "ES256", "Ed25519", "EdDSA"} {
		t.Run(form, func(t *testing.T) {
			j := tokens(form)
			p := letIn(t, j, bearer(issued(t, issuer, "app", form, false)))
			if p.ClientID != "app" || p.Access != strikeplate.OrganisationLimited || len(p.Scopes) != 1 || p.Scopes[0] != "meetings:read" {
				t.Errorf("%+v", p)
			}
			invalid(t, j, issued(t, issuer, "app", "opposite/"+form, false), "another audience")
		})
	}
	t.Run("DPoP", func(t *testing.T) {
		token := issued(t, issuer, "prover", "RS256", true)
		j := tokens("RS256")
		letIn(t, j, dpop(token, prove(t, token, nil, nil)))
		invalid(t, j, token, "bound to a DPoP key")
	})
	t.Run("opaque", func(t *testing.T) {
		for _, client := range []string{"app", "prover"} {
			i := newIntrospection(t, resource("opaque"), "", func(c *oauth.IntrospectionConfig) {
				c.Issuer, c.Trust, c.ClientID, c.ClientSecret = issuer, trust, "api", strikeplate.NewSecret("api-secret")
			})
			token := issued(t, issuer, client, "opaque", client == "prover")
			if client == "app" {
				letIn(t, i, bearer(token))
			} else {
				letIn(t, i, dpop(token, prove(t, token, nil, nil)))
				refused(t, i, bearer(token), 401, oauth.CodeToken)
			}
			invalid(t, i, "made-up", "not active")
		}
	})
}

// Its keys are replaced under load, and sign at once: no good token is refused.
func TestOIDCProviderRotatesUnderLoad(t *testing.T) {
	issuer := oidcProvider(t)
	j := newJWT(t, newResource(t, func(c *oauth.ResourceConfig) { c.Identifier, c.Cache.Tokens = api+"/ES256", 1 }), oauth.Issuer{URL: issuer,
		InsecureHTTP: true, Trust: oauth.Trust{Organisations: []string{"acme"}, Machines: strikeplate.OrganisationLimited}})
	var current atomic.Pointer[[]string]
	old := []string{issued(t, issuer, "app", "ES256", false)}
	current.Store(&old)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var let atomic.Int64
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			for i := n; ctx.Err() == nil; i++ {
				tokens := *current.Load()
				if _, err := j.Authenticate(bearer(tokens[i%len(tokens)])); err != nil {
					t.Errorf("%v: %s", err, refusal(t, err).Message)
					return
				}
				let.Add(1)
			}
		})
	}
	for range 3 {
		rotate(t, issuer, "?keep=true")
		both := append(*current.Load(), issued(t, issuer, "app", "ES256", false))
		current.Store(&both)
		before := let.Load()
		waitUntil(t, "requests with the new key were let in", func() bool { return let.Load() > before+50 })
	}
	stop()
	all.Wait()
	if let.Load() < 150 {
		t.Errorf("only %d requests", let.Load())
	}
	rotate(t, issuer, "")
	letIn(t, j, bearer(issued(t, issuer, "app", "ES256", false)))
	for i, token := range old { // the keys are gone, and what they signed
		t.Run(fmt.Sprint(i), func(t *testing.T) { invalid(t, j, token, "a key that its issuer doesn't have") })
	}
}
