package prometheus_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/usage"
	"github.com/strikeplate/strikeplate/keyauth/usage/prometheus"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// who is an authenticator: the header says who it is.
type who struct{}

func (who) Authenticate(r *http.Request) (*strikeplate.Principal, error) {
	id := r.Header.Get("X-Key")
	switch id {
	case "":
		return nil, &strikeplate.Error{Status: 401, Code: strikeplate.CodeInvalid}
	case "revoked":
		return nil, &strikeplate.Error{Status: 401, Code: strikeplate.CodeRevoked, Credential: id}
	case "left":
		return nil, &strikeplate.Error{Status: 503, Code: strikeplate.CodeUnavailable, Credential: id, Err: context.Canceled}
	}
	return &strikeplate.Principal{Organisation: "acme", Credential: id, Lineage: id}, nil
}

func serve(done ...func(*strikeplate.Exchange)) func(key, path string) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/things/{id}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /v1/missing", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) })
	handler := strikeplate.Edge{Done: done}.Handler(strikeplate.Require(who{})(mux))
	return func(key, path string) {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		if key != "" {
			r.Header.Set("X-Key", key)
		}
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
}

func TestMetrics(t *testing.T) {
	registry := prom.NewPedanticRegistry()
	counter, err := usage.New(usage.Config{Store: memory.New()})
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := prometheus.New(prometheus.Config{Registerer: registry, Keys: 2, Counter: counter})
	if err != nil {
		t.Fatal(err)
	}
	get := serve(counter.Observe, metrics.Observe)
	get("k1", "/v1/things/1")
	get("k1", "/v1/things/2")
	get("k2", "/v1/missing")
	get("k3", "/v1/things/3") // beyond the bound
	get("k1", "/no/such/route")
	get("", "/v1/things/4")
	get("revoked", "/v1/things/5")
	get("left", "/v1/things/6")
	if err := counter.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	const expected = `
# HELP strikeplate_refusals_total Refused requests by code, and whether the credential was proven.
# TYPE strikeplate_refusals_total counter
strikeplate_refusals_total{code="invalid_api_key",proven="false"} 1
strikeplate_refusals_total{code="revoked_api_key",proven="true"} 1
# HELP strikeplate_requests_total Requests by route, class of status, and credential where that is told.
# TYPE strikeplate_requests_total counter
strikeplate_requests_total{class="2xx",credential="(other)",route="GET /v1/things/{id}"} 1
strikeplate_requests_total{class="2xx",credential="k1",route="GET /v1/things/{id}"} 2
strikeplate_requests_total{class="4xx",credential="",route="(unmatched)"} 1
strikeplate_requests_total{class="4xx",credential="(other)",route="(unmatched)"} 1
strikeplate_requests_total{class="4xx",credential="k1",route="(unmatched)"} 1
strikeplate_requests_total{class="4xx",credential="k2",route="GET /v1/missing"} 1
strikeplate_requests_total{class="abandoned",credential="",route="(unmatched)"} 1
# HELP strikeplate_usage_pending_requests Requests that were counted and wait to be stored.
# TYPE strikeplate_usage_pending_requests gauge
strikeplate_usage_pending_requests 0
# HELP strikeplate_usage_stored_total Requests that were counted and stored.
# TYPE strikeplate_usage_stored_total counter
strikeplate_usage_stored_total 6
`
	err = testutil.GatherAndCompare(registry, strings.NewReader(expected), "strikeplate_requests_total", "strikeplate_refusals_total",
		"strikeplate_usage_stored_total", "strikeplate_usage_pending_requests")
	if err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(registry, "strikeplate_request_duration_seconds"); err != nil || n != 3 {
		t.Errorf("%d histograms, %v, want one for each route", n, err)
	}
}

// TestLabelsAreBounded: keys have no label unless asked for, and routes a bound.
func TestLabelsAreBounded(t *testing.T) {
	registry := prom.NewPedanticRegistry()
	metrics, err := prometheus.New(prometheus.Config{Registerer: registry, Routes: 5, Namespace: "api"})
	if err != nil {
		t.Fatal(err)
	}
	get := serve(func(x *strikeplate.Exchange) { x.SetPattern("GET " + x.ID()); metrics.Observe(x) })
	for i := range 100 {
		get(fmt.Sprint("k", i), "/v1/things/1")
	}
	if n, err := testutil.GatherAndCount(registry, "api_requests_total"); err != nil || n != 6 {
		t.Errorf("%d series, %v, want 5 routes and the others", n, err)
	}
}

func TestConfig(t *testing.T) {
	registry := prom.NewRegistry()
	for _, c := range []prometheus.Config{{}, {Registerer: registry, Keys: -1}, {Registerer: registry, Routes: -1}} {
		if _, err := prometheus.New(c); err == nil {
			t.Errorf("accepted %+v", c)
		}
	}
	if _, err := prometheus.New(prometheus.Config{Registerer: registry}); err != nil {
		t.Fatal(err)
	}
	if _, err := prometheus.New(prometheus.Config{Registerer: registry}); err == nil {
		t.Error("registered twice")
	}
}

func Example() {
	registry := prom.NewRegistry()
	metrics, err := prometheus.New(prometheus.Config{Registerer: registry})
	if err != nil {
		panic(err)
	}
	get := serve(metrics.Observe) // an Edge with metrics.Observe in Done
	get("k1", "/v1/things/1")
	families, _ := registry.Gather()
	for _, f := range families {
		fmt.Println(f.GetName(), len(f.GetMetric()))
	}
	// Output:
	// strikeplate_request_duration_seconds 1
	// strikeplate_requests_total 1
}

// TestDocuments: what the dashboard and the alert rules ask for is there, and
// promtool finds the rules right.
func TestDocuments(t *testing.T) {
	store := memory.New()
	scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{Formats: []keyauth.Format{{Prefix: "k_"}}, TagKeys: [][]byte{make([]byte, 32)}})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keyauth.New(keyauth.Config{Scheme: scheme, Keys: store, Directory: store, Feed: store})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = keys.Close(context.Background()) }()
	counter, err := usage.New(usage.Config{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = counter.Close(context.Background()) }()
	registry := prom.NewPedanticRegistry()
	metrics, err := prometheus.New(prometheus.Config{Registerer: registry, Counter: counter, Authenticator: keys, Fallback: func() bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	get := serve(metrics.Observe)
	get("k1", "/v1/things/1")
	get("", "/v1/things/1")
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, f := range families {
		known[f.GetName()], known[f.GetName()+"_bucket"] = true, true
		if f.GetName() == "strikeplate_ratelimit_fallback" && f.GetMetric()[0].GetGauge().GetValue() != 1 {
			t.Error("the fallback is in force, and not told")
		}
	}
	dir := filepath.Join("..", "..", "..", "docs", "observability")
	for _, name := range []string{"alerts.yml", "dashboard.json", "README.md"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`strikeplate_[a-z_]*[a-z]`).FindAllString(string(content), -1)
		if len(found) == 0 {
			t.Errorf("%s names no metric", name)
		}
		for _, metric := range found {
			if !known[metric] {
				t.Errorf("%s asks for %s, which there is not", name, metric)
			}
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("STRIKEPLATE_REQUIRE_SERVICES") == "1" {
			t.Fatal("promtool is missing: apt-get install prometheus")
		}
		t.Skip("promtool is missing: apt-get install prometheus")
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
