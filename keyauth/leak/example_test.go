package leak_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/leak"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// A scanner of the team's own finds a key in a build log, and it is revoked.
func Example() {
	ctx := context.Background()
	store := memory.New()
	scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{
		Formats: []keyauth.Format{{Prefix: "mavio_sk_"}},
		TagKeys: [][]byte{[]byte("32 random bytes, the same always")},
	})
	if err != nil {
		panic(err)
	}
	keys, err := manage.New(manage.Config{Scheme: scheme, Keys: store, InsecureNoDirectory: true, MaxKeys: 25})
	if err != nil {
		panic(err)
	}
	admin := storage.Actor{User: "ada", Organisation: "acme", Role: "admin"}
	created, err := keys.Create(ctx, admin, manage.Creation{
		Name: "CI", Prefix: "mavio_sk_", Access: strikeplate.OrganisationLimited})
	if err != nil {
		panic(err)
	}

	secret := []byte("32 other bytes, shared with it..")
	intake, err := leak.New(leak.Config{Scheme: scheme, Keys: store, ScannerSecrets: [][]byte{secret}})
	if err != nil {
		panic(err)
	}
	defer func() { _ = intake.Close(ctx) }()
	mux := http.NewServeMux()
	mux.Handle("POST /leaks/github", intake.GitHub())
	mux.Handle("POST /leaks/scanner", intake.Scanner())
	service := strikeplate.Edge{}.Handler(mux)

	body := `[{"token":"` + created.Secret.Reveal() + `","type":"mavio_sk_api_key","url":"","source":"build log"}]`
	now := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(now + "." + body))
	r := httptest.NewRequest(http.MethodPost, "/leaks/scanner", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Leak-Timestamp", now)
	r.Header.Set("Leak-Signature", hex.EncodeToString(mac.Sum(nil)))
	w := httptest.NewRecorder()
	service.ServeHTTP(w, r)

	key, err := keys.Get(ctx, admin, created.Key.ID)
	if err != nil {
		panic(err)
	}
	fmt.Println(w.Code, strings.Contains(w.Body.String(), "true_positive"))
	fmt.Println(key.Status, key.RevokedBecause)
	// Output:
	// 200 true
	// revoked leaked: reported by scanner
}
