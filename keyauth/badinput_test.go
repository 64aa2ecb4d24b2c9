package keyauth_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/storage"
)

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Over a real connection, every bad input gets the right status and code, no
// internal text, and leaves nothing of the secret in the log.
func TestBadInput(t *testing.T) {
	var log lockedBuffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	sc := mavio()
	sc.Formats = append(sc.Formats, keyauth.Format{Pair: true})
	s := newServiceWith(t, sc, func(c *keyauth.Config) { c.Logger = logger })
	h := strikeplate.Edge{Logger: logger}.Handler(strikeplate.Require(s.auth)(http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })))
	server := httptest.NewServer(h)
	defer server.Close()

	key := s.mint(t, strikeplate.Live)
	pair, _ := s.mintAs(t, s.scheme, "", strikeplate.Live)
	secret := key[len("mvo_live_")+11:]
	for _, test := range []struct {
		name    string
		headers []string // raw values of Authorization
		status  int
		code    string
	}{
		{"good", []string{"Bearer " + key}, 200, ""},
		{"scheme in capitals", []string{"BEARER " + key}, 200, ""},
		{"good pair", []string{"Bearer " + pair}, 200, ""},
		{"good pair as Basic", []string{"basic " + b64(pair)}, 200, ""},
		{"no header", nil, 401, "missing_api_key"},
		{"empty", []string{""}, 401, "invalid_api_key"},
		{"blank", []string{"   "}, 401, "invalid_api_key"},
		{"scheme alone", []string{"Bearer"}, 401, "invalid_api_key"},
		{"scheme and space", []string{"Bearer "}, 401, "invalid_api_key"},
		{"wrong scheme", []string{"Digest " + key}, 401, "invalid_api_key"},
		{"key without scheme", []string{key}, 401, "invalid_api_key"},
		{"two headers", []string{"Bearer " + key, "Bearer " + pair}, 401, "invalid_api_key"},
		{"the same header twice", []string{"Bearer " + key, "Bearer " + key}, 401, "invalid_api_key"},
		{"comma-joined", []string{"Bearer " + key + ", Bearer " + key}, 401, "invalid_api_key"},
		{"1 MiB", []string{"Bearer " + strings.Repeat("A", 1<<20)}, 401, "invalid_api_key"},
		{"non-ASCII", []string{"Bearer " + key[:20] + "é" + key[21:]}, 401, "invalid_api_key"},
		{"another alphabet's digits", []string{"Bearer " + key[:20] + "٣" + key[22:]}, 401, "invalid_api_key"},
		{"prefix alone", []string{"Bearer mvo_live_"}, 401, "invalid_api_key"},
		{"too short", []string{"Bearer mvo_live_abc"}, 401, "invalid_api_key"},
		{"too long", []string{"Bearer " + key + "a"}, 401, "invalid_api_key"},
		{"truncated", []string{"Bearer " + key[:len(key)-1]}, 401, "invalid_api_key"},
		{"wrong checksum", []string{"Bearer " + flip(key, len(key)-1)}, 401, "invalid_api_key"},
		{"typo in the secret", []string{"Bearer " + flip(key, 25)}, 401, "invalid_api_key"},
		{"other environment", []string{"Bearer mvo_test_" + key[len("mvo_live_"):]}, 401, "invalid_api_key"},
		{"unknown prefix", []string{"Bearer xyz_live_" + key[len("mvo_live_"):]}, 401, "invalid_api_key"},
		{"tab", []string{"Bearer\t" + key}, 401, "invalid_api_key"},
		{"inner space", []string{"Bearer " + key[:20] + " " + key[20:]}, 401, "invalid_api_key"},
		{"Basic without a colon", []string{"Basic " + b64(key)}, 401, "invalid_api_key"},
		{"Basic that isn't base64", []string{"Basic %%%"}, 401, "invalid_api_key"},
		{"Basic with two colons", []string{"Basic " + b64(pair+":x")}, 401, "invalid_api_key"},
		{"Basic with a NUL", []string{"Basic " + b64(pair[:15]+"\x00"+pair[16:])}, 401, "invalid_api_key"},
		{"Basic with a new line", []string{"Basic " + b64(pair+"\n")}, 401, "invalid_api_key"},
		{"pair without a secret", []string{"Bearer " + pair[:12]}, 401, "invalid_api_key"},
		{"pair without an id", []string{"Bearer " + pair[11:]}, 401, "invalid_api_key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
			if test.headers != nil {
				req.Header["Authorization"] = test.headers
			}
			res, err := server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			checkRefusal(t, res, test.status, test.code)
		})
	}
	t.Run("NUL byte in the header", func(t *testing.T) {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+key[:20]+"\x00"+key[21:]+"\r\nConnection: close\r\n\r\n")
		answer, _ := io.ReadAll(conn)
		if !bytes.HasPrefix(answer, []byte("HTTP/1.1 400 ")) { // net/http refuses it before us
			t.Errorf("got %.80q", answer)
		}
	})
	for _, hidden := range []string{secret, secret[:10], pair[12:], b64(pair)} {
		if strings.Contains(log.String(), hidden) {
			t.Errorf("the log holds %q", hidden)
		}
	}
}

