package oauth

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/strikeplate/strikeplate"
)

// insertWellKnown puts a well-known name between host and path, as RFC 8414 3.1
// does.
func insertWellKnown(u *url.URL, name string) string {
	return u.Scheme + "://" + u.Host + "/.well-known/" + name + strings.TrimSuffix(u.EscapedPath(), "/")
}

// resourceWellKnown is RFC 9728 3.1, which takes no slash from the end of a path.
func resourceWellKnown(u *url.URL) string {
	place := insertWellKnown(u, "oauth-protected-resource")
	if path := u.EscapedPath(); len(path) > 1 && strings.HasSuffix(path, "/") {
		place += "/"
	}
	return place
}

// describe writes the metadata document (RFC 9728 2).
func (r *Resource) describe() ([]byte, error) {
	m := r.config.Metadata
	for _, issuer := range m.AuthorizationServers {
		if _, err := parseURL(issuer, r.config.InsecureHTTP); err != nil {
			return nil, fmt.Errorf("AuthorizationServers: %w", err)
		}
	}
	if m.Documentation != "" {
		if _, err := parseURL(m.Documentation, r.config.InsecureHTTP); err != nil {
			return nil, fmt.Errorf("Documentation: %w", err)
		}
	}
	scopes := m.Scopes
	if scopes == nil {
		scopes = r.scopes
	}
	document := struct {
		Resource      string   `json:"resource"`
		Servers       []string `json:"authorization_servers,omitempty"`
		Scopes        []string `json:"scopes_supported,omitempty"`
		Methods       []string `json:"bearer_methods_supported"`
		Name          string   `json:"resource_name,omitempty"`
		Documentation string   `json:"resource_documentation,omitempty"`
		Certificates  bool     `json:"tls_client_certificate_bound_access_tokens,omitempty"`
		ProofAlgs     []string `json:"dpop_signing_alg_values_supported,omitempty"`
		DPoPOnly      bool     `json:"dpop_bound_access_tokens_required,omitempty"`
	}{
		Resource: r.config.Identifier, Servers: m.AuthorizationServers, Scopes: scopes, Methods: []string{"header"},
		Name: m.Name, Documentation: m.Documentation, Certificates: r.config.Certificates.used(), DPoPOnly: r.dpopOnly(),
	}
	if r.config.DPoP != nil {
		document.ProofAlgs = r.config.DPoP.algorithms.names()
	}
	return json.MarshalIndent(document, "", "  ")
}

// dpopOnly says that no token counts but one bound to a DPoP key.
func (r *Resource) dpopOnly() bool {
	return r.config.RequireBound && r.config.DPoP != nil && !r.config.Certificates.used()
}

// MetadataPath is where [Resource.Metadata] is mounted: the well-known path of
// RFC 9728 3.1, with the Identifier's own path behind it.
func (r *Resource) MetadataPath() string {
	u, err := url.Parse(r.metadataURL)
	if err != nil {
		panic(err) // it was made of a parsed URL
	}
	return u.Path
}

// Metadata serves the protected resource's metadata (RFC 9728), which tells
// clients where to get tokens. It belongs outside of [strikeplate.Require], at
// [Resource.MetadataPath]. Pages of any origin may read it.
func (r *Resource) Metadata() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		switch req.Method {
		case http.MethodGet, http.MethodHead:
			h.Set("Content-Type", "application/json")
			h.Set("Cache-Control", "public, max-age=300")
			h.Set("X-Content-Type-Options", "nosniff")
			_, _ = w.Write(r.document)
		case http.MethodOptions:
			h.Set("Access-Control-Allow-Methods", "GET, HEAD")
			h.Set("Access-Control-Allow-Headers", "*") // MCP clients send a field of their own
			w.WriteHeader(http.StatusNoContent)
		default:
			h.Set("Allow", "GET, HEAD, OPTIONS")
			strikeplate.Fail(w, req, &strikeplate.Error{Status: http.StatusMethodNotAllowed, Code: strikeplate.CodeMethod,
				Message: "The metadata can be read with GET."})
		}
	})
}

// Dialect adds resource_metadata (RFC 9728 5.1) to the challenges that others
// write, as an API key's or a missing scope's, so that every refusal tells
// clients where tokens come from, as MCP wants. d writes the body.
func (r *Resource) Dialect(d strikeplate.Dialect) strikeplate.Dialect {
	return func(h http.Header, e *strikeplate.Error, requestID string) []byte {
		if told := h["Www-Authenticate"]; len(told) > 0 {
			all := make([]string, 0, len(told))
			for _, c := range told {
				// Two authenticators' challenges may differ in nothing else.
				if c = r.withMetadata(c); !slices.Contains(all, c) {
					all = append(all, c)
				}
			}
			h["Www-Authenticate"] = all
		}
		return d(h, e, requestID)
	}
}

func (r *Resource) withMetadata(challenge string) string {
	scheme, rest, _ := strings.Cut(challenge, " ")
	if !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "DPoP") || strings.Contains(challenge, "resource_metadata=") {
		return challenge
	}
	if rest != "" {
		rest += ", "
	}
	return scheme + " " + rest + `resource_metadata="` + r.metadataURL + `"`
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// hostOf is a URL's host and port, lower-case, without the scheme's own port.
func hostOf(u *url.URL) string {
	host := strings.ToLower(u.Hostname())
	port := u.Port()
	if port == "" || u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		if strings.Contains(host, ":") {
			return "[" + host + "]"
		}
		return host
	}
	return net.JoinHostPort(host, port)
}
