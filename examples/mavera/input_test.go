package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/examples/internal/demo"
)

// bad are requests and the parameter that is wrong with them.
var bad = []struct{ path, body, code, param string }{
	{chats, `{`, "invalid_json", ""},
	{chats, `[]`, "invalid_json", ""},
	{chats, `null`, "invalid_json", ""},
	{chats, ` `, "invalid_json", ""},
	{chats, hello + hello, "invalid_json", ""},
	{chats, `{}`, "missing_required_parameter", "model"},
	{chats, `{"model": 4}`, "invalid_type", "model"},
	{chats, `{"model": "gpt-4o", "messages": []}`, "model_not_found", "model"},
	{chats, `{"model": "mavera-echo"}`, "missing_required_parameter", "messages"},
	{chats, `{"model": "mavera-echo", "messages": []}`, "invalid_value", "messages"},
	{chats, `{"model": "mavera-echo", "messages": "Hello"}`, "invalid_type", "messages"},
	{chats, `{"model": "mavera-echo", "messages": ["Hello"]}`, "invalid_type", "messages[0]"},
	{chats, `{"model": "mavera-echo", "messages": [{"content": "Hello"}]}`, "missing_required_parameter", "messages[0].role"},
	{chats, `{"model": "mavera-echo", "messages": [{"role": 1, "content": "Hello"}]}`, "invalid_type", "messages[0].role"},
	{chats, `{"model": "mavera-echo", "messages": [{"role": "pirate", "content": "Hello"}]}`, "invalid_value", "messages[0].role"},
	{chats, `{"model": "mavera-echo", "messages": [{"role": "user"}]}`, "missing_required_parameter", "messages[0].content"},
	{chats, `{"model": "mavera-echo", "messages": [{"role": "user", "content": null}]}`, "missing_required_parameter", "messages[0].content"},
	{chats, `{"model": "mavera-echo", "messages": [{"role": "user", "content": 7}]}`, "invalid_type", "messages[0].content"},
	{chats, `{"model": "mavera-echo", "messages": [{"role": "user", "content": [{"type": "text"}]}]}`, "missing_required_parameter", "messages[0].content[0].text"},
	{chats, `{"model": "mavera-echo", "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "x"}}]}]}`, "invalid_value", "messages[0].content[1].type"},
	{chats, `{"model": "mavera-echo", "messages": [{"role": "user", "content": "x"}], "stream": "yes"}`, "invalid_type", "stream"},
	{chats, `{"model": "mavera-echo", "messages": [{"role": "user", "content": "x"}], "stream_options": {"include_usage": true}}`, "invalid_value", "stream_options"},
	{chats, `{"model": "mavera-echo", "messages": [{"role": "user", "content": "x"}], "stream": true, "stream_options": {"include_usage": 1}}`, "invalid_type", "stream_options.include_usage"},
	{chats, `{"model": "mavera-echo", "messages": [{"role": "user", "content": "x"}], "n": 2}`, "invalid_value", "n"},
	{chats, `{"model": "mavera-echo", "messages": [{"role": "user", "content": "x"}], "temperature": 2.1}`, "invalid_value", "temperature"},
	{chats, `{"model": "mavera-echo", "messages": [{"role": "user", "content": "x"}], "top_p": -1}`, "invalid_value", "top_p"},
	{chats, `{"model": "mavera-echo", "messages": [{"role": "user", "content": "x"}], "max_tokens": 0}`, "invalid_value", "max_tokens"},
	{chats, `{"model": "mavera-echo", "messages": [{"role": "user", "content": "x"}], "max_completion_tokens": 1.5}`, "invalid_type", "max_completion_tokens"},
	{chats, `{"model": "mavera-echo", "messages": [{"role": "user", "content": "x"}], "max_tokens": 1, "max_completion_tokens": 1}`, "invalid_value", "max_tokens"},
	{chats, `{"model": "mavera-echo", "messages": [{"role": "user", "content": "x"}], "tools": [{"type": "function"}]}`, "unsupported_parameter", "tools"},
	{chats, `{"model": "mavera-echo", "messages": [{"role": "user", "content": "x"}], "response_format": {"type": "json_object"}}`, "invalid_value", "response_format.type"},
	{answers, `{}`, "missing_required_parameter", "model"},
	{answers, `{"model": "mavera-echo"}`, "missing_required_parameter", "input"},
	{answers, `{"model": "mavera-echo", "input": 3}`, "invalid_type", "input"},
	{answers, `{"model": "mavera-echo", "input": []}`, "invalid_value", "input"},
	{answers, `{"model": "mavera-echo", "input": [{"content": "x"}]}`, "missing_required_parameter", "input[0].role"},
	{answers, `{"model": "mavera-echo", "input": [{"role": "tool", "content": "x"}]}`, "invalid_value", "input[0].role"},
	{answers, `{"model": "mavera-echo", "input": [{"type": "function_call_output", "output": "x"}]}`, "invalid_value", "input[0].type"},
	{answers, `{"model": "mavera-echo", "input": [{"role": "user", "content": [{"type": "input_image"}]}]}`, "invalid_value", "input[0].content[0].type"},
	{answers, `{"model": "mavera-echo", "input": "x", "previous_response_id": "resp_1"}`, "unsupported_parameter", "previous_response_id"},
	{answers, `{"model": "mavera-echo", "input": "x", "background": true}`, "unsupported_parameter", "background"},
	{answers, `{"model": "mavera-echo", "input": "x", "max_output_tokens": -1}`, "invalid_value", "max_output_tokens"},
	{answers, `{"model": "mavera-echo", "input": "x", "metadata": {"a": 1}}`, "invalid_type", "metadata"},
	{answers, `{"model": "mavera-echo", "input": "x", "text": {"format": {"type": "json_schema"}}}`, "invalid_value", "text.format.type"},
}

