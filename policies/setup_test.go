package policies_test

import (
	"bytes"
	"context"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/policies"
	"github.com/strikeplate/strikeplate/scope"
)

// meetings and transcripts are the resources of most tests.
func resources() []policies.Resource {
	return []policies.Resource{
		{
			Name: "meetings", Table: "meetings",
			Columns: map[string]policies.Column{
				"organisation": {}, "environment": {}, "owner": {}, "title": {}, "private": {Type: policies.Bool},
			},
			Relations: map[string]policies.Relation{
				"participants": {From: "participants", On: "participants.meeting_id = {table}.id", Value: "participants.user_id"},
			},
		},
		{Name: "transcripts", Inherits: "meetings"},
	}
}

// meeting is a row that every organisation-wide level sees.
func meeting(change func(policies.Row)) policies.Row {
	row := policies.Row{
		"organisation": "acme", "environment": "live", "owner": "ada", "title": "Plans", "private": false, "participants": []string{"ada", "bob"},
	}
	if change != nil {
		change(row)
	}
	return row
}

func private(r policies.Row) { r["private"] = true }

// key is a principal that the bundled rules let in.
func key(change func(*strikeplate.Principal)) *strikeplate.Principal {
	p := &strikeplate.Principal{
		Kind: strikeplate.KindKey, Environment: strikeplate.Live, Access: strikeplate.OrganisationFull, Credential: "key_1",
		Lineage: "key_1", Organisation: "acme", Plan: "pro", Scopes: []string{"meetings:read", "summaries:read"},
	}
	if change != nil {
		change(p)
	}
	return p
}

// ask is a request that the bundled rules let in.
func ask(p *strikeplate.Principal) scope.Request {
	return scope.Request{
		Principal: p, Method: "GET", Route: "GET /v1/meetings", Requirement: scope.Requirement{AllOf: []string{"meetings:read"}},
	}
}

// files is a source of policies by name.
func files(pairs ...string) fs.FS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return m
}

// engine makes an engine that is closed with the test.
func engine(t testing.TB, c policies.Config) *policies.Engine {
	t.Helper()
	e, err := tryEngine(t, c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func tryEngine(t testing.TB, c policies.Config) (*policies.Engine, error) {
	t.Helper()
	if c.Resources == nil {
		c.Resources = resources()
	}
	if c.Deadline == 0 {
		c.Deadline = time.Minute // a loaded machine is not what these tests are about
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	e, err := policies.New(c)
	if err == nil {
		t.Cleanup(func() {
			if err := e.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	return e, err
}

// user makes an engine with one file of an embedder.
func user(t testing.TB, text string) *policies.Engine {
	t.Helper()
	return engine(t, policies.Config{Source: policies.Source{FS: files("user.rego", text)}})
}

// buffer is a writer that tests read while others write.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) lines() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Split(strings.TrimSpace(b.b.String()), "\n")
}

func date(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }
