package policies_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/policies"
)

// secretKey has what must not be recorded unless asked.
func secretKey(change func(*strikeplate.Principal)) *strikeplate.Principal {
	return key(func(p *strikeplate.Principal) {
		p.Settings = map[string]any{"salary": "setting-value"}
		p.Scopes = append(p.Scopes, "scope:value")
		if change != nil {
			change(p)
		}
	})
}

func recordsOf(t *testing.T, b *buffer) (records []policies.Record) {
	t.Helper()
	for _, line := range b.lines() {
		var r policies.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		records = append(records, r)
	}
	return records
}

func closed(t *testing.T, e *policies.Engine) {
	t.Helper()
	if err := e.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestDecisionLog(t *testing.T) {
	var b buffer
	e := engine(t, policies.Config{
		Log: policies.Log{Sink: policies.JSONLines(&b)}, Now: func() time.Time { return date(2026) },
		Source: policies.Source{FS: files("a.rego", "package policies.scopes\ndeny[\"audit\"] := \"case 4711\" if input.route.method == \"DELETE\"\ndeny[\"x\"] := \"y\" if count(input.route.all_of) / count(input.route.any_of) > 9 with input.route.any_of as [1 | input.route.method != \"BREAK\"]\n")},
	})
	handler := strikeplate.Edge{TrustRequestID: true}.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for _, method := range []string{"GET", "GET", "DELETE", "BREAK"} {
			q := ask(secretKey(nil))
			q.Method = method
			_, _ = e.Authorize(r.Context(), q)
		}
		_ = e.Manage(r.Context(), admin(), "key.create", managed())
		_, _ = e.Visible(r.Context(), secretKey(nil), "meetings", meeting(nil))
		_, _ = e.Visible(r.Context(), secretKey(nil), "meetings", meeting(nil), meeting(private))
		_, _ = e.Visible(r.Context(), secretKey(nil), "meetings", policies.Row{})
	}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Request-Id", "req-1")
	handler.ServeHTTP(httptest.NewRecorder(), r)
	closed(t, e)
	base := policies.Record{Time: date(2026), Request: "req-1", Revision: e.Stats().Revision, Credential: "key_1", Organisation: "acme"}
	with := func(change func(*policies.Record)) policies.Record {
		r := base
		change(&r)
		return r
	}
	route := func(r *policies.Record) { r.Entry, r.What = "scopes", "GET /v1/meetings" }
	granted := func(r *policies.Record) {
		route(r)
		r.Allowed, r.Rule, r.Reason = true, "scopes.granted", "the credential has what the route requires"
	}
	want := []policies.Record{
		with(granted), with(granted),
		with(func(r *policies.Record) { route(r); r.Rule, r.Reason = "policies.scopes.audit", "case 4711" }),
		with(func(r *policies.Record) { route(r); r.Err = "scopes: policies: could not decide" }),
		with(func(r *policies.Record) {
			r.Entry, r.What, r.Actor, r.Allowed = "manage", "key.create", "root", true
			r.Rule, r.Reason = "manage.keys", "administrators manage the organisation's keys"
		}),
		with(func(r *policies.Record) {
			r.Entry, r.Allowed, r.Rows, r.Visible, r.Rule, r.Reason = "meetings", true, 1, 1, "meetings.org-full", "the meeting is not private"
		}),
		with(func(r *policies.Record) { r.Entry, r.Rows, r.Visible = "meetings", 2, 1 }),
		with(func(r *policies.Record) { r.Entry, r.Rows, r.Err = "meetings", 1, "policies: could not decide" }),
	}
	got := recordsOf(t, &b)
	for i := range got {
		if got[i].Elapsed <= 0 {
			t.Errorf("record %d took no time", i)
		}
	}
	brief := cmp.Transformer("Err", func(r policies.Record) policies.Record {
		head, _, _ := strings.Cut(r.Err, "could not decide")
		if r.Err != "" {
			r.Err = head + "could not decide"
		}
		return r
	})
	err := cmp.FilterPath(func(p cmp.Path) bool { return len(p) == 2 }, brief)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(policies.Record{}, "Elapsed", "Remembered"), err); diff != "" {
		t.Error(diff)
	}
	if text := strings.Join(b.lines(), "\n"); strings.Contains(text, "setting-value") || strings.Contains(text, "scope:value") {
		t.Errorf("scopes or settings were recorded: %s", text)
	}
	if s := e.Stats(); s.LogRecorded != uint64(len(want)) || s.LogDropped+s.LogFailed > 0 {
		t.Errorf("%+v", s)
	}
}

func TestDecisionLogWithInputs(t *testing.T) {
	var b buffer
	e := engine(t, policies.Config{Log: policies.Log{Sink: policies.JSONLines(&b), Inputs: true}})
	_, _ = e.Authorize(context.Background(), ask(secretKey(nil)))
	_, _ = e.Authorize(context.Background(), ask(secretKey(nil)))
	closed(t, e)
	got := recordsOf(t, &b)
	if len(got) != 2 || got[0].Remembered || !got[1].Remembered || got[0].Settings["salary"] != "setting-value" || len(got[1].Scopes) != 3 {
		t.Errorf("%+v", got)
	}
}

