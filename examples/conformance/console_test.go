package conformance_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// visitor is somebody at the Developer page, by its HTML and by its JSON API.
type visitor struct {
	p *probe
	c *http.Client
}

func (p *probe) visit(user string) *visitor {
	p.Helper()
	return &visitor{p, p.browser(user)}
}

// admin is who manages the keys of the product's demo organisation.
func (p *probe) admin() *visitor {
	p.Helper()
	return p.visit(p.of.admin)
}

// api calls the page's JSON API.
func (v *visitor) api(method, path string, body any, headers ...string) answer {
	v.p.Helper()
	content := "{}"
	if body != nil {
		content = marshalled(body)
	}
	if method == http.MethodGet {
		content = ""
	}
	return v.p.send(v.c, method, v.p.of.console+"/api"+path, content, append([]string{"Content-Type", "application/json"}, headers...)...)
}

// refusedBy checks a refusal of the JSON API.
func (a answer) refusedBy(status int, code string) answer {
	a.p.Helper()
	return a.want(status).has("code", code)
}

// page gets a page below the console's address, or at a path that begins with "/".
func (v *visitor) page(path string) page {
	v.p.Helper()
	if !strings.HasPrefix(path, "/") {
		path = v.p.of.console + "/" + path
	}
	a := v.p.send(v.c, http.MethodGet, path, "")
	for hops := 0; a.status/100 == 3 && hops < 5; hops++ {
		a = v.p.send(v.c, http.MethodGet, a.header.Get("Location"), "")
	}
	return parsed(a)
}

// post sends a form as a browser does.
func (v *visitor) post(path string, form url.Values) page {
	v.p.Helper()
	return parsed(v.p.send(v.c, http.MethodPost, path, form.Encode(), "Content-Type", "application/x-www-form-urlencoded",
		"Origin", v.p.BaseURL, "Sec-Fetch-Site", "same-origin"))
}

// page is an HTML page.
type page struct {
	answer
	root *html.Node
}

func parsed(a answer) page {
	a.p.Helper()
	root, err := html.Parse(strings.NewReader(string(a.body)))
	if err != nil {
		a.p.Fatal(err)
	}
	return page{a, root}
}

func (g page) want(status ...int) page {
	g.p.Helper()
	g.answer.want(status...)
	return g
}

