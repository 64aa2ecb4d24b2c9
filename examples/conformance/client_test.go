package conformance_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// probe is what a case works with: the server, and a client without cookies.
type probe struct {
	*testing.T
	*server
	fresh func(t *testing.T) *server
}

// alone is a probe of a server that no other case uses.
func (p *probe) alone() *probe {
	p.Helper()
	return &probe{T: p.T, server: p.fresh(p.T), fresh: p.fresh}
}

// answer is a response that was read.
type answer struct {
	p      *probe
	what   string
	status int
	header http.Header
	body   []byte
}

func plain() *http.Client {
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// send sends a request. Headers are names and values in turn. On a machine that is
// busy a server may answer that it could not check in time: nothing was done then, and
// it is asked again, as clients do. No case is about that.
func (p *probe) send(c *http.Client, method, path, body string, headers ...string) answer {
	p.Helper()
	for patience := 10; ; patience-- {
		a := p.once(c, method, path, body, headers...)
		if a.status != http.StatusServiceUnavailable || patience == 0 {
			return a
		}
		p.Logf("%s: asked again after %.200s", a.what, a.body)
		select {
		case <-time.After(200 * time.Millisecond):
		case <-p.Context().Done():
			return a
		}
	}
}

func (p *probe) once(c *http.Client, method, path, body string, headers ...string) answer {
	p.Helper()
	if !strings.HasPrefix(path, "http") {
		path = p.BaseURL + path
	}
	r, err := http.NewRequestWithContext(p.Context(), method, path, strings.NewReader(body))
	if err != nil {
		p.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.Do(r)
	if err != nil {
		p.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	read, err := io.ReadAll(res.Body)
	if err != nil {
		p.Fatal(err)
	}
	return answer{p, method + " " + strings.TrimPrefix(path, p.BaseURL), res.StatusCode, res.Header, read}
}

// secret is the text of a demo key.
func (p *probe) secret(name string) string {
	p.Helper()
	k := p.Keys[name]
	if k.Key == "" {
		p.Fatalf("there is no demo key %q", name)
	}
	return k.Key
}

// call calls the API with the text of a key; "" is none. A body is sent as JSON.
func (p *probe) call(method, text, path string, body any, headers ...string) answer {
	p.Helper()
	if text != "" {
		headers = append([]string{"Authorization", "Bearer " + text}, headers...)
	}
	var content string
	if body != nil {
		content = marshalled(body)
		headers = append([]string{"Content-Type", "application/json"}, headers...)
	}
	return p.send(plain(), method, p.of.base+path, content, headers...)
}

// get calls the API with a demo key.
func (p *probe) get(key, path string, headers ...string) answer {
	p.Helper()
	return p.call(http.MethodGet, p.secret(key), path, nil, headers...)
}

// with calls the API's list with the text of a key.
func (p *probe) with(text string) answer {
	p.Helper()
	return p.call(http.MethodGet, text, p.of.list, nil)
}

func (p *probe) whoami(text string) answer {
	p.Helper()
	return p.call(http.MethodGet, text, "/whoami", nil)
}

// control uses one of the demo's controls.
func (p *probe) control(path, body string) answer {
	p.Helper()
	return p.send(plain(), http.MethodPost, path, body, "Content-Type", "application/json").want(http.StatusOK)
}

// clock sets the server's clock forward. Only a probe that is alone may.
func (p *probe) clock(by string) {
	p.Helper()
	p.control("/demo/clock", `{"advance": "`+by+`"}`)
}

// organisation changes an organisation, and later puts it back as the file of
// credentials says it was.
func (p *probe) organisation(name, change, back string) {
	p.Helper()
	path := "/demo/organisations/" + p.Organisations[name].ID
	p.control(path, change)
	p.Cleanup(func() { p.quietly(path, back) })
}

// leaves deactivates a user, until they return or the case ends.
func (p *probe) leaves(name string) (returns func()) {
	p.Helper()
	path := "/demo/users/" + p.Users[name].ID
	p.control(path, `{"active": false}`)
	p.Cleanup(func() { p.quietly(path, `{"active": true}`) })
	return func() { p.control(path, `{"active": true}`) }
}

// quietly uses a control when the case has ended, and its context with it.
func (p *probe) quietly(path, body string) {
	res, err := http.Post(p.BaseURL+path, "application/json", strings.NewReader(body))
	if err != nil {
		p.Error(err)
		return
	}
	_ = res.Body.Close()
}

// browser is a client that keeps cookies; a demo user is signed in, unless user is
// empty.
func (p *probe) browser(user string) *http.Client {
	p.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.Fatal(err)
	}
	c := plain()
	c.Jar = jar
	if user != "" {
		p.send(c, http.MethodPost, "/demo/login", `{"user": "`+user+`"}`, "Content-Type", "application/json").want(http.StatusOK)
	}
	return c
}

// want checks the status.
func (a answer) want(status ...int) answer {
	a.p.Helper()
	if !slices.Contains(status, a.status) {
		a.p.Errorf("%s: %d, want %d: %.500s", a.what, a.status, status, a.body)
	}
	return a
}

// refused checks the status and the stable code of a refusal by the API.
func (a answer) refused(status int, code string) answer {
	a.p.Helper()
	a.want(status)
	if got := a.p.of.code(a); got != code {
		a.p.Errorf("%s: code %q, want %q: %.500s", a.what, got, code, a.body)
	}
	return a
}

// has checks a field of the answer.
func (a answer) has(path, want string) answer {
	a.p.Helper()
	if got := a.at(path); got != want {
		a.p.Errorf("%s: %s is %q, want %q: %.500s", a.what, path, got, want, a.body)
	}
	return a
}

// at is a field of a JSON body, such as "data.0.id", as text: null is "null", and
// what isn't there is "".
func (a answer) at(path string) string {
	var v any
	d := json.NewDecoder(bytes.NewReader(a.body))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return ""
	}
	for part := range strings.SplitSeq(path, ".") {
		switch inner := v.(type) {
		case map[string]any:
			var there bool
			if v, there = inner[part]; !there {
				return ""
			}
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(inner) {
				return ""
			}
			v = inner[i]
		default:
			return ""
		}
	}
	switch v := v.(type) {
	case string:
		return v
	case nil:
		return "null"
	case map[string]any, []any:
		return marshalled(v)
	}
	return fmt.Sprint(v)
}

// number is a header field that is a number.
func (a answer) number(field string) int64 {
	a.p.Helper()
	n, err := strconv.ParseInt(a.header.Get(field), 10, 64)
	if err != nil {
		a.p.Errorf("%s: %s: %q is no number", a.what, field, a.header.Get(field))
	}
	return n
}

// read decodes the answer.
func read[T any](a answer) T {
	a.p.Helper()
	var v T
	if err := json.Unmarshal(a.body, &v); err != nil {
		a.p.Fatalf("%s: %v: %.500s", a.what, err, a.body)
	}
	return v
}

func marshalled(v any) string {
	if text, ok := v.(string); ok {
		return text
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps and lists always can be
	}
	return string(b)
}

// list follows a list's cursors to its end, and decodes its items.
func list[T any](p *probe, text, path string) []T {
	p.Helper()
	all := []T{}
	for next := path; ; {
		page := read[struct {
			Data []T
			Next *string
		}](p.call(http.MethodGet, text, next, nil).want(http.StatusOK))
		all = append(all, page.Data...)
		if page.Next == nil || p.Failed() {
			return all
		}
		separator := "?"
		if strings.Contains(path, "?") {
			separator = "&"
		}
		next = path + separator + "cursor=" + *page.Next
	}
}
