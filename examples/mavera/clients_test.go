package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"github.com/strikeplate/strikeplate/examples/internal/demo"
	"github.com/strikeplate/strikeplate/examples/internal/demotest"
)

const echoed = "This demo has no model. It repeats what it was sent: Good morning"

// exhaust spends what is left of the organisation's requests in this minute.
func exhaust(t *testing.T, s *demotest.Server, key string) {
	t.Helper()
	for range 121 {
		if s.Get(t, key, "/api/v1/models").StatusCode == http.StatusTooManyRequests {
			return
		}
	}
	t.Fatal("more than 120 requests were let through")
}

// The npm package openai, as it is, raises what its documentation says.
func TestNPMClient(t *testing.T) {
	script, err := filepath.Abs("../../internal/npm/openai.mjs")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(script), "node_modules", "openai")); err != nil {
		if os.Getenv("STRIKEPLATE_REQUIRE_SERVICES") == "1" {
			t.Fatalf("%v: run make npm", err)
		}
		t.Skip("the npm package openai is not there: run make npm (it wants Node.js: apt-get install nodejs npm)")
	}
	s := start(t, demo.Options{})
	exhaust(t, s, "other")
	keys := make(map[string]string)
	for name, k := range s.Keys {
		keys[name] = k.Key
	}
	config, err := json.Marshal(map[string]any{"baseURL": s.BaseURL + "/api/v1", "keys": keys, "echoed": echoed, "limited": "other"})
	if err != nil {
		t.Fatal(err)
	}
	node := exec.CommandContext(t.Context(), "node", script)
	node.Stdin = strings.NewReader(string(config))
	if out, err := node.CombinedOutput(); err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "all is well") {
		t.Errorf("%v\n%s", err, out)
	}
}

func client(s *demotest.Server, key string) *openai.Client {
	c := openai.NewClient(option.WithBaseURL(s.BaseURL+"/api/v1/"), option.WithAPIKey(key), option.WithMaxRetries(0))
	return &c
}

// OpenAI's client for Go, as it is.
func TestGoClient(t *testing.T) {
	s := start(t, demo.Options{})
	ctx := t.Context()
	c := client(s, s.Keys["valid"].Key)
	listed, err := c.Models.List(ctx)
	if err != nil || len(listed.Data) != 2 || listed.Data[0].ID != "mavera-echo" {
		t.Fatalf("%v %+v", err, listed)
	}
	one, err := c.Models.Get(ctx, "mavera-echo")
	if err != nil || one.OwnedBy != "mavera" {
		t.Errorf("%v %+v", err, one)
	}
	ask := openai.ChatCompletionNewParams{Model: "mavera-echo", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Good morning")}}
	chat, err := c.Chat.Completions.New(ctx, ask)
	if err != nil || chat.Choices[0].Message.Content != echoed || chat.Choices[0].FinishReason != "stop" || chat.Usage.TotalTokens != 15 {
		t.Errorf("%v %+v", err, chat)
	}
	ask.StreamOptions = openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)}
	streamed := c.Chat.Completions.NewStreaming(ctx, ask)
	var all openai.ChatCompletionAccumulator
	for streamed.Next() {
		all.AddChunk(streamed.Current())
	}
	if streamed.Err() != nil || all.Choices[0].Message.Content != echoed || all.Usage.TotalTokens != 15 {
		t.Errorf("%v %+v", streamed.Err(), all.ChatCompletion)
	}
	question := responses.ResponseNewParams{Model: "mavera-echo", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("Good morning")}}
	answered, err := c.Responses.New(ctx, question)
	if err != nil || answered.OutputText() != echoed || answered.Status != "completed" {
		t.Errorf("%v %+v", err, answered)
	}
	goResponses(t, c, question)
	goRefusals(ctx, t, s)
}

func goResponses(t *testing.T, c *openai.Client, question responses.ResponseNewParams) {
	t.Helper()
	stream := c.Responses.NewStreaming(t.Context(), question)
	var text strings.Builder
	var last responses.ResponseStreamEventUnion
	for n := int64(0); stream.Next(); n++ {
		last = stream.Current()
		if last.SequenceNumber != n {
			t.Errorf("event %d has the number %d", n, last.SequenceNumber)
		}
		if last.Type == "response.output_text.delta" {
			text.WriteString(last.Delta)
		}
	}
	if stream.Err() != nil || text.String() != echoed || last.Type != "response.completed" || last.Response.OutputText() != echoed {
		t.Errorf("%v %q %s", stream.Err(), text.String(), last.RawJSON())
	}
}

