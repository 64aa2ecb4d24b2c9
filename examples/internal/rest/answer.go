package rest

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
)

// Answer writes what was found, or why nothing was.
func Answer(w http.ResponseWriter, r *http.Request, status int, found any, err error) {
	switch {
	case errors.Is(err, meetings.ErrNotFound):
		err = &strikeplate.Error{Status: http.StatusNotFound, Code: strikeplate.CodeNotFound, Message: "There is no such thing here, or this credential may not see it."}
	case errors.Is(err, meetings.ErrSearch):
		err = Invalid("q or cursor is not one that this list can be asked for.")
	case errors.Is(err, meetings.ErrSegment):
		err = Invalid("The transcript has no such segment, or no such speaker.")
	case errors.Is(err, meetings.ErrFull):
		err = &strikeplate.Error{Status: http.StatusConflict, Code: "limit_reached", Message: "There are as many of these as the demo keeps. Remove one first."}
	}
	if err != nil {
		strikeplate.Fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if status == http.StatusNoContent {
		w.WriteHeader(status)
		return
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(found)
}

// Place reads cursor and limit.
func Place(query url.Values) (meetings.Place, error) {
	at := meetings.Place{Cursor: query.Get("cursor")}
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 100 {
			return at, Invalid("limit is a number from 1 to 100.", Problem{"limit", "It is a number from 1 to 100."})
		}
		at.Limit = n
	}
	return at, nil
}

// Search reads what meetings are asked for: from, to, q, cursor and limit.
func Search(query url.Values) (meetings.Search, error) {
	at, err := Place(query)
	s := meetings.Search{Text: query.Get("q"), Cursor: at.Cursor, Limit: at.Limit}
	for name, to := range map[string]*time.Time{"from": &s.From, "to": &s.To} {
		text := query.Get(name)
		if text == "" || err != nil {
			continue
		}
		if *to, err = moment(text); err != nil {
			err = Invalid(name+" is a day or a time.", Problem{name, "It is a day such as 2026-03-14, or a time such as 2026-03-14T09:00:00Z."})
		}
	}
	return s, err
}

// moment reads a time, or a day for its beginning in UTC.
func moment(text string) (time.Time, error) {
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day, nil
	}
	return time.Parse(time.RFC3339, text)
}

// OneOf reads a query parameter that is one of some texts, or not there.
func OneOf(query url.Values, name string, those ...string) (string, error) {
	text := query.Get(name)
	for _, one := range append(those, "") {
		if text == one {
			return text, nil
		}
	}
	message := "It is one of"
	for _, one := range those {
		message += " " + one
	}
	return "", Invalid(name+" is none that there is.", Problem{name, message + "."})
}
