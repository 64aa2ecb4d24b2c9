package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// responseRequest is what POST responses reads.
type responseRequest struct {
	common
	Input           json.RawMessage   `json:"input"`
	Instructions    *string           `json:"instructions"`
	MaxOutputTokens *int              `json:"max_output_tokens"`
	Metadata        map[string]string `json:"metadata"`
	Text            *struct {
		Format *struct {
			Type string `json:"type"`
		} `json:"format"`
	} `json:"text"`
	Tools        json.RawMessage `json:"tools"`
	Background   json.RawMessage `json:"background"`
	Conversation json.RawMessage `json:"conversation"`
	Previous     json.RawMessage `json:"previous_response_id"`
	Prompt       json.RawMessage `json:"prompt"`
}

func (q *responseRequest) conversation() (*conversation, int, error) {
	most, err := atMost("max_output_tokens", q.MaxOutputTokens)
	if err != nil {
		return nil, 0, err
	}
	if q.Text != nil && q.Text.Format != nil && q.Text.Format.Type != "text" {
		return nil, 0, refuse("text.format.type", "invalid_value", "This demo answers with text only.")
	}
	err = unsupported(map[string]json.RawMessage{"tools": q.Tools, "background": q.Background, "conversation": q.Conversation,
		"previous_response_id": q.Previous, "prompt": q.Prompt})
	if err != nil {
		return nil, 0, err
	}
	c := &conversation{}
	if q.Instructions != nil {
		c.add("system", *q.Instructions)
	}
	err = c.addInput(q.Input)
	return c, most, err
}

// addInput reads a text, or a list of messages.
func (c *conversation) addInput(input json.RawMessage) error {
	if input = bytes.TrimSpace(input); len(input) == 0 || input[0] != '[' {
		text, err := wording("input", input)
		if err == nil {
			c.add("user", text)
		}
		return err
	}
	var items []json.RawMessage
	if err := decode("input", input, &items); err != nil {
		return err
	}
	if len(items) == 0 || len(items) > maxMessages {
		return refuse("input", "invalid_value", fmt.Sprintf("input has 1 to %d items.", maxMessages))
	}
	for i, raw := range items {
		if err := c.addItem(fmt.Sprintf("input[%d]", i), raw); err != nil {
			return err
		}
	}
	return nil
}

func (c *conversation) addItem(at string, raw json.RawMessage) error {
	var item struct {
		Type    string          `json:"type"`
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	}
	if err := decode(at, raw, &item); err != nil {
		return err
	}
	if item.Type != "" && item.Type != "message" {
		return refuse(at+".type", "invalid_value", "This demo reads messages only: "+at+".type is message.")
	}
	if item.Role == "" {
		return required(at + ".role")
	}
	if spoken := roles[:4]; !slices.Contains(spoken, item.Role) {
		return refuse(at+".role", "invalid_value", at+".role is one of "+strings.Join(spoken, ", ")+".")
	}
	text, err := wording(at+".content", item.Content, "input_text", "output_text")
	if err == nil {
		c.add(item.Role, text)
	}
	return err
}

// response is OpenAI's object of that name. This demo keeps none.
type response struct {
	ID         string  `json:"id"`
	Object     string  `json:"object"`
	CreatedAt  int64   `json:"created_at"`
	Status     string  `json:"status"`
	Background bool    `json:"background"`
	Error      *string `json:"error"`
	Incomplete *struct {
		Reason string `json:"reason"`
	} `json:"incomplete_details"`
	Instructions *string           `json:"instructions"`
	MaxOutput    *int              `json:"max_output_tokens"`
	Model        string            `json:"model"`
	Output       []outputMessage   `json:"output"`
	Parallel     bool              `json:"parallel_tool_calls"`
	Previous     *string           `json:"previous_response_id"`
	Store        bool              `json:"store"`
	Temperature  float64           `json:"temperature"`
	Text         json.RawMessage   `json:"text"`
	ToolChoice   string            `json:"tool_choice"`
	Tools        []any             `json:"tools"`
	TopP         float64           `json:"top_p"`
	Truncation   string            `json:"truncation"`
	Usage        *responseUsage    `json:"usage"`
	Metadata     map[string]string `json:"metadata"`
}

