package policies

import (
	"context"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
)

// observed reports whether anybody wants to know of decisions.
func (e *Engine) observed() bool { return e.recorder != nil || e.trial.Load() != nil }

// begin is a record with what all have.
func (e *Engine) begin(ctx context.Context, rev *revision, on, what string, o *outcome) Record {
	r := Record{
		Time: e.c.Now(), Entry: on, What: what, Allowed: o.allowed, Revision: rev.id,
		Remembered: o.remembered, Elapsed: o.elapsed,
	}
	if x := strikeplate.ExchangeFrom(ctx); x != nil {
		r.Request = x.ID()
	}
	if o.rule != nil {
		r.Rule, r.Reason = o.rule.id, o.rule.reason
	}
	if o.err != nil {
		r.Err = o.err.Error()
	}
	return r
}

func (e *Engine) takePrincipal(r *Record, p *strikeplate.Principal) {
	r.Credential, r.Organisation = p.Credential, p.Organisation
	if e.c.Log.Inputs {
		r.Scopes, r.Settings = p.Scopes, p.Settings
	}
}

func (e *Engine) observeRoute(ctx context.Context, rev *revision, r scope.Request, o outcome) {
	if e.recorder != nil && e.c.Log.wants(o.allowed) {
		record := e.begin(ctx, rev, scopesName, r.Route, &o)
		e.takePrincipal(&record, r.Principal)
		e.recorder.add(record)
	}
	if t := e.trial.Load(); t != nil {
		client := clientOf(ctx)
		t.add(&comparison{on: scopesName, what: r.Route, old: o.sum(), input: func() (ast.Value, error) { return routeInput(r, client) }})
	}
}

func (e *Engine) observeManage(ctx context.Context, rev *revision, a storage.Actor, action string, k storage.Key, input ast.Value, o outcome) {
	if e.recorder != nil && e.c.Log.wants(o.allowed) {
		record := e.begin(ctx, rev, manageName, action, &o)
		record.Credential, record.Organisation, record.Actor = k.ID, a.Organisation, a.User
		if e.c.Log.Inputs {
			record.Scopes = k.Scopes
		}
		e.recorder.add(record)
	}
	if t := e.trial.Load(); t != nil {
		t.add(&comparison{on: manageName, what: action, old: o.sum(), input: func() (ast.Value, error) { return input, nil }})
	}
}

func (e *Engine) observeRows(ctx context.Context, rev *revision, on *entry, p *strikeplate.Principal, rows []Row, verdicts []verdict, o outcome) {
	if len(verdicts) == 1 {
		o.verdict = verdicts[0]
	}
	visible := 0
	for i := range verdicts {
		if verdicts[i].allowed || len(verdicts[i].hidden) > 0 {
			visible++
		}
	}
	o.allowed = o.err == nil && visible == len(rows)
	if e.recorder != nil && e.c.Log.wants(o.allowed) {
		record := e.begin(ctx, rev, on.spec.name, "", &o)
		record.Rows, record.Visible = len(rows), visible
		e.takePrincipal(&record, p)
		e.recorder.add(record)
	}
	if t := e.trial.Load(); t != nil && o.err == nil {
		e.compareRows(ctx, t, on, p, rows, verdicts)
	}
}

// comparedRows bounds how many rows of one list a trial compares: their values
// are copied while the request waits.
const comparedRows = 8

func (e *Engine) compareRows(ctx context.Context, t *Trial, on *entry, p *strikeplate.Principal, rows []Row, verdicts []verdict) {
	client := clientOf(ctx)
	for i := range min(len(rows), comparedRows) {
		row, err := on.spec.resource.value(rows[i])
		if err != nil {
			return
		}
		o := outcome{verdict: verdicts[i]}
		t.add(&comparison{on: on.spec.name, old: o.sum(), input: func() (ast.Value, error) {
			known, err := resourceInput(p, on.spec.name, client)
			if err != nil {
				return nil, err
			}
			return withRow(known, row), nil
		}})
	}
}
