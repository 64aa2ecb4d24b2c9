package console

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

type auditInput struct {
	Cursor string `query:"cursor" maxLength:"1000" doc:"The last page's next; it belongs to the order that it came from"`
	Limit  int    `query:"limit" minimum:"0" maximum:"1000" doc:"Left out: 50"`
	Order  string `query:"order" enum:"oldest,newest" doc:"What comes first; left out: oldest"`
}

type auditOutput struct{ Body entryPageJSON }

type exportInput struct {
	Cursor string `query:"cursor" maxLength:"1000" doc:"Left out: from the beginning"`
}

type optionsOutput struct{ Body optionsJSON }

type usageInput struct {
	ID    string `path:"id" maxLength:"200"`
	Range string `query:"range" enum:"1h,24h,7d,30d,90d" doc:"Left out: 7d"`
	Of    string `query:"of" enum:"key,lineage" doc:"lineage: with the keys that it was rotated from and to; left out: the key alone"`
}

type usageOutput struct{ Body usageJSON }

func (a *api) registerRest() {
	const bad, gone = http.StatusBadRequest, http.StatusNotFound
	get := http.MethodGet
	handle(a, operation{id: "options", method: get, path: "/options", summary: "What new keys can be like"}, a.options)
	handle(a, operation{id: "get-usage", method: get, path: "/keys/{id}/usage", summary: "What a key was used for", refusals: []int{gone}}, a.usage)
	handle(a, operation{id: "list-audit", method: get, path: "/audit", summary: "Read the audit log, oldest or newest first", refusals: []int{bad}}, a.audit)
	handle(a, operation{
		id: "export-audit", method: get, path: "/audit/export", summary: "Export the audit log as JSON lines",
		description: "A response that is cut short was not completed: continue from the last position with list-audit.", refusals: []int{bad},
	}, a.export)
	export := a.huma.OpenAPI().Paths["/audit/export"].Get
	export.Responses["200"] = &huma.Response{
		Description: "One entry a line",
		Content:     map[string]*huma.MediaType{jsonLines: {Schema: &huma.Schema{Type: huma.TypeString}}},
	}
	if a.s.c.Apps != nil {
		a.registerApps()
	}
}

func (a *api) audit(ctx context.Context, actor storage.Actor, in *auditInput) (*auditOutput, error) {
	read := a.s.c.Manage.Audit
	if in.Order == "newest" {
		read = a.s.c.Manage.NewestAudit
	}
	log, err := read(ctx, actor, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &auditOutput{Body: entryPageJSON{Data: make([]entryJSON, 0, len(log.Entries)), Next: log.Next}}
	for _, e := range log.Entries {
		out.Body.Data = append(out.Body.Data, wireEntry(e))
	}
	return out, nil
}

func (a *api) export(ctx context.Context, actor storage.Actor, in *exportInput) (*huma.StreamResponse, error) {
	// Asked first: once the first line is out, nothing can be refused.
	if _, err := a.s.c.Manage.Audit(ctx, actor, in.Cursor, 1); err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(h huma.Context) {
		h.SetHeader("Content-Type", jsonLines)
		h.SetHeader("Content-Disposition", attachment)
		if _, err := a.s.c.Manage.ExportAudit(ctx, actor, h.BodyWriter(), in.Cursor); err != nil {
			panic(http.ErrAbortHandler) // so that nobody takes half a log for all of it
		}
	}}, nil
}

func (a *api) options(ctx context.Context, actor storage.Actor, _ *struct{}) (*optionsOutput, error) {
	page, err := a.s.c.Manage.List(ctx, actor, manage.Filter{Limit: 1})
	if err != nil {
		return nil, err
	}
	t := a.s.c.Terms
	members, err := a.s.members(ctx, actor)
	if err != nil {
		return nil, err
	}
	out := &optionsOutput{Body: optionsJSON{
		Formats: []formatJSON{}, Access: []accessJSON{}, Scopes: []scopeJSON{}, Members: []memberJSON{},
		Slots: slotsJSON(page.Slots), Address: addressText(actor.Client),
		Expiry:  expiryJSON{DefaultSeconds: seconds(t.DefaultLifetime), MaxSeconds: seconds(t.MaxLifetime)},
		Overlap: overlapJSON{MaxSeconds: seconds(t.MaxOverlap)},
	}}
	for _, f := range a.s.c.Scheme.Formats() {
		j := formatJSON{Format: f.Prefix, Environments: []string{}}
		for _, e := range f.Environments {
			j.Environments = append(j.Environments, string(e))
		}
		out.Body.Formats = append(out.Body.Formats, j)
	}
	for _, l := range a.s.levels() {
		out.Body.Access = append(out.Body.Access, accessJSON{
			Access: string(l.Access), Title: l.Title, Reaches: l.Reaches, BestFor: l.BestFor, ForUser: l.Access.ForUser(), Cautions: l.Caution,
		})
	}
	for _, e := range a.s.c.Catalog.Entries() {
		out.Body.Scopes = append(out.Body.Scopes, scopeJSON{Scope: e.Scope, Resource: e.Resource(), Description: e.Description})
	}
	for _, m := range members {
		if m.Active {
			out.Body.Members = append(out.Body.Members, memberJSON{ID: m.ID, Name: m.Name})
		}
	}
	return out, nil
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

func (a *api) usage(ctx context.Context, actor storage.Actor, in *usageInput) (*usageOutput, error) {
	k, err := a.s.c.Manage.Get(ctx, actor, in.ID)
	if err != nil {
		return nil, err
	}
	var ids []string
	if in.Of == "lineage" {
		line, err := a.s.lineage(ctx, actor, k.Lineage)
		if err != nil {
			return nil, err
		}
		for _, other := range line {
			ids = append(ids, other.ID)
		}
	}
	return &usageOutput{Body: a.s.askUsage(ctx, k, rangeNamed(in.Range), ids).wire()}, nil
}