// text is what somebody reads, with single spaces.
func (g page) text() string { return textOf(g.root) }

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode && d.Parent.Data != "script" && d.Parent.Data != "style" {
			b.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// says checks that the page has these texts.
func (g page) says(texts ...string) page {
	g.p.Helper()
	all := g.text()
	for _, text := range texts {
		if !strings.Contains(all, text) {
			g.p.Errorf("%s (%d) doesn't say %q: %.1500s", g.what, g.status, text, all)
		}
	}
	return g
}

// find returns the elements of a name that have the attributes, given as names
// and values.
func (g page) find(name string, attributes ...string) []*html.Node {
	var found []*html.Node
	for d := range g.root.Descendants() {
		ok := d.Type == html.ElementNode && d.Data == name
		for i := 0; ok && i < len(attributes); i += 2 {
			value, there := attribute(d, attributes[i])
			ok = there && value == attributes[i+1]
		}
		if ok {
			found = append(found, d)
		}
	}
	return found
}

func attribute(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

// one is the element that find finds.
func (g page) one(name string, attributes ...string) *html.Node {
	g.p.Helper()
	found := g.find(name, attributes...)
	if len(found) == 0 {
		g.p.Fatalf("%s (%d) has no %s %q: %.1500s", g.what, g.status, name, attributes, g.text())
	}
	return found[0]
}

// row is the text of the table's row that a key's link is in.
func (g page) row(id string) string {
	g.p.Helper()
	for _, tr := range g.find("tr") {
		for d := range tr.Descendants() {
			if href, _ := attribute(d, "href"); strings.HasSuffix(href, "/keys/"+id) {
				return textOf(tr)
			}
		}
	}
	g.p.Fatalf("%s lists no key %s: %.1500s", g.what, id, g.text())
	return ""
}

// form is the values of the form whose action ends so, as the page fills them in.
func (g page) form(action string) (path string, values url.Values) {
	g.p.Helper()
	for _, form := range g.find("form") {
		path, _ := attribute(form, "action")
		if !strings.HasSuffix(strings.TrimSuffix(path, "?"), action) {
			continue
		}
		if path == "" {
			path = strings.TrimPrefix(g.what, "GET ")
		}
		return path, valuesOf(form)
	}
	g.p.Fatalf("%s (%d) has no form for %q: %.1500s", g.what, g.status, action, g.text())
	return "", nil
}

func valuesOf(form *html.Node) url.Values {
	values := make(url.Values)
	for d := range form.Descendants() {
		name, _ := attribute(d, "name")
		value, _ := attribute(d, "value")
		kind, _ := attribute(d, "type")
		_, checked := attribute(d, "checked")
		switch {
		case name == "" || d.Data != "input" && d.Data != "textarea":
		case d.Data == "textarea":
			values.Add(name, textOf(d))
		case kind == "radio" || kind == "checkbox":
			if checked {
				values.Add(name, value)
			}
		default:
			values.Add(name, value)
		}
	}
	return values
}

// submit sends the form whose action ends so, with these values in place of its own.
func (v *visitor) submit(g page, action string, change url.Values) page {
	v.p.Helper()
	path, values := g.form(action)
	maps.Copy(values, change)
	return v.post(path, values)
}

// key is a key as the page's API tells it.
type key struct {
	ID, Lineage, Name, Last4, Environment, Access, Owner, Creator, Status string
	Created, Expires, Revoked                                             string
	Scopes, Allow                                                         []string
	LastUsed                                                              string `json:"last_used"`
	Legacy, Revealable                                                    bool
	OwnerInactive                                                         bool `json:"owner_inactive"`
	RotateRecommended                                                     bool `json:"rotate_recommended"`
	Version                                                               int
	secret                                                                string
}

// create makes a key as the product's creation says, changed so, which is revoked
// when the case ends.
func (v *visitor) create(change map[string]any) key {
	v.p.Helper()
	body := maps.Clone(v.p.of.creation)
	if _, named := change["name"]; !named {
		body["name"] = "Conformance"
	}
	maps.Copy(body, change)
	return v.kept(v.api(http.MethodPost, "/keys", body).want(http.StatusCreated))
}

// kept reads a created key, and has it revoked when the case ends, for its slot.
func (v *visitor) kept(a answer) key {
	v.p.Helper()
	made := read[struct {
		Key    key
		Secret string
	}](a)
	if made.Key.ID == "" {
		v.p.Fatalf("%s made no key: %d %.500s", a.what, a.status, a.body)
	}
	made.Key.secret = made.Secret
	v.p.Cleanup(func() { v.later(made.Key.ID) })
	return made.Key
}

// later revokes a key when the case has ended, and its context with it.
func (v *visitor) later(id string) {
	r, err := http.NewRequest(http.MethodPost, v.p.BaseURL+v.p.of.console+"/api/keys/"+id+"/revoke", strings.NewReader("{}"))
	if err != nil {
		v.p.Error(err)
		return
	}
	r.Header.Set("Content-Type", "application/json")
	if res, err := v.c.Do(r); err == nil { // its server may have ended
		_ = res.Body.Close()
	}
}

// byHand makes a key with the page's form, as people do. It returns what the page
// shows, and the text of the key.
func (v *visitor) byHand(name string) (shown page, text string) {
	v.p.Helper()
	change := maps.Clone(v.p.of.form)
	change.Set("name", name)
	shown = v.submit(v.page("keys/new").want(http.StatusOK), "/keys", change).want(http.StatusOK)
	text, _ = attribute(shown.one("input", "id", "secret"), "value")
	for id, k := range v.keys("") {
		if k.Name == name {
			v.p.Cleanup(func() { v.later(id) })
		}
	}
	return shown, text
}

// key is a key's record now.
func (v *visitor) key(id string) key {
	v.p.Helper()
	return read[key](v.api(http.MethodGet, "/keys/"+id, nil).want(http.StatusOK))
}

// keys are those that the list shows.
func (v *visitor) keys(query string) map[string]key {
	v.p.Helper()
	byID := make(map[string]key)
	for next := "/keys?limit=1000" + query; ; {
		a := v.api(http.MethodGet, next, nil).want(http.StatusOK)
		for _, k := range read[struct{ Data []key }](a).Data {
			byID[k.ID] = k
		}
		cursor := a.at("next")
		if cursor == "" || cursor == "null" {
			return byID
		}
		next = "/keys?limit=1000" + query + "&cursor=" + url.QueryEscape(cursor)
	}
}

// change changes a key as it is now.
func (v *visitor) change(id string, change map[string]any) answer {
	v.p.Helper()
	tag := v.api(http.MethodGet, "/keys/"+id, nil).header.Get("ETag")
	return v.api(http.MethodPatch, "/keys/"+id, change, "If-Match", tag)
}

func (v *visitor) revoke(id string) answer {
	v.p.Helper()
	return v.api(http.MethodPost, "/keys/"+id+"/revoke", map[string]any{"reason": "conformance"})
}

func (v *visitor) regenerate(id string) answer {
	v.p.Helper()
	return v.api(http.MethodPost, "/keys/"+id+"/regenerate", nil)
}

func (v *visitor) rotate(id string, overlapSeconds int) answer {
	v.p.Helper()
	return v.api(http.MethodPost, "/keys/"+id+"/rotate", fmt.Sprintf(`{"overlap_seconds": %d}`, overlapSeconds))
}

// choices are the values of the page's inputs of a name, and which are chosen.
func (g page) choices(name string) (all, chosen []string) {
	for _, input := range g.find("input", "name", name) {
		value, _ := attribute(input, "value")
		all = append(all, value)
		if _, checked := attribute(input, "checked"); checked {
			chosen = append(chosen, value)
		}
	}
	return all, chosen
}
