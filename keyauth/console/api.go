package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// routeAPI mounts the JSON API, and the document that describes it.
func (s *Console) routeAPI(mux *http.ServeMux) error {
	inner := http.NewServeMux()
	registry := huma.NewMapRegistry("#/components/schemas/", schemaName)
	doc := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: s.c.Product.Name + ": keys and their usage", Version: "1",
			Description: "What the Developer page does, for programs that act for a person who is signed in. API keys are refused.",
		},
		Servers:    []*huma.Server{{URL: s.path("/api")}},
		Components: &huma.Components{Schemas: registry},
	}
	// No paths for documents: huma's documentation pages load scripts from elsewhere.
	h := humago.NewWithPrefix(inner, s.path("/api"), huma.Config{
		OpenAPI: doc, Formats: map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat: "application/json", RejectUnknownQueryParameters: true,
		Transformers: []huma.Transformer{toldByHuma},
	})
	a := &api{s: s, huma: h, problem: registry.Schema(reflect.TypeFor[problemJSON](), true, "Problem")}
	a.register()
	delete(registry.Map(), "ErrorModel") // huma's own, which is never sent
	delete(registry.Map(), "ErrorDetail")
	text, err := written(doc)
	if err != nil {
		return fmt.Errorf("OpenAPI: %w", err)
	}
	inner.HandleFunc("GET "+s.path("/api/openapi.json"), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		w.Write(text)
	})
	inner.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { strikeplate.Fail(w, r, nowhere()) })
	mux.Handle(s.path("/api/"), strikeplate.Edge{Dialect: problem}.Handler(guarded(jsonOnly(s.known(inner)))))
	return nil
}

// written is the document as it is served: it asks for bodies that may be left out
// (see [nothing]).
func written(doc *huma.OpenAPI) ([]byte, error) {
	var optional []*huma.RequestBody
	for _, p := range doc.Paths {
		if p.Post != nil && p.Post.RequestBody != nil && !p.Post.RequestBody.Required {
			p.Post.RequestBody.Required = true
			optional = append(optional, p.Post.RequestBody)
		}
	}
	text, err := json.MarshalIndent(doc, "", "  ")
	for _, body := range optional {
		body.Required = false
	}
	return text, err
}

// schemaName is the type's name, without the ending that tells it in Go.
func schemaName(t reflect.Type, hint string) string {
	return strings.TrimSuffix(huma.DefaultSchemaNamer(t, hint), "JSON")
}

// jsonOnly refuses writes that don't say that they are JSON: an HTML form, which
// any site may have a browser send, can't.
func jsonOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
				strikeplate.Fail(w, r, refuse(http.StatusUnsupportedMediaType, CodeContentType, "Send JSON, with Content-Type: application/json."))
				return
			}
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		}
		next.ServeHTTP(w, r)
	})
}

// known puts the actor into the context, and the request for [told].
func (s *Console) known(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, err := s.actor(r)
		if err != nil {
			strikeplate.Fail(w, r, err)
			return
		}
		ctx := withActor(r.Context(), a)
		ctx = context.WithValue(ctx, requestKey{}, r)
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

type requestKey struct{}

type api struct {
	s       *Console
	huma    huma.API
	problem *huma.Schema
}

// operation is what the document says of an operation, beyond its types.
type operation struct {
	id, method, path, summary, description string
	status                                 int   // of success; 0: 200
	refusals                               []int // besides those that any may have
}

// handle registers one operation.
func handle[I, O any](a *api, o operation, do func(ctx context.Context, actor storage.Actor, in *I) (*O, error)) {
	responses := map[string]*huma.Response{}
	statuses := []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusUnprocessableEntity, http.StatusServiceUnavailable}
	if o.method != http.MethodGet {
		statuses = append(statuses, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	for _, status := range append(statuses, o.refusals...) {
		responses[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status),
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: a.problem}},
		}
	}
	huma.Register(a.huma, huma.Operation{
		OperationID: o.id, Method: o.method, Path: o.path, Summary: o.summary, Description: o.description,
		DefaultStatus: o.status, Responses: responses, MaxBodyBytes: maxForm,
	}, func(ctx context.Context, in *I) (*O, error) {
		out, err := do(ctx, actorFrom(ctx), in)
		if err != nil {
			return nil, told(ctx, err)
		}
		return out, nil
	})
}

