package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/internal/colour"
)

//go:embed templates/*.html
var templates embed.FS

//go:embed assets/style.css assets/console.js
var assets embed.FS

// looks are the pages' templates, and the two files that they load.
type looks struct {
	pages  map[string]*template.Template
	files  map[string]file
	Style  string // paths, with a digest of the content in the name
	Script string
}

type file struct {
	kind string
	text []byte
}

func newLooks(p *Product) (*looks, error) {
	l := &looks{pages: map[string]*template.Template{}, files: map[string]file{}}
	style, err := assets.ReadFile("assets/style.css")
	if err != nil {
		return nil, err
	}
	script, err := assets.ReadFile("assets/console.js")
	if err != nil {
		return nil, err
	}
	l.Style = l.add(p, "style", "css", "text/css; charset=utf-8", append([]byte(colours(p.Colours)), style...))
	l.Script = l.add(p, "console", "js", "text/javascript; charset=utf-8", script)
	if err := l.parse(p); err != nil {
		return nil, err
	}
	return l, nil
}

// colours are put in front of the style sheet: pages have no styles of their own.
func colours(c Colours) string {
	return fmt.Sprintf(":root{--accent:%s;--on-accent:%s}\n@media (prefers-color-scheme:dark){:root{--accent:%s;--on-accent:%s}}\n",
		c.Accent, colour.On(c.Accent), c.AccentDark, colour.On(c.AccentDark))
}

func (l *looks) add(p *Product, stem, ending, kind string, text []byte) string {
	sum := sha256.Sum256(text)
	name := stem + "." + hex.EncodeToString(sum[:8]) + "." + ending
	l.files[name] = file{kind, text}
	return p.Base + "/assets/" + name
}

// parse makes a template of each page, inside of the layout.
func (l *looks) parse(p *Product) error {
	layout, err := template.New("layout.html").Funcs(words(p)).ParseFS(templates, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return err
	}
	found, err := fs.Glob(templates, "templates/*.html")
	if err != nil {
		return err
	}
	for _, name := range found {
		if name == "templates/layout.html" || name == "templates/parts.html" {
			continue
		}
		page, err := layout.Clone()
		if err != nil {
			return err
		}
		if l.pages[path.Base(name)], err = page.ParseFS(templates, name); err != nil {
			return err
		}
	}
	return nil
}

// serve answers with one of the files. Their names change with their content, so
// browsers keep them.
func (l *looks) serve(w http.ResponseWriter, r *http.Request) {
	f, ok := l.files[r.PathValue("name")]
	if !ok {
		strikeplate.Fail(w, r, nowhere())
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.text))
}

// words are the functions of the templates.
func words(p *Product) template.FuncMap {
	return template.FuncMap{
		"day":     func(t time.Time) string { return t.In(p.Location).Format(p.DateLayout) },
		"minute":  func(t time.Time) string { return t.In(p.Location).Format(p.DateLayout + " 15:04 MST") },
		"machine": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"path":    func(parts ...string) string { return p.Base + strings.Join(parts, "") },
		"count":   grouped,
		"dict":    dict,
	}
}

// dict makes a map of names and values, for templates that take several.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict: a name without a value")
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: %v is no name", pairs[i])
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}