func TestBadInput(t *testing.T) {
	s := start(t, demo.Options{})
	for _, test := range bad {
		status := http.StatusBadRequest
		if test.code == "model_not_found" {
			status = http.StatusNotFound
		}
		refusal(t, test.body, s.Ask(t, "valid", http.MethodPost, test.path, test.body), status, "invalid_request_error", test.code, test.param)
	}
	for _, path := range []string{chats, answers} {
		refusal(t, "a form", s.Ask(t, "valid", http.MethodPost, path, hello, "Content-Type", "application/x-www-form-urlencoded"),
			415, "invalid_request_error", "unsupported_media_type", "")
		refusal(t, "too long", s.Ask(t, "valid", http.MethodPost, path, `{"model": "`+strings.Repeat("x", maxBody)+`"}`),
			413, "invalid_request_error", "request_too_large", "")
		refusal(t, "GET", s.Get(t, "valid", path), 405, "invalid_request_error", "method_not_allowed", "")
	}
	for _, path := range []string{"/api/v1/models/none", "/api/v1/models/%00", "/api/v1/models/" + strings.Repeat("x", 3000)} {
		refusal(t, path, s.Get(t, "valid", path), 404, "invalid_request_error", "model_not_found", "model")
	}
	for _, path := range []string{"/api/v1", "/api/v1/files", answers + "/resp_1", "/v1/models"} {
		refusal(t, path, s.Get(t, "valid", path), 404, "invalid_request_error", "not_found", "")
	}
}

// What is accepted, beyond what the clients send.
func TestGoodInput(t *testing.T) {
	s := start(t, demo.Options{})
	const says = "This demo has no model. It repeats what it was sent: "
	for body, want := range map[string]string{
		hello: says + "Hello there",
		`{"model": "mavera-echo-mini", "messages": [{"role": "user", "content": "First"}, {"role": "assistant", "content": null, "tool_calls": [{}]}, {"role": "system", "content": "Be brief"}]}`: says + "First",
		`{"model": "mavera-echo", "messages": [{"role": "system", "content": "Only this"}]}`:                                                                                                       says + "Only this",
		`{"model": "mavera-echo", "messages": [{"role": "user", "content": [{"type": "text", "text": "One, "}, {"type": "text", "text": "two"}]}], "temperature": 0.5, "tools": []}`:               says + "One, two",
		`{"model": "mavera-echo", "messages": [{"role": "user", "content": "<é> \u2028 \ud83d\ude00"}], "seed": 7, "logit_bias": null}`:                                                            says + "<é> \u2028 😀",
		`{"model": "mavera-echo", "messages": [{"role": "user", "content": "x"}], "max_tokens": 2}`:                                                                                                "This demo ",
	} {
		var got struct {
			Choices []struct{ Message struct{ Content string } }
		}
		r := s.Ask(t, "valid", http.MethodPost, chats, body)
		if err := json.Unmarshal(r.Body, &got); err != nil || len(got.Choices) != 1 || got.Choices[0].Message.Content != want {
			t.Errorf("%s: %d %s, want %q", body, r.StatusCode, r.Body, want)
		}
	}
	r := s.Ask(t, "valid", http.MethodPost, answers, `{"model": "mavera-echo", "instructions": "Be brief", "metadata": {"a": "b"}, "temperature": 0, "max_output_tokens": 5,
		"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}, {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}]}`)
	var got response
	if err := json.Unmarshal(r.Body, &got); err != nil || got.Status != "incomplete" || got.Incomplete.Reason != "max_output_tokens" ||
		got.Metadata["a"] != "b" || got.Temperature != 0 || got.Usage.Input != 4 || got.Usage.Output != 5 || got.Output[0].Content[0].Text != "This demo has no model. " {
		t.Errorf("%d %s", r.StatusCode, r.Body)
	}
}

func TestPieces(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, " ": 1, "a": 1, "a b": 2, " a  b ": 3, "a\nb\tc": 3, strings.Repeat("x", 41): 3, strings.Repeat("é", 20): 1, strings.Repeat(" ", 100): 5,
	} {
		got := pieces(text)
		if len(got) != want || strings.Join(got, "") != text {
			t.Errorf("%q: %d pieces: %q", text, len(got), got)
		}
	}
}

// Whatever is sent, it is answered or refused with a parameter's name.
func FuzzRequests(f *testing.F) {
	for _, test := range bad {
		f.Add(test.body)
	}
	f.Add(hello)
	f.Add(`{"model": "mavera-echo", "input": "Hello \ud800 there", "stream": true}`)
	f.Fuzz(func(t *testing.T, body string) {
		begun := time.Now()
		raw := json.RawMessage(strings.TrimSpace(body))
		if !json.Valid(raw) || raw[0] != '{' {
			return
		}
		var chat chatRequest
		err := decode("", raw, &chat)
		var c *conversation
		if err == nil {
			c, _, err = chat.conversation()
		}
		sound(t, c, err)
		var question responseRequest
		if err = decode("", raw, &question); err == nil {
			c, _, err = question.conversation()
		}
		sound(t, c, err)
		if time.Since(begun) > time.Second {
			t.Errorf("%v for %d bytes", time.Since(begun), len(body))
		}
	})
}

func sound(t *testing.T, c *conversation, err error) {
	t.Helper()
	if err == nil {
		said := c.reply(longest)
		if len(said.pieces) > longest || !utf8.ValidString(said.text()) {
			t.Errorf("%d pieces: %q", len(said.pieces), said.text())
		}
		return
	}
	var e *strikeplate.Error
	if !errors.As(err, &e) || e.Status != http.StatusBadRequest || e.Message == "" {
		t.Errorf("refused with %v", err)
	}
}