// problemJSON is RFC 9457, with members of its own.
type problemJSON struct {
	Type      string            `json:"type" doc:"Always about:blank: code tells what it is"`
	Title     string            `json:"title"`
	Status    int               `json:"status"`
	Detail    string            `json:"detail" doc:"One sentence that says what to do"`
	Code      string            `json:"code" doc:"Stable, to branch on"`
	RequestID string            `json:"request_id"`
	Params    map[string]string `json:"params,omitempty" doc:"Facts, such as the field that is wrong"`
}

// problem is the dialect of the API.
func problem(h http.Header, e *strikeplate.Error, requestID string) []byte {
	h.Set("Content-Type", "application/problem+json")
	body, err := json.Marshal(problemJSON{
		Type: "about:blank", Title: http.StatusText(e.Status), Status: e.Status,
		Detail: e.Message, Code: e.Code, RequestID: requestID, Params: e.Params,
	})
	if err != nil {
		return nil // texts and numbers can be marshalled
	}
	return append(body, '\n')
}

// telling is a refusal as huma writes it: what [strikeplate.Fail] makes of it,
// so that it is logged and noted like any other.
type telling struct {
	status int
	header http.Header
	body   []byte
	err    error
}

func told(ctx context.Context, err error) *telling {
	r, ok := ctx.Value(requestKey{}).(*http.Request)
	if !ok {
		r = (&http.Request{Header: http.Header{}}).WithContext(ctx)
	}
	t := &telling{header: http.Header{}, err: err}
	strikeplate.Fail(t.writer(), r, err)
	return t
}

// Error, GetStatus, GetHeaders and ContentType are what huma asks for.
func (t *telling) Error() string                { return t.err.Error() }
func (t *telling) GetStatus() int               { return t.status }
func (t *telling) GetHeaders() http.Header      { return t.header }
func (t *telling) ContentType(string) string    { return "application/problem+json" }
func (t *telling) MarshalJSON() ([]byte, error) { return t.body, nil }

func (t *telling) writer() http.ResponseWriter { return (*tellingWriter)(t) }

// tellingWriter keeps what Fail writes.
type tellingWriter telling

func (w *tellingWriter) Header() http.Header    { return w.header }
func (w *tellingWriter) WriteHeader(status int) { w.status = status }
func (w *tellingWriter) Write(p []byte) (int, error) {
	w.body = append(w.body, p...)
	return len(p), nil
}

// toldByHuma puts the errors that huma itself finds, in the form of a request,
// into the form of all others.
func toldByHuma(ctx huma.Context, _ string, v any) (any, error) {
	e, ok := v.(huma.StatusError)
	if !ok {
		return v, nil
	}
	if _, ok := v.(*telling); ok {
		return v, nil
	}
	refusal := &strikeplate.Error{Status: e.GetStatus(), Code: "invalid_request", Message: "The request is not as the API's document describes it."}
	var model *huma.ErrorModel
	if errors.As(e, &model) {
		refusal.Message, refusal.Params = wrong(model)
	}
	t := told(ctx.Context(), refusal)
	for name, values := range t.header {
		ctx.SetHeader(name, values[0])
	}
	return t, nil
}

// wrong says which part of a request is wrong, and why.
func wrong(m *huma.ErrorModel) (string, map[string]string) {
	message := "The request is not as the API's document describes it: " + m.Detail + "."
	if len(m.Errors) == 0 || m.Errors[0] == nil {
		return message, nil
	}
	first := m.Errors[0]
	if first.Location == "" {
		return message, nil
	}
	field := strings.TrimPrefix(first.Location, "body.")
	return fmt.Sprintf("%.200s: %.200s.", field, first.Message), map[string]string{"field": field}
}
