package leak_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/leak"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

// The whole way with a signature by openssl: keys of every kind and state are
// labelled and revoked, and the service refuses them from the next request on.
func TestReportSignedByOpenSSL(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		signer := newSigner(t, "f9525bf0")
		w := newWorld(t, s, formats(), newKeyServer(t, signer).used)
		w.must(s.PutUser(t.Context(), storage.User{ID: "zoe", Organisation: "acme"})) // deactivated

		want := make(map[string]string)
		var reports []report
		var revoked []string
		add := func(token, label string) {
			reports = append(reports, leaked(token)...)
			want[hashed(token)] = label
		}
		for _, f := range []struct {
			prefix string
			env    strikeplate.Environment
		}{{"mvo_", strikeplate.Live}, {"mvo_", strikeplate.Test}, {"mavio_sk_", strikeplate.Live}, {"", strikeplate.Live}} {
			text, k := w.mint(f.prefix, f.env)
			w.put(k)
			if code := w.code(text); code != "" { // proven, and remembered as such
				t.Fatal(code)
			}
			add(text, "true_positive")
			revoked = append(revoked, text)
		}
		expired, expiredKey := w.key(func(k *storage.Key) { k.Expires = time.Now().Add(-time.Hour) })
		add(expired, "true_positive")
		gone, goneKey := w.key(func(k *storage.Key) { k.Revoked, k.RevokedBecause = time.Now(), "unused" })
		add(gone, "true_positive")
		orphan, orphanKey := w.key(func(k *storage.Key) { k.Access, k.Owner = strikeplate.UserFull, "zoe" })
		add(orphan, "true_positive")
		former, formerKey := importFormer(t, w)
		add(former, "true_positive")

		unknown, _ := w.mint("mvo_", strikeplate.Live)
		add(unknown, "false_positive")
		wrong, wrongKey := w.mint("mvo_", strikeplate.Live)
		_, other := w.mint("mvo_", strikeplate.Live)
		wrongKey.Hash = other.Hash // the right id, the wrong secret
		w.put(wrongKey)
		add(wrong, "false_positive")
		add("mvo_live_"+strings.Repeat("x", 45), "false_positive")
		add("nothing like a key", "false_positive")

		content := body(t, reports)
		fields := signer.sign(content)
		reply := post(w.intake.GitHub(), content, fields)
		if diff := cmp.Diff(want, labels(t, reply)); diff != "" {
			t.Fatal(diff)
		}
		for _, r := range reports {
			if strings.Contains(reply.Body.String(), r.Token) {
				t.Errorf("the reply contains a token: %s", reply.Body)
			}
		}
		for _, text := range append(revoked, former, expired, orphan) {
			if code := w.code(text); code != strikeplate.CodeRevoked {
				t.Errorf("a leaked key is answered %q", code)
			}
		}
		for _, k := range []storage.Key{expiredKey, orphanKey, formerKey} {
			if got := w.stored(k); got.Revoked.IsZero() || got.RevokedBecause != "leaked: reported by github" {
				t.Errorf("%+v", got)
			}
		}
		if got := w.stored(goneKey); got.RevokedBecause != "unused" {
			t.Errorf("a revoked key changed: %+v", got)
		}
		if !w.stored(wrongKey).Revoked.IsZero() {
			t.Error("a key was revoked by its id alone")
		}

		// Replayed: the same labels, and nothing changes.
		before := w.entries()
		if diff := cmp.Diff(want, labels(t, post(w.intake.GitHub(), content, fields))); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(before, w.entries(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Error(diff)
		}
	})
}

// importFormer stores a key of a shape that is no longer minted.
func importFormer(t testing.TB, w *world) (string, storage.Key) {
	t.Helper()
	text := "mav.7f3a9.c2VjcmV0IG9mIGEgZm9ybWVyIHRpbWU"
	hash, err := w.scheme.StoredHash(keyauth.ForeignHash{Kind: keyauth.SHA256, Text: hashed("c2VjcmV0IG9mIGEgZm9ybWVyIHRpbWU")})
	w.must(err)
	_, k := w.mint("mavio_sk_", strikeplate.Live)
	k.Lookup, k.Hash, k.Access = "7f3a9", hash, strikeplate.Legacy
	w.put(k)
	return text, k
}