// checkRefusal checks everything that a refusal over HTTP promises.
func checkRefusal(t *testing.T, res *http.Response, status int, code string) {
	t.Helper()
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != status {
		t.Fatalf("status %d, want %d: %s", res.StatusCode, status, body)
	}
	if res.Header.Get("X-Request-Id") == "" {
		t.Error("no request id")
	}
	if code == "" {
		return
	}
	var problem struct {
		Code      string `json:"code"`
		RequestID string `json:"request_id"`
	}
	if err := json.Unmarshal(body, &problem); err != nil || problem.Code != code {
		t.Errorf("body %s: want code %s", body, code)
	}
	if problem.RequestID != res.Header.Get("X-Request-Id") {
		t.Errorf("request id %q in the body, %q in the header", problem.RequestID, res.Header.Get("X-Request-Id"))
	}
	challenge := res.Header.Get("WWW-Authenticate")
	if status == 401 && !strings.HasPrefix(challenge, "Bearer") {
		t.Errorf("challenge %q", challenge)
	}
	if hasError := strings.Contains(challenge, "error="); hasError == (code == "missing_api_key") {
		t.Errorf("%s has the challenge %q", code, challenge) // RFC 6750 3.1
	}
	if (status == 429 || status == 503) && res.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// flip changes one letter to another of the alphabet.
func flip(s string, i int) string {
	c := byte('a')
	if s[i] == c {
		c = 'b'
	}
	return s[:i] + string(c) + s[i+1:]
}

// Through Verify, what HTTP can't carry is refused too.
func TestVerifyBadInput(t *testing.T) {
	s := newService(t, nil)
	key := s.mint(t, strikeplate.Live)
	for name, text := range map[string]string{
		"trailing new line": key + "\n", "trailing space": key + " ", "leading space": " " + key,
		"NUL": key[:20] + "\x00" + key[21:], "invalid UTF-8": key[:20] + "\xff" + key[21:],
		"oversized": strings.Repeat("mvo_live_", 1000), "with scheme": "Bearer " + key,
	} {
		_, err := s.auth.Verify(t.Context(), text, client)
		if refusal(t, err).Code != "invalid_api_key" {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := s.auth.Verify(t.Context(), "", client)
	wantCode(t, err, 401, "missing_api_key")
	if _, err := s.auth.Verify(t.Context(), key, client); err != nil {
		t.Error(err)
	}
}

// A stored hash is input too. One that can't be checked says nothing against
// the credential: 503, never 401, no panic, and a line in the log.
func TestCorruptedHash(t *testing.T) {
	const good = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U"
	for name, hash := range map[string]string{
		"no passes":          strings.Replace(good, "t=1", "t=0", 1),
		"no threads":         strings.Replace(good, "p=1", "p=0", 1),
		"huge memory":        strings.Replace(good, "m=8", "m=4294967295", 1),
		"huge passes":        strings.Replace(good, "t=1", "t=4294967295", 1),
		"garbage behind p":   strings.Replace(good, "p=1", "p=1xyz", 1),
		"garbage at the end": good + "$x",
		"leading zero":       strings.Replace(good, "m=8", "m=08", 1),
		"empty key":          good[:strings.LastIndex(good, "$")+1],
		"empty salt":         strings.Replace(good, "c2FsdHNhbHRzYWx0c2FsdA", "", 1),
		"argon2i":            strings.Replace(good, "argon2id", "argon2i", 1),
		"other version":      strings.Replace(good, "v=19", "v=16", 1),
		"plain text":         "hunter2",
		"empty":              "",
	} {
		t.Run(name, func(t *testing.T) {
			if err := keyauth.DecodeHash(good); err != nil {
				t.Fatalf("the uncorrupted hash: %v", err)
			}
			var log lockedBuffer
			s := newService(t, func(c *keyauth.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			text, key := s.mintAs(t, s.scheme, "mvo_", strikeplate.Live, func(k *storage.Key) { k.Hash = hash })
			_, err := s.auth.Verify(t.Context(), text, client)
			wantCode(t, err, 503, "temporarily_unavailable")
			if !strings.Contains(log.String(), key.ID) {
				t.Errorf("the log doesn't name the key: %s", log.String())
			}
			if hash != "" && strings.Contains(log.String(), hash) {
				t.Error("the log holds the hash")
			}
		})
	}
}

// X-API-Key and the query are read only where they were asked for, and two
// different credentials are refused wherever they stand.
func TestSources(t *testing.T) {
	s := newService(t, func(c *keyauth.Config) { c.Read = keyauth.Sources{XAPIKey: true, InsecureQuery: "api_key"} })
	plain := newService(t, nil)
	key, other := s.mint(t, strikeplate.Live), s.mint(t, strikeplate.Live)
	for _, test := range []struct {
		name          string
		bearer, named string
		query         []string
		code          string
	}{
		{"header", "", key, nil, ""},
		{"query", "", "", []string{key}, ""},
		{"the same everywhere", key, key, []string{key}, ""},
		{"two different", key, other, nil, "invalid_api_key"},
		{"query differs", key, key, []string{other}, "invalid_api_key"},
		{"query twice", "", "", []string{key, key}, "invalid_api_key"},
		{"foreign token beside a key", "eyJhbGciOi.e30.sig", key, nil, "invalid_api_key"},
		{"nothing", "", "", nil, "missing_api_key"},
		{"oversized", "", strings.Repeat("x", 1000), nil, "invalid_api_key"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/?"+url.Values{"api_key": test.query}.Encode(), nil)
		if test.bearer != "" {
			r.Header.Set("Authorization", "Bearer "+test.bearer)
		}
		if test.named != "" {
			r.Header.Set("X-API-Key", test.named)
		}
		_, err := s.auth.Authenticate(r)
		if test.code == "" && err != nil || test.code != "" && refusal(t, err).Code != test.code {
			t.Errorf("%s: %v, want %q", test.name, err, test.code)
		}
		if test.bearer == "" {
			_, err = plain.auth.Authenticate(r)
			wantCode(t, err, 401, "missing_api_key") // not read unless asked for
		}
	}
}
