package conformance_test

import (
	"net/http"
	"strings"
	"time"
)

// Mavera's page: keys for an API in OpenAI's wire format. Its demo limit is 120
// requests a minute, which its cases share.
var mavera = product{
	name: "mavera", page: "003", base: "/api/v1", console: "/settings/developer", variable: "MAVERA_API_KEY",
	key: "valid", admin: "admin", list: "/models", code: codeInError,
	creation: map[string]any{}, form: map[string][]string{},
	cases: maveraCases,
}

var maveraCases = []check{
	{"003-5a", nothingWithoutKey},
	{"003-5b", bearerAlone},
	{"003-18", named},
	{"003-23", func(p *probe) { shownOnce(p); replayed(p) }},
	{"003-29,003-30", func(p *probe) {
		for _, text := range []string{p.secret("valid"), p.admin().create(nil).secret} {
			if !strings.HasPrefix(text, "mvra_live_") || len(text) < 32 {
				p.Errorf("a key of %d characters begins with %q", len(text), text[:10])
			}
		}
		p.admin().api(http.MethodGet, "/options", nil).has("formats.0.format", "mvra_")
	}},
	{"003-30b", func(p *probe) { // keys from before had neither id nor checksum
		p = p.alone()
		text := p.secret("issued")
		if !strings.HasPrefix(text, "mvra_live_") || len(text) < 32 {
			p.Errorf("a key from before has %d characters", len(text))
		}
		p.with(text).want(http.StatusOK)
		p.with(text[:len(text)-1]+other(text[len(text)-1])).refused(http.StatusUnauthorized, "invalid_api_key")
		p.clock("122640h") // 14 years: they are accepted until a date
		p.with(text).want(http.StatusUnauthorized)
		p.with(p.secret("valid")).want(http.StatusOK)
	}},
	{"003-34", openAIClient},
	{"003-43", inWebPages},
	{"003-47,003-57", inEnvironment},
	{"003-49", func(p *probe) { rotated(p); overdue(p) }},
	{"003-50", func(p *probe) {
		admin := p.admin()
		admin.page("").says("give each integration its own")
		development, production := admin.create(map[string]any{"name": "Development"}), admin.create(map[string]any{"name": "Production"})
		admin.revoke(development.ID).want(http.StatusOK)
		p.with(development.secret).want(http.StatusUnauthorized)
		p.with(production.secret).want(http.StatusOK)
	}},
	{"003-51,003-81,003-86a,003-86b", revokedByHand},
	{"003-74,003-75,003-76,003-77", func(p *probe) { listed(p) }},
	{"003-91", func(p *probe) {
		p.with("").refused(http.StatusUnauthorized, "missing_api_key")
		for _, value := range []string{"", "Basic dXNlcjpwYXNz", "Bearer"} { // present, and unreadable
			p.call(http.MethodGet, "", "/models", nil, "Authorization", value).refused(http.StatusUnauthorized, "invalid_api_key")
		}
	}},
	{"003-92", func(p *probe) {
		text := p.secret("valid")
		for _, wrong := range []string{"nonsense", "sk-proj-" + text, "mvra_live_", "mvra_test_" + text[10:], text[:len(text)-1] + other(text[len(text)-1]), "mvra_live_" + strings.Repeat("x", 32)} {
			p.with(wrong).refused(http.StatusUnauthorized, "invalid_api_key")
		}
	}},
	{"003-93", func(p *probe) {
		p.with(p.secret("revoked")).refused(http.StatusUnauthorized, "revoked_api_key")
		admin := p.admin() // and neither of these is one
		k := admin.create(nil)
		admin.regenerate(k.ID).want(http.StatusOK)
		p.with(k.secret).refused(http.StatusUnauthorized, "invalid_api_key")
	}},
	{"003-94", func(p *probe) {
		p.with(p.secret("expired")).refused(http.StatusUnauthorized, "expired_api_key")
		p = p.alone()
		k := p.admin().create(map[string]any{"expires": time.Now().Add(2 * time.Hour).UTC().Format(time.RFC3339)})
		p.with(k.secret).want(http.StatusOK)
		p.clock("2h")
		p.with(k.secret).refused(http.StatusUnauthorized, "expired_api_key")
	}},
	{"003-96", func(p *probe) {
		a := p.with("nonsense").refused(http.StatusUnauthorized, "invalid_api_key").has("error.type", "authentication_error").has("error.param", "null")
		a.has("error.message", "Invalid API key. Ensure your key starts with 'mvra_live_' and has not been revoked.")
		for _, field := range []string{"error.message", "error.type", "error.code", "error.param"} {
			for _, name := range []string{"revoked", "expired", "lapsed"} {
				if a := p.with(p.secret(name)); a.at(field) == "" {
					p.Errorf("%s: no %s: %s", name, field, a.body)
				}
			}
		}
		if !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
			p.Errorf("it is %s", a.header.Get("Content-Type"))
		}
	}},
	{"003-107,003-108", func(p *probe) {
		p.with(p.secret("lapsed")).refused(http.StatusPaymentRequired, "subscription_required").has("error.type", "billing_error").has("error.param", "null")
		if k := p.visit("lapsed_admin").key(p.Keys["lapsed"].ID); k.Status != "active" {
			p.Errorf("its key is %s", k.Status)
		}
		p.organisation("main", `{"subscription": "lapsed"}`, `{"subscription": "active"}`)
		p.with(p.secret("valid")).refused(http.StatusPaymentRequired, "subscription_required")
		p.with("nonsense").refused(http.StatusUnauthorized, "invalid_api_key") // who owes is told to nobody else
	}},
	{"003-109", func(p *probe) {
		admin := p.admin()
		k := admin.create(nil)
		p.organisation("main", `{"subscription": "lapsed"}`, `{"subscription": "active"}`)
		admin.api(http.MethodPost, "/keys", map[string]any{"name": "New"}).refusedBy(http.StatusPaymentRequired, "subscription_required")
		admin.rotate(k.ID, 60).refusedBy(http.StatusPaymentRequired, "subscription_required")
		admin.submit(admin.page("keys/new"), "/keys", map[string][]string{"name": {"New"}}).want(http.StatusPaymentRequired).says("Your subscription has ended")
		admin.regenerate(k.ID).want(http.StatusOK)
		admin.revoke(k.ID).want(http.StatusOK)
	}},
	{"003-110", func(p *probe) {
		p.organisation("lapsed", `{"subscription": "active"}`, `{"subscription": "lapsed"}`)
		p.eventually("the key works again", func() bool { return p.with(p.secret("lapsed")).status == http.StatusOK })
	}},
}