// The audit log tells where the key was found, in the revocation's transaction,
// and of the revocation as package manage does.
func TestAuditOfALeak(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		signer := newSigner(t, "id")
		w := newWorld(t, s, formats(), newKeyServer(t, signer).used)
		text, k := w.key()
		secret := text[len("mvo_live_")+11 : len("mvo_live_")+38]
		dirty := report{Token: text, Type: "mvo_live_api_key", Source: "Gist\x00_content\n",
			URL: "https://gist.example/" + text + "/?again=" + strings.ReplaceAll(text, "_", "%5F") + strings.Repeat("é", 400)}
		content := body(t, []report{dirty, dirty, {Token: text, Type: "another_type"}})
		reply := post(w.intake.GitHub(), content, signer.sign(content))
		if n := strings.Count(reply.Body.String(), "true_positive"); n != 2 { // one for each type
			t.Errorf("%d verdicts: %s", n, reply.Body)
		}

		entries := w.entries()
		if len(entries) != 2 || entries[0].Action != leak.ActionLeaked || entries[1].Action != manage.ActionRevoke {
			t.Fatalf("%+v", entries)
		}
		for _, e := range entries {
			if e.Actor.Role != "system" || e.Actor.User != "" || e.Actor.Client.String() != "192.0.2.44" || e.Target != k.ID {
				t.Errorf("%+v", e)
			}
			for _, b := range [][]byte{e.Before, e.After} {
				if strings.Contains(string(b), secret) || strings.Contains(string(b), k.Hash) {
					t.Errorf("the log holds a secret: %s", b)
				}
			}
		}
		var after struct {
			manage.Key
			Leak leak.Leak `json:"leak"`
		}
		w.must(json.Unmarshal(entries[0].After, &after))
		if after.ID != k.ID || after.Status != storage.Active {
			t.Errorf("%+v", after.Key)
		}
		if l := after.Leak; l.Reporter != "github" || l.Type != "mvo_live_api_key" || l.Source != "Gist _content " || l.Places != 3 ||
			len(l.URL) > 520 || !strings.Contains(l.URL, "[redacted]") {
			t.Errorf("%+v", l)
		}
		compareWithManage(t, w, entries[1])
	})
}

// compareWithManage revokes another key by package manage: the entries differ
// in the names only.
func compareWithManage(t *testing.T, w *world, got storage.Entry) {
	t.Helper()
	service, err := manage.New(manage.Config{Scheme: w.scheme, Keys: w.store, Directory: w.store, MaxKeys: manage.Unlimited})
	w.must(err)
	_, k := w.key()
	_, err = service.Revoke(w.Context(), storage.Actor{User: "ada", Organisation: "acme", Role: "admin"}, k.ID, "why")
	w.must(err)
	entries := w.entries()
	want := entries[len(entries)-1]
	for _, pair := range [][2][]byte{{want.Before, got.Before}, {want.After, got.After}} {
		var names [2][]string
		var fields [2]map[string]any
		for i, text := range pair {
			w.must(json.Unmarshal(text, &fields[i]))
			for _, name := range []string{"status", "version", "secret_version", "environment", "access", "scopes"} {
				if cmp.Diff(fields[0][name], fields[i][name]) != "" {
					t.Errorf("%s: manage says %v, leak %v", name, fields[0][name], fields[i][name])
				}
			}
			for name := range fields[i] {
				names[i] = append(names[i], name)
			}
		}
		if len(names[0]) != len(names[1]) {
			t.Errorf("manage tells %v, leak %v", names[0], names[1])
		}
	}
}

// Leaks that are only reported change no key, and are told once.
func TestReportOnly(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		signer := newSigner(t, "id")
		w := newWorld(t, s, formats(), newKeyServer(t, signer).used, func(c *leak.Config) { c.Action = leak.ReportOnly })
		text, k := w.key()
		gone, _ := w.key(func(k *storage.Key) { k.Revoked = time.Now() })
		content := body(t, leaked(text, gone))
		for range 2 {
			reply := post(w.intake.GitHub(), content, signer.sign(content))
			if found := labels(t, reply); found[hashed(text)] != "true_positive" || found[hashed(gone)] != "true_positive" {
				t.Errorf("%v", found)
			}
		}
		if code := w.code(text); code != "" || !w.stored(k).Revoked.IsZero() {
			t.Errorf("the key was revoked: %s", code)
		}
		if entries := w.entries(); len(entries) != 1 || entries[0].Action != leak.ActionLeaked || entries[0].Target != k.ID {
			t.Errorf("%+v", entries)
		}
	})
}

