package otel_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/usage"
	"github.com/strikeplate/strikeplate/keyauth/usage/otel"
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
	handler := strikeplate.Edge{Done: done}.Handler(strikeplate.Require(who{})(mux))
	return func(key, path string) {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		if key != "" {
			r.Header.Set("X-Key", key)
		}
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
}

// collected are the values of all instruments, by name and attributes; of a
// histogram the number of requests.
func collected(t testing.TB, reader sdk.Reader) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	found := make(map[string]int64)
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					found[m.Name+fmt.Sprint(p.Attributes.ToSlice())] = p.Value
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					found[m.Name+fmt.Sprint(p.Attributes.ToSlice())] = p.Value
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					found[m.Name+fmt.Sprint(p.Attributes.ToSlice())] = int64(p.Count)
				}
			}
		}
	}
	return found
}

func names(found map[string]int64) []string {
	var all []string
	for name, n := range found {
		all = append(all, fmt.Sprintf("%s %d", name, n))
	}
	slices.Sort(all)
	return all
}

func TestMetrics(t *testing.T) {
	reader := sdk.NewManualReader()
	counter, err := usage.New(usage.Config{Store: memory.New()})
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := otel.New(otel.Config{Meter: sdk.NewMeterProvider(sdk.WithReader(reader)).Meter("test"), Keys: 1, Counter: counter})
	if err != nil {
		t.Fatal(err)
	}
	get := serve(counter.Observe, metrics.Observe)
	get("k1", "/v1/things/1")
	get("k1", "/v1/things/2")
	get("k2", "/v1/things/3") // beyond the bound
	get("", "/v1/things/4")
	get("revoked", "/v1/things/5")
	get("left", "/v1/things/6")
	if err := counter.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	got := collected(t, reader)
	var requests, refusals, histograms, series int64
	for name, n := range got {
		switch {
		case has(name, "strikeplate.requests"):
			requests += n
			series++
		case has(name, "strikeplate.refusals"):
			refusals += n
		case has(name, "strikeplate.request.duration"):
			histograms += n
		}
	}
	want := map[string]int64{"requests": 6, "series": 5, "refusals": 2, "histograms": 5, "stored": 4, "pending": 0}
	have := map[string]int64{"requests": requests, "series": series, "refusals": refusals, "histograms": histograms,
		"stored": got["strikeplate.usage.stored[]"], "pending": got["strikeplate.usage.pending[]"]}
	if d := cmp.Diff(want, have); d != "" {
		t.Errorf("(-want +got):\n%s\n%q", d, names(got))
	}
	if err := metrics.Close(); err != nil {
		t.Fatal(err)
	}
	if _, ok := collected(t, reader)["strikeplate.usage.stored[]"]; ok {
		t.Error("the Counter is asked after Close")
	}
}

// TestState: why hashes wait, whether the feed is heard and whether limits are
// counted alone.
func TestState(t *testing.T) {
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
	reader := sdk.NewManualReader()
	alone := true
	metrics, err := otel.New(otel.Config{
		Meter: sdk.NewMeterProvider(sdk.WithReader(reader)).Meter("test"), Authenticator: keys, Fallback: func() bool { return alone },
	})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer k_nonsense")
	if _, err := keys.Authenticate(r); err == nil {
		t.Fatal("nonsense was let in")
	}
	got := collected(t, reader)
	for name, want := range map[string]int64{
		"strikeplate.keyauth.malformed[]": 1, "strikeplate.keyauth.hashes[]": 0, "strikeplate.keyauth.hash_queue[]": 0,
		"strikeplate.ratelimit.fallback[]": 1,
	} {
		if n, ok := got[name]; !ok || n != want {
			t.Errorf("%s is %d (told: %v), want %d", name, n, ok, want)
		}
	}
	var shared int
	for name := range got {
		if has(name, "strikeplate.keyauth.shared_proofs") {
			shared++
		}
	}
	if shared != 4 {
		t.Errorf("what came of shared proofs is told in %d ways, want 4: %q", shared, names(got))
	}
	alone = false
	if n := collected(t, reader)["strikeplate.ratelimit.fallback[]"]; n != 0 {
		t.Error("the fallback is told, and not in force")
	}
	if err := metrics.Close(); err != nil {
		t.Fatal(err)
	}
	if _, ok := collected(t, reader)["strikeplate.ratelimit.fallback[]"]; ok {
		t.Error("Fallback is asked after Close")
	}
}

func has(name, instrument string) bool {
	return len(name) > len(instrument) && name[:len(instrument)+1] == instrument+"["
}

// TestAttributesAreBounded: keys have none unless asked for, and routes a bound.
func TestAttributesAreBounded(t *testing.T) {
	reader := sdk.NewManualReader()
	metrics, err := otel.New(otel.Config{Meter: sdk.NewMeterProvider(sdk.WithReader(reader)).Meter("test"), Routes: 5})
	if err != nil {
		t.Fatal(err)
	}
	get := serve(func(x *strikeplate.Exchange) { x.SetPattern("GET " + x.ID()); metrics.Observe(x) })
	for i := range 100 {
		get(fmt.Sprint("k", i), "/v1/things/1")
	}
	series := 0
	for name := range collected(t, reader) {
		if has(name, "strikeplate.requests") {
			series++
		}
	}
	if series != 6 {
		t.Errorf("%d series, want 5 routes and the others", series)
	}
	if err := metrics.Close(); err != nil {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	meter := sdk.NewMeterProvider().Meter("test")
	for _, c := range []otel.Config{{}, {Meter: meter, Keys: -1}, {Meter: meter, Codes: -1}} {
		if _, err := otel.New(c); err == nil {
			t.Errorf("accepted %+v", c)
		}
	}
}

func Example() {
	reader := sdk.NewManualReader()
	metrics, err := otel.New(otel.Config{Meter: sdk.NewMeterProvider(sdk.WithReader(reader)).Meter("api")})
	if err != nil {
		panic(err)
	}
	get := serve(metrics.Observe) // an Edge with metrics.Observe in Done
	get("k1", "/v1/things/1")
	var all metricdata.ResourceMetrics
	_ = reader.Collect(context.Background(), &all)
	for _, m := range all.ScopeMetrics[0].Metrics {
		fmt.Println(m.Name, m.Unit)
	}
	// Output:
	// strikeplate.requests {request}
	// strikeplate.request.duration s
}
