package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/strikeplate/strikeplate"
)

// stream writes server-sent events, each at once.
type stream struct {
	w    http.ResponseWriter
	r    *http.Request
	pace time.Duration
	err  error // the first; nothing is sent after it
}

func (a *api) stream(w http.ResponseWriter, r *http.Request) *stream {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no") // nginx passes it on as it comes
	return &stream{w: w, r: r, pace: a.pace}
}

// send sends one event. Those of chats have no name.
func (s *stream) send(name string, data any) {
	if s.err != nil {
		return
	}
	text, err := json.Marshal(data)
	if err == nil {
		err = s.raw(name, string(text))
	}
	s.err = err
}

func (s *stream) raw(name, data string) error {
	if name != "" {
		name = "event: " + name + "\n"
	}
	if _, err := s.w.Write([]byte(name + "data: " + data + "\n\n")); err != nil {
		return err
	}
	return http.NewResponseController(s.w).Flush()
}

// next waits until the next piece is due. It reports false when the stream is
// over: the client left, or the key was revoked.
func (s *stream) next() bool {
	if s.err != nil {
		return false
	}
	timer := time.NewTimer(s.pace)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.r.Context().Done():
	}
	s.err = context.Cause(s.r.Context())
	return s.err == nil
}

// broken tells the client why a stream ends in its middle, in the form in which
// clients look for it; with a type and a number among responses' events.
func (s *stream) broken(name string, number int) {
	var refusal *strikeplate.Error
	if !errors.As(s.err, &refusal) {
		return // nobody listens
	}
	strikeplate.Fail(s.w, s.r, refusal) // the response has begun: this notes it for usage
	told := *refusal
	var event struct {
		Error    json.RawMessage `json:"error"`
		Type     string          `json:"type,omitempty"`
		Code     string          `json:"code,omitempty"`
		Message  string          `json:"message,omitempty"`
		Sequence int             `json:"sequence_number,omitempty"`
	}
	if json.Unmarshal(strikeplate.OpenAI(http.Header{}, &told, ""), &event) != nil {
		return
	}
	if name != "" {
		event.Type, event.Code, event.Message, event.Sequence = name, refusal.Code, refusal.Message, number
	}
	if text, err := json.Marshal(event); err == nil {
		_ = s.raw(name, string(text))
	}
}