func TestEchoTokens(t *testing.T) {
	signer := newSigner(t, "id")
	w := newWorld(t, closing(t, memoryStore()), formats(), newKeyServer(t, signer).used,
		func(c *leak.Config) { c.InsecureEchoTokens = true })
	text, _ := w.key()
	content := body(t, leaked(text))
	reply := post(w.intake.GitHub(), content, signer.sign(content))
	var got []map[string]string
	w.must(json.Unmarshal(reply.Body.Bytes(), &got))
	want := []map[string]string{{"token_raw": text, "token_type": "mvo_live_api_key", "label": "true_positive"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Whatever is wrong with a report is told before anything of it is looked at.
func TestGitHubRefusals(t *testing.T) {
	signer, stranger := newSigner(t, "known"), newSigner(t, "known")
	nobody := newSigner(t, "unknown")
	keys := newKeyServer(t, signer)
	w := newWorld(t, closing(t, memoryStore()), formats(), keys.used)
	text, k := w.key()
	content := body(t, leaked(text))
	good := signer.sign(content)
	with := func(name, value string) map[string]string {
		fields := map[string]string{}
		for n, v := range good {
			fields[n] = v
		}
		fields[name] = value
		return fields
	}
	const id, signature = "Github-Public-Key-Identifier", "Github-Public-Key-Signature"
	large := append([]byte("["), make([]byte, leak.MaxBody)...)
	many := body(t, leaked(strings.Split(strings.Repeat("x ", leak.MaxReports+1), " ")...))
	for what, test := range map[string]struct {
		content []byte
		fields  map[string]string
		status  int
		code    string
	}{
		"another's key":       {content, stranger.sign(content), 401, leak.CodeSignature},
		"an unlisted key":     {content, nobody.sign(content), 401, leak.CodeSignature},
		"a changed body":      {append([]byte(" "), content...), good, 401, leak.CodeSignature},
		"another body":        {body(t, leaked(text, text)), good, 401, leak.CodeSignature},
		"no signature":        {content, with(signature, ""), 401, leak.CodeSignature},
		"no identifier":       {content, with(id, ""), 401, leak.CodeSignature},
		"not base64":          {content, with(signature, "???"), 401, leak.CodeSignature},
		"not ASN.1":           {content, with(signature, "AAAA"), 401, leak.CodeSignature},
		"a long signature":    {content, with(signature, strings.Repeat("AAAA", 100)), 401, leak.CodeSignature},
		"a long identifier":   {content, with(id, strings.Repeat("x", 300)), 401, leak.CodeSignature},
		"a text":              {content, with("Content-Type", "text/plain"), 415, leak.CodeReport},
		"no type":             {content, with("Content-Type", ""), 415, leak.CodeReport},
		"compressed":          {content, with("Content-Encoding", "gzip"), 415, leak.CodeReport},
		"too large":           {large, good, 413, leak.CodeReport},
		"too many":            {many, signer.sign(many), 413, leak.CodeReport},
		"not JSON":            {[]byte("?"), signer.sign([]byte("?")), 400, leak.CodeReport},
		"an object":           {[]byte("{}"), signer.sign([]byte("{}")), 400, leak.CodeReport},
		"two arrays":          {[]byte("[][]"), signer.sign([]byte("[][]")), 400, leak.CodeReport},
		"an unfinished array": {[]byte("[{}"), signer.sign([]byte("[{}")), 400, leak.CodeReport},
		"a number as token":   {[]byte(`[{"token":1}]`), signer.sign([]byte(`[{"token":1}]`)), 400, leak.CodeReport},
	} {
		t.Run(what, func(t *testing.T) {
			reply := post(w.intake.GitHub(), test.content, test.fields)
			refused(t, reply, test.status, test.code, text)
			if test.status == 401 && reply.Header().Get("Www-Authenticate") == "" {
				t.Error("401 without a challenge")
			}
		})
	}
	r := httptest.NewRequest(http.MethodGet, "/leaks", http.NoBody)
	reply := httptest.NewRecorder()
	w.intake.GitHub().ServeHTTP(reply, r)
	if refused(t, reply, 405, leak.CodeReport); reply.Header().Get("Allow") != "POST" {
		t.Error("405 without Allow")
	}
	if !w.stored(k).Revoked.IsZero() || len(w.entries()) != 0 || w.intake.Stats().Reported != 0 {
		t.Error("a refused report had an effect")
	}
	if n := keys.asked.Load(); n != 1 {
		t.Errorf("the sender's keys were asked for %d times", n)
	}
	for _, empty := range []string{"[]", ` [ {} , null, {"token":""} ] `} {
		if found := labels(t, post(w.intake.GitHub(), []byte(empty), signer.sign([]byte(empty)))); len(found) != 0 {
			t.Errorf("%s: %v", empty, found)
		}
	}
}