func goRefusals(ctx context.Context, t *testing.T, s *demotest.Server) {
	t.Helper()
	exhaust(t, s, "other")
	for key, want := range map[string]string{
		"mvra_live_" + strings.Repeat("x", 32): "401 authentication_error invalid_api_key",
		s.Keys["revoked"].Key:                  "401 authentication_error revoked_api_key",
		s.Keys["expired"].Key:                  "401 authentication_error expired_api_key",
		s.Keys["lapsed"].Key:                   "402 billing_error subscription_required",
		s.Keys["other"].Key:                    "429 rate_limit_error rate_limit_exceeded",
	} {
		_, err := client(s, key).Models.List(ctx)
		var e *openai.Error
		if !errors.As(err, &e) || fmt.Sprint(e.StatusCode, " ", e.Type, " ", e.Code) != want || e.Message == "" || e.Param != "" {
			t.Errorf("%s: %v", want, err)
		}
	}
	_, err := client(s, "").Models.List(ctx, option.WithHeaderDel("Authorization"))
	if e := (*openai.Error)(nil); !errors.As(err, &e) || e.Code != "missing_api_key" {
		t.Errorf("no key: %v", err)
	}
	_, err = client(s, s.Keys["valid"].Key).Chat.Completions.New(ctx, openai.ChatCompletionNewParams{Model: "gpt-4o"})
	if e := (*openai.Error)(nil); !errors.As(err, &e) || e.StatusCode != http.StatusNotFound || e.Param != "model" {
		t.Errorf("another model: %v", err)
	}
}

// pythonHead are the fields that the Python package openai 2.8 sends by httpx 0.28,
// in its order and spelling.
const pythonHead = "Host: HOST\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\nAccept: application/json\r\n"

const pythonTail = "User-Agent: OpenAI/Python 2.8.1\r\nX-Stainless-Lang: python\r\nX-Stainless-Package-Version: 2.8.1\r\n" +
	"X-Stainless-OS: Linux\r\nX-Stainless-Arch: x64\r\nX-Stainless-Runtime: CPython\r\nX-Stainless-Runtime-Version: 3.12.3\r\n" +
	"Authorization: Bearer KEY\r\nX-Stainless-Async: false\r\nx-stainless-retry-count: 0\r\nx-stainless-read-timeout: 600\r\n"

// python makes the bytes of a request.
func python(method, path, body string) string {
	head := method + " /api/v1" + path + " HTTP/1.1\r\n" + pythonHead
	if method == http.MethodGet {
		return head + pythonTail + "\r\n"
	}
	return head + "Content-Type: application/json\r\n" + pythonTail + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
}

// The Python package can't be installed everywhere; its requests are replayed byte
// for byte, one after the other on one connection, as it keeps them alive.
func Test003_34_PythonClient(t *testing.T) {
	s := start(t, demo.Options{})
	host := strings.TrimPrefix(s.BaseURL, "http://")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	from := bufio.NewReader(conn)
	send := func(key, request string) (*http.Response, string) {
		t.Helper()
		if _, err := io.WriteString(conn, strings.NewReplacer("HOST", host, "KEY", key).Replace(request)); err != nil {
			t.Fatal(err)
		}
		method, _, _ := strings.Cut(request, " ")
		res, err := http.ReadResponse(from, &http.Request{Method: method})
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil || res.Header.Get("Content-Encoding") != "" || res.Close {
			t.Errorf("%v %v", err, res.Header)
		}
		return res, string(body)
	}
	const chat = `{"messages":[{"role":"user","content":"Good morning"}],"model":"mavera-echo"`
	for request, want := range map[string]string{
		python("GET", "/models", ""):                  `"object":"list"`,
		python("GET", "/models/mavera-echo", ""):      `"owned_by":"mavera"`,
		python("POST", "/chat/completions", chat+`}`): `"content":"` + echoed + `"`,
		python("POST", "/chat/completions", chat+`,"stream":true,"stream_options":{"include_usage":true}}`):             "\ndata: [DONE]\n\n",
		python("POST", "/responses", `{"input":"Good morning","model":"mavera-echo"}`):                                  `"text":"` + echoed + `"`,
		python("POST", "/responses", `{"input":"Good morning","model":"mavera-echo","stream":true}`):                    "event: response.completed\n",
		python("POST", "/responses", `{"input": "Good morning", "model": "mavera-echo", "extra": "of an older httpx"}`): `"text":"` + echoed + `"`,
	} {
		if res, body := send(s.Keys["valid"].Key, request); res.StatusCode != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("003-34: %.60q: %d %s", request, res.StatusCode, body)
		}
	}
	exhaust(t, s, "other")
	for key, want := range map[string]string{
		"mvra_live_your_key_here": "401 invalid_api_key", s.Keys["revoked"].Key: "401 revoked_api_key", s.Keys["expired"].Key: "401 expired_api_key",
		s.Keys["lapsed"].Key: "402 subscription_required", s.Keys["other"].Key: "429 rate_limit_exceeded",
	} {
		res, body := send(key, python("POST", "/chat/completions", chat+`}`))
		var e told
		if err := json.Unmarshal([]byte(body), &e); err != nil || fmt.Sprint(res.StatusCode, " ", e.Error.Code) != want {
			t.Errorf("003-34: %s: %v %s", want, err, body)
		}
		if key == s.Keys["other"].Key && res.Header.Get("Retry-After") == "" { // what the client waits by
			t.Error("003-34: 429 without Retry-After")
		}
	}
}
