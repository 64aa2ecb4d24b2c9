package demotest

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/strikeplate/strikeplate/scope"
)

// Document is an OpenAPI document, as far as these tests read it.
type Document struct {
	all map[string]any
}

// Parse reads a document.
func Parse(t *testing.T, text []byte) *Document {
	t.Helper()
	d := &Document{}
	if err := json.Unmarshal(text, &d.all); err != nil {
		t.Fatal(err)
	}
	return d
}

func at[T any](v any, path ...string) T {
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	found, _ := v.(T)
	return found
}

// resolve follows references.
func (d *Document) resolve(v any) map[string]any {
	for {
		m, _ := v.(map[string]any)
		ref, ok := m["$ref"].(string)
		if !ok {
			return m
		}
		v = at[any](d.all, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
		if v == nil {
			panic("demotest: nothing is at " + ref)
		}
	}
}

func (d *Document) base() string {
	servers := at[[]any](d.all, "servers")
	return at[string](servers[0], "url")
}

// Routes checks that the document describes the API's routes, all of them and no
// others, with the scopes that they require, and that other routes are public.
func (d *Document) Routes(t *testing.T, routes *scope.Routes) {
	t.Helper()
	described := make(map[string]string)
	for path, methods := range at[map[string]any](d.all, "paths") {
		for method, operation := range methods.(map[string]any) {
			scopes := []string{}
			for _, s := range at[[]any](operation, "x-scopes") {
				scopes = append(scopes, s.(string))
			}
			described[strings.ToUpper(method)+" "+d.base()+path] = strings.Join(scopes, " or ")
			for _, status := range []string{"401", "402", "403", "429", "503"} {
				if at[any](operation, "responses", status) == nil {
					t.Errorf("%s %s: no response %s", method, path, status)
				}
			}
		}
	}
	for _, route := range routes.All() {
		got, found := described[route.Pattern]
		delete(described, route.Pattern)
		wants := strings.Join(append(slices.Clone(route.Requires.AllOf), route.Requires.AnyOf...), " or ")
		switch isAPI := strings.HasPrefix(route.Path, d.base()+"/"); {
		case isAPI && route.Public:
			t.Errorf("%s is open to everybody", route.Pattern)
		case isAPI != found || got != wants:
			t.Errorf("%s: described with %q, declared with %q", route.Pattern, got, wants)
		case !isAPI && !route.Public:
			t.Errorf("%s wants a key", route.Pattern)
		}
	}
	for pattern := range described {
		t.Errorf("%s is described and not declared", pattern)
	}
}

// Fits checks an answer of the API against the document: its status is described,
// and its body is as its schema says. Paths that the document doesn't describe
// are not its business.
func (d *Document) Fits(t *testing.T, r Response) {
	t.Helper()
	path, isAPI := strings.CutPrefix(r.Request.URL.Path, d.base())
	if !isAPI {
		return
	}
	operation := d.operation(r.Request.Method, path)
	if operation == nil {
		return
	}
	described := at[any](operation, "responses", fmt.Sprint(r.StatusCode))
	if described == nil {
		t.Errorf("%s %s: %d is not described", r.Request.Method, path, r.StatusCode)
		return
	}
	content := at[map[string]any](d.resolve(described), "content")
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if len(content) == 0 && len(r.Body) == 0 || r.Request.Method == http.MethodHead {
		return
	}
	media, ok := content[kind]
	if !ok {
		t.Errorf("%s %s: %d: %q is not described", r.Request.Method, path, r.StatusCode, kind)
		return
	}
	if kind != "application/json" {
		return
	}
	var body any
	if err := json.Unmarshal(r.Body, &body); err != nil {
		t.Errorf("%s %s: %v", r.Request.Method, path, err)
		return
	}
	if wrong := d.check(at[any](media, "schema"), body, ""); wrong != "" {
		t.Errorf("%s %s: %d: %s\n%.500s", r.Request.Method, path, r.StatusCode, wrong, r.Body)
	}
}

// operation is the one that serves a path: a template's parameter is one element,
// and an exact element goes first.
func (d *Document) operation(method, path string) any {
	var best any
	fewest := math.MaxInt
	given := strings.Split(path, "/")
	for template, methods := range at[map[string]any](d.all, "paths") {
		parts := strings.Split(template, "/")
		parameters := 0
		fits := len(parts) == len(given)
		for i := range parts {
			if fits && strings.HasPrefix(parts[i], "{") {
				parameters++
			} else if fits && parts[i] != given[i] {
				fits = false
			}
		}
		if operation := at[any](methods, strings.ToLower(method)); fits && operation != nil && parameters < fewest {
			best, fewest = operation, parameters
		}
	}
	return best
}

// check says where a value isn't as the schema says: of JSON Schema what the
// documents here use.
func (d *Document) check(s, v any, path string) string {
	schema := d.resolve(s)
	if those := at[[]any](schema, "enum"); those != nil && !slices.Contains(those, v) {
		return fmt.Sprintf("%s is %v, and not one of %v", path, v, those)
	}
	if !typed(schema["type"], v) {
		return fmt.Sprintf("%s is a %T, and not a %v", path, v, schema["type"])
	}
	switch v := v.(type) {
	case map[string]any:
		return d.checkObject(schema, v, path)
	case []any:
		for i, item := range v {
			if wrong := d.check(schema["items"], item, fmt.Sprintf("%s[%d]", path, i)); wrong != "" {
				return wrong
			}
		}
	}
	return ""
}

func (d *Document) checkObject(schema, v map[string]any, path string) string {
	properties := at[map[string]any](schema, "properties")
	for _, name := range at[[]any](schema, "required") {
		if _, ok := v[name.(string)]; !ok {
			return fmt.Sprintf("%s.%s is missing", path, name)
		}
	}
	for name, value := range v {
		property, ok := properties[name]
		if !ok {
			if schema["additionalProperties"] == false {
				return fmt.Sprintf("%s.%s is not described", path, name)
			}
			continue
		}
		if wrong := d.check(property, value, path+"."+name); wrong != "" {
			return wrong
		}
	}
	return ""
}

func typed(types, v any) bool {
	list, ok := types.([]any)
	if !ok {
		list = []any{types}
	}
	for _, one := range list {
		switch one {
		case nil:
			return true
		case "null":
			ok = v == nil
		case "object":
			_, ok = v.(map[string]any)
		case "array":
			_, ok = v.([]any)
		case "string":
			_, ok = v.(string)
		case "boolean":
			_, ok = v.(bool)
		case "number", "integer":
			n, number := v.(float64)
			ok = number && (one == "number" || n == math.Trunc(n))
		}
		if ok {
			return true
		}
	}
	return false
}