// gate is a sink that writes nothing until it is opened.
type gate struct {
	open    chan struct{}
	entered chan struct{}
	err     error
	n       int
}

func (g *gate) Write(records []policies.Record) error {
	select {
	case g.entered <- struct{}{}:
	default:
	}
	<-g.open
	g.n += len(records)
	return g.err
}

// A sink that is slow or broken costs records, which are counted, and no decision.
func TestDecisionLogDropsAndCounts(t *testing.T) {
	sink := &gate{open: make(chan struct{}), entered: make(chan struct{}, 1)}
	e := engine(t, policies.Config{Log: policies.Log{Sink: sink, Buffer: 10}})
	decide := func() {
		if _, err := e.Authorize(context.Background(), ask(key(nil))); err != nil {
			t.Fatal(err)
		}
	}
	decide()
	<-sink.entered // the sink holds the first one
	for range 25 {
		decide()
	}
	if s := e.Stats(); s.LogDropped != 15 || s.LogRecorded != 0 {
		t.Errorf("%+v", s)
	}
	close(sink.open)
	closed(t, e)
	if s := e.Stats(); sink.n != 11 || s.LogRecorded != 11 || s.LogDropped != 15 {
		t.Errorf("%d were written: %+v", sink.n, s)
	}

	broken := &gate{open: sink.open, err: errors.New("the disk is full")}
	e = engine(t, policies.Config{Log: policies.Log{Sink: broken}})
	decide()
	closed(t, e)
	if s := e.Stats(); s.LogFailed != 1 || s.LogRecorded != 0 {
		t.Errorf("%+v", s)
	}
}

// A sink that never returns doesn't keep Close for longer than its context.
func TestCloseEndsWithItsContext(t *testing.T) {
	sink := &gate{open: make(chan struct{}), entered: make(chan struct{}, 1)}
	defer close(sink.open)
	e, err := policies.New(policies.Config{Log: policies.Log{Sink: sink}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = e.Authorize(context.Background(), ask(key(nil)))
	<-sink.entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := e.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestDecisionLogSampling(t *testing.T) {
	const each = 2000
	for name, c := range map[string]struct {
		log             policies.Log
		allowed, denied [2]int
	}{
		"all":              {policies.Log{}, [2]int{each, each}, [2]int{each, each}},
		"denials only":     {policies.Log{Sample: -1}, [2]int{0, 0}, [2]int{each, each}},
		"some":             {policies.Log{Sample: 0.5}, [2]int{each / 4, 3 * each / 4}, [2]int{each, each}},
		"some of denials":  {policies.Log{Sample: 0.5, SampleDenials: true}, [2]int{each / 4, 3 * each / 4}, [2]int{each / 4, 3 * each / 4}},
		"nothing, not one": {policies.Log{Sample: -1, SampleDenials: true}, [2]int{0, 0}, [2]int{0, 0}},
	} {
		sink := &tally{}
		c.log.Sink, c.log.Buffer = sink, 2*each
		e := engine(t, policies.Config{Log: c.log})
		for range each {
			_, _ = e.Authorize(context.Background(), ask(key(nil)))
			_, _ = e.Authorize(context.Background(), ask(key(func(p *strikeplate.Principal) { p.Scopes = nil })))
		}
		closed(t, e)
		if sink.allowed < c.allowed[0] || sink.allowed > c.allowed[1] || sink.denied < c.denied[0] || sink.denied > c.denied[1] {
			t.Errorf("%s: %d allowing and %d denying of %d each", name, sink.allowed, sink.denied, each)
		}
	}
}

type tally struct{ allowed, denied int }

func (s *tally) Write(records []policies.Record) error {
	for _, r := range records {
		if r.Allowed {
			s.allowed++
		} else {
			s.denied++
		}
	}
	return nil
}

func TestDecisionsToALogger(t *testing.T) {
	var b buffer
	to := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == "time" || a.Key == "decided" || a.Key == "elapsed" || a.Key == "revision" {
			return slog.Attr{}
		}
		return a
	}}))
	e := engine(t, policies.Config{Log: policies.Log{Sink: policies.ToLogger(to)}})
	_, _ = e.Authorize(context.Background(), ask(secretKey(nil)))
	_, _ = e.Authorize(context.Background(), ask(key(func(p *strikeplate.Principal) { p.Scopes = nil })))
	_, _ = e.Visible(context.Background(), secretKey(nil), "meetings", meeting(nil), meeting(private))
	closed(t, e)
	want := []string{
		`level=INFO msg=decision entry=scopes allowed=true what="GET /v1/meetings" rule=scopes.granted reason="the credential has what the route requires" credential=key_1 organisation=acme`,
		`level=WARN msg=decision entry=scopes allowed=false what="GET /v1/meetings" rule=scopes.missing reason="the credential lacks a scope that the route requires" credential=key_1 organisation=acme`,
		`level=WARN msg=decision entry=meetings allowed=false credential=key_1 organisation=acme rows=2 visible=1`,
	}
	if diff := cmp.Diff(want, b.lines()); diff != "" {
		t.Error(diff)
	}
}
