package policies

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
)

// The keys of input documents, made once.
var (
	keyPrincipal, keyRoute, keyClient, keyActor, keyAction, keyKey, keyResource = term("principal"), term("route"), term("client"),
		term("actor"), term("action"), term("key"), term("resource")
	keyKind, keyEnvironment, keyAccess, keyCredential, keyLineage, keyClientID = term("kind"), term("environment"), term("access"),
		term("credential"), term("lineage"), term("client_id")
	keyOrganisation, keySubject, keyPlan, keyScopes, keySettings, keyExpires = term("organisation"), term("subject"), term("plan"),
		term("scopes"), term("settings"), term("expires")
	keyMethod, keyPattern, keyAllOf, keyAnyOf       = term("method"), term("pattern"), term("all_of"), term("any_of")
	keyAddress, keyUser, keyRole                    = term("address"), term("user"), term("role")
	keyID, keyOwner, keyCreator, keyFormat, keyName = term("id"), term("owner"), term("creator"), term("format"), term("name")
	emptyObject                                     = ast.ObjectTerm()
	emptyArray                                      = ast.ArrayTerm()
)

// common are terms of values that most inputs have: terms are never changed, so
// all share one.
var common = func() map[string]*ast.Term {
	terms := make(map[string]*ast.Term)
	for _, s := range []string{
		"", string(strikeplate.KindKey), string(strikeplate.KindToken), string(strikeplate.Live), string(strikeplate.Test),
		string(strikeplate.UserLimited), string(strikeplate.UserFull), string(strikeplate.OrganisationLimited),
		string(strikeplate.OrganisationFull), string(strikeplate.Legacy), "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD",
	} {
		terms[s] = ast.StringTerm(s)
	}
	return terms
}()

func term(s string) *ast.Term {
	if shared := common[s]; shared != nil {
		return shared
	}
	return ast.StringTerm(s)
}

func pair(k, v *ast.Term) [2]*ast.Term { return [2]*ast.Term{k, v} }

// array is the Rego value of a list; an empty one and none at all are the same.
func array[S ~string](list []S) *ast.Term {
	if len(list) == 0 {
		return emptyArray
	}
	terms := make([]*ast.Term, len(list))
	for i, s := range list {
		terms[i] = term(string(s))
	}
	return ast.ArrayTerm(terms...)
}

// principalTerm is the principal as every policy sees it.
func principalTerm(p *strikeplate.Principal) (*ast.Term, error) {
	settings := emptyObject
	if len(p.Settings) > 0 {
		v, err := ast.InterfaceToValue(p.Settings)
		if err != nil {
			return nil, fmt.Errorf("%w: the principal's settings: %w", ErrUndecided, err)
		}
		settings = ast.NewTerm(v)
	}
	return ast.NewTerm(ast.NewObject(
		pair(keyKind, term(string(p.Kind))),
		pair(keyEnvironment, term(string(p.Environment))),
		pair(keyAccess, term(string(p.Access))),
		pair(keyCredential, term(p.Credential)),
		pair(keyLineage, term(p.Lineage)),
		pair(keyClientID, term(p.ClientID)),
		pair(keyOrganisation, term(p.Organisation)),
		pair(keySubject, term(p.Subject)),
		pair(keyPlan, term(p.Plan)),
		pair(keyScopes, array(p.Scopes)),
		pair(keySettings, settings),
		pair(keyExpires, term(expiry(p.Expires))),
	)), nil
}

func expiry(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

var noClient = ast.NewTerm(ast.NewObject(pair(keyAddress, term(""))))

func clientTerm(address netip.Addr) *ast.Term {
	if !address.IsValid() {
		return noClient
	}
	return ast.NewTerm(ast.NewObject(pair(keyAddress, term(addressText(address)))))
}

// addressText is empty where there is no address.
func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// clientOf is the address of the request that ctx belongs to.
func clientOf(ctx context.Context) netip.Addr {
	if x := strikeplate.ExchangeFrom(ctx); x != nil {
		return x.Client()
	}
	return netip.Addr{}
}

// routeInput is the input of the entry scopes.
func routeInput(r scope.Request, client netip.Addr) (ast.Value, error) {
	principal, err := principalTerm(r.Principal)
	if err != nil {
		return nil, err
	}
	return ast.NewObject(
		pair(keyPrincipal, principal),
		pair(keyRoute, ast.NewTerm(ast.NewObject(
			pair(keyMethod, term(r.Method)),
			pair(keyPattern, term(r.Route)),
			pair(keyAllOf, array(r.Requirement.AllOf)),
			pair(keyAnyOf, array(r.Requirement.AnyOf)),
			pair(keyAccess, array(r.Requirement.Access)),
			pair(keyEnvironment, term(string(r.Requirement.Environment))),
		))),
		pair(keyClient, clientTerm(client)),
	), nil
}

// resourceInput is a resource's input without the row.
func resourceInput(p *strikeplate.Principal, kind string, client netip.Addr) (ast.Object, error) {
	principal, err := principalTerm(p)
	if err != nil {
		return nil, err
	}
	return ast.NewObject(pair(keyPrincipal, principal), pair(keyKind, term(kind)), pair(keyClient, clientTerm(client))), nil
}

// manageInput is the input of the entry manage.
func manageInput(a storage.Actor, action string, k storage.Key) ast.Object {
	return ast.NewObject(
		pair(keyActor, ast.NewTerm(ast.NewObject(
			pair(keyUser, term(a.User)),
			pair(keyOrganisation, term(a.Organisation)),
			pair(keyRole, term(a.Role)),
			pair(keyScopes, array(a.Scopes)),
		))),
		pair(keyAction, term(action)),
		pair(keyKey, ast.NewTerm(ast.NewObject(
			pair(keyID, term(k.ID)),
			pair(keyOrganisation, term(k.Organisation)),
			pair(keyOwner, term(k.Owner)),
			pair(keyCreator, term(k.Creator)),
			pair(keyAccess, term(string(k.Access))),
			pair(keyEnvironment, term(string(k.Environment))),
			pair(keyScopes, array(k.Scopes)),
			pair(keyFormat, term(k.Format)),
			pair(keyName, term(k.Name)),
		))),
		pair(keyClient, clientTerm(a.Client)),
	)
}
