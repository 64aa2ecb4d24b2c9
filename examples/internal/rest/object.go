package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// MaxBody is how long a body may be, in bytes.
const MaxBody = 64 << 10

// Object is a JSON object that was sent. Its methods read one field each and note
// what is wrong with it; Err tells all of that, and names fields that nobody read.
// Names are compared exactly, which package json doesn't.
type Object struct {
	path     string
	values   map[string]json.RawMessage
	read     []string
	problems *[]Problem
}

// Read reads a request's body, one JSON object. It returns an Object also with an
// error, so that the error may be looked at later.
func Read(w http.ResponseWriter, r *http.Request) (*Object, error) {
	o := &Object{problems: new([]Problem)}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return o, &strikeplate.Error{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Message: "Send JSON, with Content-Type: application/json."}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if tooLong := new(http.MaxBytesError); errors.As(err, &tooLong) {
		return o, &strikeplate.Error{Status: http.StatusRequestEntityTooLarge, Code: "body_too_large", Message: "A body has 64 KiB at most."}
	}
	if err != nil {
		return o, Invalid("The body could not be read.")
	}
	if !utf8.Valid(body) {
		return o, Invalid("The body is no text in UTF-8.")
	}
	o.values, err = object(body)
	return o, err
}

// object takes an object apart, and refuses one that names a field twice: readers
// differ in which of the two counts.
func object(text []byte) (map[string]json.RawMessage, error) {
	bad := Invalid("The body is not a JSON object.")
	d := json.NewDecoder(bytes.NewReader(text))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, bad
	}
	values := make(map[string]json.RawMessage)
	for d.More() {
		name, err := d.Token()
		text, isText := name.(string)
		var value json.RawMessage
		if err != nil || !isText || d.Decode(&value) != nil {
			return nil, bad
		}
		if _, twice := values[text]; twice {
			return nil, Invalid("The body names a field twice.", Problem{short(text), "It is there twice."})
		}
		values[text] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, bad
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, Invalid("The body is more than one JSON value.")
	}
	return values, nil
}

func short(name string) string {
	if len(name) > 100 {
		return strings.ToValidUTF8(name[:100], "") + "…"
	}
	return name
}

// Bad notes that something is wrong with a field.
func (o *Object) Bad(name, format string, args ...any) {
	*o.problems = append(*o.problems, Problem{o.path + short(name), fmt.Sprintf(format, args...)})
}

// Has reports whether a field is there, null or not.
func (o *Object) Has(name string) bool {
	_, ok := o.values[name]
	return ok
}

// Need notes which of the fields are missing.
func (o *Object) Need(names ...string) {
	for _, name := range names {
		if !o.Has(name) {
			o.Bad(name, "It is required.")
		}
	}
}

// Err tells what is wrong: nil if nothing is. Call it after all fields were read.
func (o *Object) Err() error {
	o.unread()
	if len(*o.problems) == 0 {
		return nil
	}
	slices.SortFunc(*o.problems, func(a, b Problem) int { return strings.Compare(a.Field, b.Field) })
	first := (*o.problems)[0]
	return Invalid(first.Field+": "+first.Message, (*o.problems)[:min(len(*o.problems), 20)]...)
}

func (o *Object) unread() {
	for name := range o.values {
		if !slices.Contains(o.read, name) {
			o.Bad(name, "There is no such field here.")
		}
	}
}

// value is a field's; nil if it isn't there.
func (o *Object) value(name string) json.RawMessage {
	o.read = append(o.read, name)
	return o.values[name]
}

func null(v json.RawMessage) bool { return string(v) == "null" }

// into reads a field into to, and notes where that is of another type.
func (o *Object) into(name, what string, to any) bool {
	v := o.value(name)
	if v == nil {
		return false
	}
	if null(v) || json.Unmarshal(v, to) != nil {
		o.Bad(name, "It is %s.", what)
		return false
	}
	return true
}

// Text reads a text of 1 to longest characters on one line; nil: it isn't there.
func (o *Object) Text(name string, longest int) *string {
	var text string
	if !o.into(name, "a text", &text) {
		return nil
	}
	if n := utf8.RuneCountInString(text); n > longest || strings.TrimSpace(text) == "" || !storage.ValidText(text) || strings.ContainsFunc(text, unicode.IsControl) {
		o.Bad(name, "It is a text of 1 to %d characters on one line.", longest)
		return nil
	}
	return &text
}