type outputMessage struct {
	ID      string       `json:"id"`
	Type    string       `json:"type"`
	Status  string       `json:"status"`
	Role    string       `json:"role"`
	Content []outputText `json:"content"`
}

type outputText struct {
	Type        string `json:"type"`
	Text        string `json:"text"`
	Annotations []any  `json:"annotations"`
	Logprobs    []any  `json:"logprobs"`
}

type responseUsage struct {
	Input        int            `json:"input_tokens"`
	InputDetail  map[string]int `json:"input_tokens_details"`
	Output       int            `json:"output_tokens"`
	OutputDetail map[string]int `json:"output_tokens_details"`
	Total        int            `json:"total_tokens"`
}

func (a *api) responses(w http.ResponseWriter, r *http.Request) {
	var q responseRequest
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
	begun := q.begin(m, a.now().Unix())
	if q.Stream {
		e := events{stream: a.stream(w, r), message: newID("msg_")}
		e.tell(begun, c, said)
		return
	}
	answer(w, r, begun.complete(newID("msg_"), c, said), nil)
}

// begin is the response before anything was said.
func (q *responseRequest) begin(m model, now int64) response {
	made := response{
		ID: newID("resp_"), Object: "response", CreatedAt: now, Status: "in_progress", Model: m.ID, Instructions: q.Instructions,
		MaxOutput: q.MaxOutputTokens, Output: []outputMessage{}, Parallel: true, Temperature: 1, Text: json.RawMessage(`{"format":{"type":"text"}}`),
		ToolChoice: "auto", Tools: []any{}, TopP: 1, Truncation: "disabled", Metadata: map[string]string{},
	}
	if q.Temperature != nil {
		made.Temperature = *q.Temperature
	}
	if q.TopP != nil {
		made.TopP = *q.TopP
	}
	if q.Metadata != nil {
		made.Metadata = q.Metadata
	}
	return made
}

// complete is the response when all was said, or as much as the request allows.
func (made response) complete(id string, c *conversation, said reply) response {
	made.Status = "completed"
	if said.cut {
		made.Status = "incomplete"
		made.Incomplete = &struct {
			Reason string `json:"reason"`
		}{"max_output_tokens"}
	}
	made.Output = []outputMessage{{ID: id, Type: "message", Status: made.Status, Role: "assistant", Content: []outputText{wholeText(said.text())}}}
	made.Usage = &responseUsage{
		Input: c.sent, InputDetail: map[string]int{"cached_tokens": 0}, Output: len(said.pieces), OutputDetail: map[string]int{"reasoning_tokens": 0},
		Total: c.sent + len(said.pieces),
	}
	return made
}

func wholeText(text string) outputText {
	return outputText{Type: "output_text", Text: text, Annotations: []any{}, Logprobs: []any{}}
}

// events are those of a streamed response, numbered.
type events struct {
	*stream
	message string // the id of the one that is said
	number  int
}

func (e *events) event(name string, data map[string]any) {
	data["type"], data["sequence_number"] = name, e.number
	e.number++
	e.send(name, data)
}

// part is an event about the message's only part.
func (e *events) part(name string, data map[string]any) {
	data["item_id"], data["output_index"], data["content_index"] = e.message, 0, 0
	e.event(name, data)
}

func (e *events) tell(begun response, c *conversation, said reply) {
	e.event("response.created", map[string]any{"response": begun})
	e.event("response.in_progress", map[string]any{"response": begun})
	e.event("response.output_item.added", map[string]any{"output_index": 0,
		"item": outputMessage{ID: e.message, Type: "message", Status: "in_progress", Role: "assistant", Content: []outputText{}}})
	e.part("response.content_part.added", map[string]any{"part": wholeText("")})
	for _, piece := range said.pieces {
		if !e.next() {
			e.broken("error", e.number)
			return
		}
		e.part("response.output_text.delta", map[string]any{"delta": piece, "logprobs": []any{}})
	}
	done := begun.complete(e.message, c, said)
	e.part("response.output_text.done", map[string]any{"text": said.text(), "logprobs": []any{}})
	e.part("response.content_part.done", map[string]any{"part": wholeText(said.text())})
	e.event("response.output_item.done", map[string]any{"output_index": 0, "item": done.Output[0]})
	e.event("response."+done.Status, map[string]any{"response": done})
}