// other is another character.
func other(c byte) string {
	if c == 'a' {
		return "b"
	}
	return "a"
}

// openAIClient replays what OpenAI's client for Python sends when its base_url is
// this server's. The clients for Go and npm are run as they are by mavera's own
// tests.
func openAIClient(p *probe) {
	headers := []string{
		"Accept", "application/json", "Content-Type", "application/json", "User-Agent", "OpenAI/Python 1.109.1",
		"X-Stainless-Lang", "python", "X-Stainless-Package-Version", "1.109.1", "X-Stainless-OS", "Linux", "X-Stainless-Arch", "x64",
		"X-Stainless-Runtime", "CPython", "X-Stainless-Runtime-Version", "3.12.3", "X-Stainless-Async", "false",
		"x-stainless-retry-count", "0", "x-stainless-read-timeout", "600", "Accept-Encoding", "gzip, deflate",
	}
	text := p.secret("valid")
	p.call(http.MethodGet, text, "/models", nil, headers...).want(http.StatusOK).has("object", "list").has("data.0.object", "model")
	model := p.call(http.MethodGet, text, "/models", nil).at("data.0.id")
	ask := map[string]any{"messages": []any{map[string]any{"role": "user", "content": "Good morning"}}, "model": model}
	a := p.call(http.MethodPost, text, "/chat/completions", ask, headers...).want(http.StatusOK).has("object", "chat.completion").has("choices.0.message.role", "assistant").has("choices.0.finish_reason", "stop")
	if !strings.Contains(a.at("choices.0.message.content"), "Good morning") || a.at("usage.total_tokens") == "" {
		p.Errorf("the answer is %s", a.body)
	}
	ask["stream"] = true
	a = p.call(http.MethodPost, text, "/chat/completions", ask, headers...).want(http.StatusOK)
	if !strings.HasPrefix(a.header.Get("Content-Type"), "text/event-stream") || strings.Count(string(a.body), "data: ") < 3 || !strings.HasSuffix(strings.TrimSpace(string(a.body)), "data: [DONE]") {
		p.Errorf("the stream is %s", a.body)
	}
	p.call(http.MethodPost, text, "/responses", map[string]any{"model": model, "input": "Good morning"}, headers...).want(http.StatusOK).has("object", "response").has("status", "completed")
	p.call(http.MethodGet, "sk-wrong", "/models", nil, headers...).refused(http.StatusUnauthorized, "invalid_api_key")
}
