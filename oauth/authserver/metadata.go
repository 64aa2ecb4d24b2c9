package authserver

import (
	"encoding/json"
	"net/http"

	"github.com/strikeplate/strikeplate"
)

// metadataDocument is RFC 8414's, in its order.
type metadataDocument struct {
	Issuer                 string   `json:"issuer"`
	AuthorizationEndpoint  string   `json:"authorization_endpoint"`
	TokenEndpoint          string   `json:"token_endpoint"`
	KeysURI                string   `json:"jwks_uri,omitempty"`
	RegistrationEndpoint   string   `json:"registration_endpoint,omitempty"`
	Scopes                 []string `json:"scopes_supported"`
	ResponseTypes          []string `json:"response_types_supported"`
	ResponseModes          []string `json:"response_modes_supported"`
	GrantTypes             []string `json:"grant_types_supported"`
	TokenMethods           []string `json:"token_endpoint_auth_methods_supported"`
	RevocationEndpoint     string   `json:"revocation_endpoint"`
	RevocationMethods      []string `json:"revocation_endpoint_auth_methods_supported"`
	IntrospectionEndpoint  string   `json:"introspection_endpoint"`
	IntrospectionMethods   []string `json:"introspection_endpoint_auth_methods_supported"`
	ChallengeMethods       []string `json:"code_challenge_methods_supported"`
	PushEndpoint           string   `json:"pushed_authorization_request_endpoint"` // RFC 9126 5
	PushRequired           bool     `json:"require_pushed_authorization_requests"`
	IssParameter           bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207 3
	RequestObjects         bool     `json:"request_parameter_supported"`
	RequestURIs            bool     `json:"request_uri_parameter_supported"`
	Prompts                []string `json:"prompt_values_supported"`
	ProtectedResources     []string `json:"protected_resources,omitempty"` // RFC 9728 4
	DPoPAlgorithms         []string `json:"dpop_signing_alg_values_supported,omitempty"`
	CertificateBoundTokens bool     `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	Documents              bool     `json:"client_id_metadata_document_supported,omitempty"`
}

// metadata answers GET /.well-known/oauth-authorization-server (RFC 8414 3).
func (s *Server) metadata(w http.ResponseWriter, r *http.Request) {
	confidential := []string{"client_secret_basic", "client_secret_post"}
	all := []string{"client_secret_basic", "client_secret_post", "none"}
	d := metadataDocument{
		Issuer: s.c.Issuer, AuthorizationEndpoint: s.url(pathAuthorize), TokenEndpoint: s.url(pathToken),
		Scopes: s.c.Catalog.Scopes(), ResponseTypes: []string{"code"}, ResponseModes: []string{"query"},
		GrantTypes: []string{grantCode, grantRefresh, grantClient}, TokenMethods: all,
		RevocationEndpoint: s.url(pathRevoke), RevocationMethods: all,
		IntrospectionEndpoint: s.url(pathIntrospect), IntrospectionMethods: confidential,
		ChallengeMethods: []string{"S256"}, PushEndpoint: s.url(pathPush), IssParameter: true,
		Prompts:            []string{promptNone, promptLogin, promptAsk},
		ProtectedResources: append([]string{s.c.Audiences.Service}, s.c.Audiences.More...),
		Documents:          s.docs != nil,
	}
	if s.prover.dpop != nil {
		d.DPoPAlgorithms = s.prover.dpop.Algorithms()
	}
	d.CertificateBoundTokens = s.c.Tokens.Certificates.TLS || s.c.Tokens.Certificates.Header != ""
	if s.c.Tokens.Signing != nil {
		d.KeysURI = s.url(pathKeys)
	}
	if s.c.Clients.Registration != nil {
		d.RegistrationEndpoint = s.url(pathRegister)
	}
	publish(w, r, d)
}

// publish answers with what everybody may read, pages of all origins too.
func publish(w http.ResponseWriter, r *http.Request, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		strikeplate.Fail(w, r, unsure("writing an answer", err))
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("Access-Control-Allow-Origin", "*")
	w.Write(append(body, '\n'))
}