// Prose is Text that may have several lines.
func (o *Object) Prose(name string, longest int) *string {
	var text string
	if !o.into(name, "a text", &text) {
		return nil
	}
	if n := utf8.RuneCountInString(text); n > longest || strings.TrimSpace(text) == "" || !storage.ValidText(text) {
		o.Bad(name, "It is a text of 1 to %d characters.", longest)
		return nil
	}
	return &text
}

// OneOf reads one of some texts; nil: it isn't there.
func (o *Object) OneOf(name string, those ...string) *string {
	var text string
	if !o.into(name, "one of "+strings.Join(those, ", "), &text) {
		return nil
	}
	if !slices.Contains(those, text) {
		o.Bad(name, "It is one of %s.", strings.Join(those, ", "))
		return nil
	}
	return &text
}

// Bool reads true or false; nil: it isn't there.
func (o *Object) Bool(name string) *bool {
	var b bool
	if !o.into(name, "true or false", &b) {
		return nil
	}
	return &b
}

// Int reads a whole number; nil: it isn't there.
func (o *Object) Int(name string, least, most int) *int {
	what := fmt.Sprintf("a whole number from %d to %d", least, most)
	var n int
	if !o.into(name, what, &n) {
		return nil
	}
	if n < least || n > most {
		o.Bad(name, "It is %s.", what)
		return nil
	}
	return &n
}

// Time reads a time, to the second; nil: it isn't there.
func (o *Object) Time(name string) *time.Time {
	const what = "a time such as 2026-03-14T09:00:00Z"
	var text string
	if !o.into(name, what, &text) {
		return nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.UTC().Year() < 1970 || t.UTC().Year() > 9999 {
		o.Bad(name, "It is %s.", what)
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}

// OrNull reads a text that may be null, and checks it.
func (o *Object) OrNull(name, what string, check func(text string) bool) (value *string, given bool) {
	v := o.value(name)
	if v == nil {
		return nil, false
	}
	if null(v) {
		return nil, true
	}
	var text string
	if json.Unmarshal(v, &text) != nil || !storage.ValidText(text) || !check(text) {
		o.Bad(name, "It is %s, or null.", what)
		return nil, false
	}
	return &text, true
}

// Day reads a day that may be null.
func (o *Object) Day(name string) (value *string, given bool) {
	return o.OrNull(name, "a day such as 2026-03-14", func(text string) bool {
		_, err := time.Parse(time.DateOnly, text)
		return err == nil
	})
}

// Texts reads a list of at most most texts, each of which check accepts; nil: it
// isn't there. Repetitions count once.
func (o *Object) Texts(name, what string, most int, check func(text string) bool) *[]string {
	var texts []string
	if !o.into(name, "a list of texts", &texts) {
		return nil
	}
	if len(texts) > most {
		o.Bad(name, "It has %d entries at most.", most)
		return nil
	}
	found := []string{}
	for i, text := range texts {
		if !storage.ValidText(text) || !check(text) {
			o.Bad(fmt.Sprintf("%s[%d]", name, i), "It is %s.", what)
			return nil
		}
		if !slices.Contains(found, text) {
			found = append(found, text)
		}
	}
	return &found
}

// Objects reads a list of at most most objects. What is wrong in them is told by
// o's Err; they are empty if they aren't there.
func (o *Object) Objects(name string, most int) []*Object {
	var raw []json.RawMessage
	if !o.into(name, "a list of objects", &raw) {
		return nil
	}
	if len(raw) > most {
		o.Bad(name, "It has %d entries at most.", most)
		return nil
	}
	found := make([]*Object, len(raw))
	for i, text := range raw {
		values, err := object(text)
		path := fmt.Sprintf("%s[%d]", name, i)
		if err != nil {
			o.Bad(path, "It is an object, with each field once.")
			return nil
		}
		found[i] = &Object{path: o.path + path + ".", values: values, problems: o.problems}
	}
	return found
}

// Done notes fields of one of Objects that nobody read.
func (o *Object) Done() { o.unread() }

// Map reads an object from texts to texts, each of 1 to longest characters.
func (o *Object) Map(name string, most, longest int) map[string]string {
	v := o.value(name)
	if v == nil {
		return nil
	}
	values, err := object(v)
	if err != nil || len(values) > most {
		o.Bad(name, "It is an object of %d fields at most.", most)
		return nil
	}
	inner := &Object{path: o.path + name + ".", values: values, problems: o.problems}
	found := make(map[string]string)
	for field := range values {
		if text := inner.Text(field, longest); text != nil {
			found[field] = *text
		}
	}
	return found
}
