package usage_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/usage"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

func Example() {
	ctx := context.Background()
	store := memory.New() // or sqlite, or postgres
	counter, err := usage.New(usage.Config{Store: store})
	if err != nil {
		log.Fatal(err)
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/meetings/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") == "0" {
			http.NotFound(w, r)
		}
	})
	// In earnest this is keyauth.New.
	keys := authenticator(func(*http.Request) *strikeplate.Principal {
		return &strikeplate.Principal{Kind: strikeplate.KindKey, Organisation: "acme", Credential: "k1", Lineage: "k1", Environment: strikeplate.Live}
	})
	edge := strikeplate.Edge{Done: []func(*strikeplate.Exchange){counter.Observe}}
	api := edge.Handler(counter.Browsers(strikeplate.Require(keys)(mux)))

	for _, path := range []string{"/v1/meetings/7", "/v1/meetings/8", "/v1/meetings/9", "/v1/meetings/0"} {
		api.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
	}
	if err := counter.Close(ctx); err != nil { // after the server's Shutdown
		log.Fatal(err)
	}

	now := time.Now()
	q := storage.UsageQuery{Organisation: "acme", Lineage: "k1", From: now.Add(-23 * time.Hour), To: now.Add(time.Hour)}
	series, err := counter.Series(ctx, q)
	if err != nil {
		log.Fatal(err)
	}
	endpoints, err := counter.Endpoints(ctx, q)
	if err != nil {
		log.Fatal(err)
	}
	used, err := counter.LastUsed(ctx, []string{"k1"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d requests, %.0f%% errors\n", series.Total.Requests(), 100*series.Total.ErrorRate())
	fmt.Println(endpoints[0].Pattern, endpoints[0].Requests())
	fmt.Println("used in the last minute:", now.Sub(used["k1"]) < time.Minute)
	// Output:
	// 4 requests, 25% errors
	// GET /v1/meetings/{id} 4
	// used in the last minute: true
}
