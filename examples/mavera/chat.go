package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// chatRequest is what POST chat/completions reads.
type chatRequest struct {
	common
	Messages      []json.RawMessage `json:"messages"`
	StreamOptions *struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	N                   *int `json:"n"`
	MaxTokens           *int `json:"max_tokens"`
	MaxCompletionTokens *int `json:"max_completion_tokens"`
	ResponseFormat      *struct {
		Type string `json:"type"`
	} `json:"response_format"`
	Tools     json.RawMessage `json:"tools"`
	Functions json.RawMessage `json:"functions"`
	Audio     json.RawMessage `json:"audio"`
	Stop      json.RawMessage `json:"stop"`
	Logprobs  json.RawMessage `json:"logprobs"`
}

var roles = []string{"developer", "system", "user", "assistant", "tool", "function"}

func (q *chatRequest) conversation() (*conversation, int, error) {
	most, err := q.most()
	if err != nil {
		return nil, 0, err
	}
	switch {
	case q.N != nil && *q.N != 1:
		return nil, 0, refuse("n", "invalid_value", "n is 1: an echo is always the same.")
	case q.StreamOptions != nil && !q.Stream:
		return nil, 0, refuse("stream_options", "invalid_value", "stream_options goes with stream only.")
	case q.ResponseFormat != nil && q.ResponseFormat.Type != "text":
		return nil, 0, refuse("response_format.type", "invalid_value", "This demo answers with text only.")
	case q.Messages == nil:
		return nil, 0, required("messages")
	case len(q.Messages) == 0 || len(q.Messages) > maxMessages:
		return nil, 0, refuse("messages", "invalid_value", fmt.Sprintf("messages has 1 to %d messages.", maxMessages))
	}
	if err := unsupported(map[string]json.RawMessage{"tools": q.Tools, "functions": q.Functions, "audio": q.Audio, "stop": q.Stop, "logprobs": q.Logprobs}); err != nil {
		return nil, 0, err
	}
	c := &conversation{}
	for i, raw := range q.Messages {
		if err := c.addMessage(fmt.Sprintf("messages[%d]", i), raw); err != nil {
			return nil, 0, err
		}
	}
	return c, most, nil
}

func (q *chatRequest) most() (int, error) {
	if q.MaxTokens != nil && q.MaxCompletionTokens != nil {
		return 0, refuse("max_tokens", "invalid_value", "max_tokens doesn't go with max_completion_tokens, which replaces it.")
	}
	if q.MaxTokens != nil {
		return atMost("max_tokens", q.MaxTokens)
	}
	return atMost("max_completion_tokens", q.MaxCompletionTokens)
}

func (c *conversation) addMessage(at string, raw json.RawMessage) error {
	var message struct {
		Role      string          `json:"role"`
		Content   json.RawMessage `json:"content"`
		ToolCalls json.RawMessage `json:"tool_calls"`
	}
	if err := decode(at, raw, &message); err != nil {
		return err
	}
	if message.Role == "" {
		return required(at + ".role")
	}
	if !slices.Contains(roles, message.Role) {
		return refuse(at+".role", "invalid_value", at+".role is one of "+strings.Join(roles, ", ")+".")
	}
	if message.Role == "assistant" && len(message.ToolCalls) > 0 && (len(message.Content) == 0 || string(message.Content) == "null") {
		return nil // an assistant that called a tool said nothing
	}
	text, err := wording(at+".content", message.Content, "text")
	if err == nil {
		c.add(message.Role, text)
	}
	return err
}

type chatUsage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
}

// completion is a whole answer, or one event of a stream.
type completion struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	Model   string `json:"model"`
	Choices []any  `json:"choices"`
	Usage   any    `json:"usage,omitempty"`
}

type choice struct {
	Index    int          `json:"index"`
	Message  *chatMessage `json:"message,omitempty"`
	Delta    *chatDelta   `json:"delta,omitempty"`
	Logprobs *struct{}    `json:"logprobs"`
	Finish   *string      `json:"finish_reason"`
}

type chatMessage struct {
	Role        string  `json:"role"`
	Content     string  `json:"content"`
	Refusal     *string `json:"refusal"`
	Annotations []any   `json:"annotations"`
}

type chatDelta struct {
	Role    string  `json:"role,omitempty"`
	Content *string `json:"content,omitempty"`
}

func (a *api) chat(w http.ResponseWriter, r *http.Request) {
	var q chatRequest
	err := read(w, r, &q)
	var m model
	if err == nil {
		m, err = q.check()
	}
	var c *conversation
	var most int
	if err == nil {
		c, most, err = q.conversation()
	}
	if err != nil {
		answer(w, r, nil, err)
		return
	}
	said := c.reply(most)
	usage := chatUsage{c.sent, len(said.pieces), c.sent + len(said.pieces)}
	made := completion{ID: newID("chatcmpl-"), Object: "chat.completion", Created: a.now().Unix(), Model: m.ID}
	finish := "stop"
	if said.cut {
		finish = "length"
	}
	if q.Stream {
		made.Object = "chat.completion.chunk"
		if q.StreamOptions != nil && q.StreamOptions.IncludeUsage {
			made.Usage = json.RawMessage("null") // in all events but the last
		}
		made.stream(a.stream(w, r), said, finish, usage)
		return
	}
	made.Choices = []any{choice{Message: &chatMessage{Role: "assistant", Content: said.text(), Annotations: []any{}}, Finish: &finish}}
	made.Usage = usage
	answer(w, r, made, nil)
}

// stream sends the role, the text in pieces, the reason why it ends, and the
// usage if it was asked for.
func (e completion) stream(s *stream, said reply, finish string, usage chatUsage) {
	send := func(delta chatDelta, finish *string) {
		e.Choices = []any{choice{Delta: &delta, Finish: finish}}
		s.send("", e)
	}
	var nothing string
	send(chatDelta{Role: "assistant", Content: &nothing}, nil)
	for _, piece := range said.pieces {
		if !s.next() {
			s.broken("", 0)
			return
		}
		send(chatDelta{Content: &piece}, nil)
	}
	send(chatDelta{}, &finish)
	if e.Usage != nil {
		e.Choices, e.Usage = []any{}, usage
		s.send("", e)
	}
	if s.err == nil {
		_ = s.raw("", "[DONE]")
	}
}
