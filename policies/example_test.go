package policies_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"testing/fstest"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/policies"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
)

// quiet is for examples, whose output is compared.
var quiet = slog.New(slog.DiscardHandler)

func Example() {
	// What a security team keeps in a directory; Source.Dir watches one.
	rules := fstest.MapFS{"scopes.rego": {Data: []byte(`package policies.scopes

# METADATA
# custom:
#   public: true
deny["read-only"] := "the organisation is read-only until its bill is paid" if {
	input.route.method != "GET"
	input.principal.settings.unpaid == true
}
`)}}
	engine, err := policies.New(policies.Config{Source: policies.Source{FS: rules}, Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = engine.Close(context.Background()) }()

	p := &strikeplate.Principal{
		Environment: strikeplate.Live, Organisation: "acme", Scopes: []string{"meetings:read", "meetings:write"},
		Settings: map[string]any{"unpaid": true},
	}
	for _, r := range []scope.Request{
		{Principal: p, Method: "GET", Requirement: scope.Requirement{AllOf: []string{"meetings:read"}}},
		{Principal: p, Method: "DELETE", Requirement: scope.Requirement{AllOf: []string{"meetings:write"}}},
		{Principal: p, Method: "GET", Requirement: scope.Requirement{AllOf: []string{"summaries:read"}}},
	} {
		d, err := engine.Authorize(context.Background(), r)
		if err != nil {
			log.Fatal(err) // 503
		}
		fmt.Println(d.Allowed, d.Rule, d.Missing)
	}
	// Output:
	// true scopes.granted []
	// false policies.scopes.read-only []
	// false scopes.missing [summaries:read]
}

func ExampleEngine_Visible() {
	meetings := policies.Resource{
		Name: "meetings",
		Columns: map[string]policies.Column{
			"organisation": {}, "environment": {}, "owner": {}, "private": {Type: policies.Bool},
		},
		Relations: map[string]policies.Relation{
			"participants": {From: "participants", On: "participants.meeting_id = {table}.id", Value: "participants.user_id"},
		},
	}
	engine, err := policies.New(policies.Config{Resources: []policies.Resource{meetings}, Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = engine.Close(context.Background()) }()

	p := &strikeplate.Principal{Environment: strikeplate.Live, Access: strikeplate.UserLimited, Organisation: "acme", Subject: "ada"}
	row := func(owner string, private bool, participants ...string) policies.Row {
		return policies.Row{"organisation": "acme", "environment": "live", "owner": owner, "private": private, "participants": participants}
	}
	decisions, err := engine.Visible(context.Background(), p, "meetings", row("ada", false), row("bob", false, "ada"), row("bob", false), row("ada", true))
	if err != nil {
		log.Fatal(err)
	}
	for _, d := range decisions {
		fmt.Println(d.Allowed, d.Rule)
	}
	// Output:
	// true meetings.user-limited
	// true meetings.user-limited
	// false meetings.default
	// false meetings.private
}

func ExampleEngine_Manage() {
	engine, err := policies.New(policies.Config{Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = engine.Close(context.Background()) }()

	// keyauth/manage asks it: manage.Config{Authorize: engine.Manage, …}
	member := storage.Actor{User: "ada", Organisation: "acme", Role: "member"}
	err = engine.Manage(context.Background(), member, "key.create", storage.Key{Organisation: "acme"})
	var refusal *strikeplate.Error
	if errors.As(err, &refusal) {
		fmt.Println(refusal.Status, refusal.Rule, refusal.Message)
	}
	// Output:
	// 403 manage.default You may not do this: no rule allows it.
}

func ExampleEngine_Try() {
	engine, err := policies.New(policies.Config{Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = engine.Close(context.Background()) }()

	candidate := fstest.MapFS{"scopes.rego": {Data: []byte(`package policies.scopes

deny["free"] := "the plan free has no API" if input.principal.plan == "free"
`)}}
	trial, err := engine.Try(context.Background(), policies.Source{FS: candidate})
	if err != nil {
		log.Fatal(err)
	}
	// Requests go on being decided by the active revision.
	p := &strikeplate.Principal{Environment: strikeplate.Live, Plan: "free", Scopes: []string{"meetings:read"}}
	d, err := engine.Authorize(context.Background(), scope.Request{
		Principal: p, Method: "GET", Route: "GET /v1/meetings", Requirement: scope.Requirement{AllOf: []string{"meetings:read"}},
	})
	fmt.Println(d.Allowed, err)
	trial.Stop() // or trial.Promote
	for _, found := range trial.Report().Differences {
		fmt.Println(found.Count, found.What, found.Old.Rule, "->", found.New.Rule)
	}
	// Output:
	// true <nil>
	// 1 GET /v1/meetings scopes.granted -> policies.scopes.free
}

func ExampleJSONLines() {
	engine, err := policies.New(policies.Config{
		Log:    policies.Log{Sink: policies.JSONLines(os.Stderr), Sample: 0.01}, // a hundredth, and every denial
		Logger: quiet,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(engine.Close(context.Background()))
	// Output: <nil>
}
