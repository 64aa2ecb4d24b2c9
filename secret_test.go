package strikeplate_test

import (
	"bytes"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"log"
	"log/slog"
	"strings"
	"testing"
	"text/template"

	"github.com/strikeplate/strikeplate"
)

const hidden = "mvo_live_hidden"

// Mistakes that vet would find, were they constants.
var noVerb, wrapping = "no verb", "bad: %w"

// reveals looks for the text in every form that a formatter could give it.
func reveals(printed string) bool {
	decimal := strings.Trim(fmt.Sprintf("%d", []byte(hidden)), "[]")
	hexadecimal := hex.EncodeToString([]byte(hidden))
	squeezed := strings.NewReplacer(" ", "", ",", "", "0x", "").Replace(strings.ToLower(printed))
	return strings.Contains(printed, hidden) ||
		strings.Contains(squeezed, strings.ReplaceAll(decimal, " ", "")) ||
		strings.Contains(squeezed, hexadecimal)
}

// holder is a struct as callers have them; fmt can't call the methods of an
// unexported field and prints what is inside it.
type holder struct {
	Exported   strikeplate.Secret
	unexported strikeplate.Secret
	Pointer    *strikeplate.Secret
	Any        any
}

func TestSecretIsNotFormatted(t *testing.T) {
	s := strikeplate.NewSecret(hidden)
	h := holder{s, s, &s, s}
	values := map[string]any{
		"value": s, "pointer": &s, "struct": h, "pointer to struct": &h,
		"slice": []strikeplate.Secret{s}, "array": [1]strikeplate.Secret{s},
		"map": map[string]strikeplate.Secret{"k": s}, "unexported in a map": map[string]holder{"k": h},
		"anonymous": struct{ strikeplate.Secret }{s},
	}
	for name, v := range values {
		for verb := 'A'; verb <= 'z'; verb++ {
			for _, flags := range []string{"%", "%+", "%#", "%x0", "%-20", "% ", "%.3", "%[1]", "%[9]", "%*"} {
				format := flags + string(verb)
				if printed := fmt.Sprintf(format, v); reveals(printed) {
					t.Errorf("%s reveals a %s: %s", format, name, printed)
				}
			}
		}
		for form, printed := range map[string]string{
			"Sprint":   fmt.Sprint(v),
			"Sprintln": fmt.Sprintln(v),
			"extra":    fmt.Sprintf(noVerb, v),
		} {
			if reveals(printed) {
				t.Errorf("%s reveals a %s: %s", form, name, printed)
			}
		}
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if printed := fmt.Sprintf(format, s); printed != "[redacted]" {
			t.Errorf("%s prints %q, want [redacted]", format, printed)
		}
	}
	if s.String() != "[redacted]" {
		t.Errorf("String is %q", s.String())
	}
}

func TestSecretIsNotWrapped(t *testing.T) {
	s := strikeplate.NewSecret(hidden)
	for _, err := range []error{
		fmt.Errorf("bad: %v", s), fmt.Errorf("bad: %s", s), fmt.Errorf(wrapping, s),
		errors.Join(fmt.Errorf("%q", s)),
		&strikeplate.Error{Code: "x", Err: fmt.Errorf("%v", holder{s, s, &s, s})},
	} {
		if reveals(err.Error()) {
			t.Errorf("error reveals: %v", err)
		}
	}
}

func TestSecretIsNotEncoded(t *testing.T) {
	s := strikeplate.NewSecret(hidden)
	h := holder{s, s, &s, s}
	for name, encode := range map[string]func(any) ([]byte, error){
		"json": json.Marshal,
		"xml":  xml.Marshal,
		"gob": func(v any) ([]byte, error) {
			var b bytes.Buffer
			return b.Bytes(), errors.Join(gob.NewEncoder(&b).Encode(v), errors.New(b.String()))
		},
	} {
		for _, v := range []any{s, &s, h, struct {
			S strikeplate.Secret `xml:",attr"`
		}{s}, []strikeplate.Secret{s}} {
			b, err := encode(v)
			if reveals(string(b)) || err != nil && reveals(err.Error()) {
				t.Errorf("%s of %T reveals: %s %v", name, v, b, err)
			}
		}
	}
	b, err := json.Marshal(map[string]any{"secret": s})
	if want := `{"secret":"[redacted]"}`; err != nil || string(b) != want {
		t.Errorf("json is %s, %v, want %s", b, err, want)
	}
}

func TestSecretIsNotLogged(t *testing.T) {
	s := strikeplate.NewSecret(hidden)
	var b bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&b, nil), slog.NewTextHandler(&b, nil)} {
		l := slog.New(handler)
		l.Info("one", "secret", s, "pointer", &s, "holder", holder{s, s, &s, s}, "list", []strikeplate.Secret{s})
		l.With("secret", s).WithGroup("group").Info("two", slog.Group("inner", "secret", s))
	}
	log.New(&b, "", 0).Print(s, &s, holder{s, s, &s, s})
	if reveals(b.String()) {
		t.Errorf("a log reveals: %s", &b)
	}
	if !strings.Contains(b.String(), `"secret":"[redacted]"`) {
		t.Errorf("the log doesn't say that something was redacted: %s", &b)
	}
}

func TestSecretIsNotInTemplates(t *testing.T) {
	const text = `{{.}} {{printf "%s %v %d" . . .}} {{html .}} {{js .}} {{urlquery .}} {{print .}} <script>var s = {{.}}</script> <a href="/{{.}}" title="{{.}}">`
	s := strikeplate.NewSecret(hidden)
	for _, v := range []any{s, &s, holder{s, s, &s, s}} {
		var b bytes.Buffer
		errText := template.Must(template.New("").Parse(text)).Execute(&b, v)
		errHTML := htmltemplate.Must(htmltemplate.New("").Parse(strings.Replace(text, "{{html .}} {{js .}} {{urlquery .}}", "", 1))).Execute(&b, v)
		if reveals(b.String()) || reveals(fmt.Sprint(errText, errHTML)) {
			t.Errorf("a template of %T reveals: %s", v, &b)
		}
	}
	for _, wrong := range []string{`{{.text}}`, `{{len .}}`, `{{index . 0}}`, `{{range .}}{{.}}{{end}}`, `{{slice . 1}}`} {
		var b bytes.Buffer
		tmpl, err := template.New("").Parse(wrong)
		if err == nil {
			err = tmpl.Execute(&b, s)
		}
		if err == nil || reveals(err.Error()+b.String()) {
			t.Errorf("%s: %v %s", wrong, err, &b)
		}
	}
}

func TestSecretReveal(t *testing.T) {
	if got := strikeplate.NewSecret(hidden).Reveal(); got != hidden {
		t.Errorf("Reveal is %q, want %q", got, hidden)
	}
	var zero strikeplate.Secret
	if got := zero.Reveal(); got != "" {
		t.Errorf("the zero Secret reveals %q, want nothing", got)
	}
	if got := fmt.Sprint(zero); got != "[redacted]" { // nor does it tell that it is empty
		t.Errorf("the zero Secret prints %q", got)
	}
}
