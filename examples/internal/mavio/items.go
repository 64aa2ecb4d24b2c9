package mavio

import (
	"context"
	"net/http"
	"slices"

	"github.com/strikeplate/strikeplate/examples/internal/meetings"
	"github.com/strikeplate/strikeplate/examples/internal/rest"
	"github.com/strikeplate/strikeplate/policies"
)

var statuses = []string{"open", "completed"}

// ListActionItems answers with what is to be done after the meetings that the
// caller sees.
func (a *API) ListActionItems(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	q := meetings.ItemSearch{Meeting: query.Get("meeting_id"), Assignee: query.Get("assignee")}
	var err error
	if q.Status, err = rest.OneOf(query, "status", statuses...); err != nil {
		rest.Answer(w, r, 0, nil, err)
		return
	}
	list(a, w, r, "action_items", func(ctx context.Context, visible policies.Filter, at meetings.Place) (meetings.Page[meetings.ActionItem], error) {
		q.Place = at
		return a.Meetings.ActionItems(ctx, visible, q)
	})
}

// CreateActionItem adds something to be done after a meeting.
func (a *API) CreateActionItem(w http.ResponseWriter, r *http.Request) {
	item := meetings.ActionItem{ID: meetings.NewID("act_"), Status: "open"}
	o, err := rest.Read(w, r)
	if err == nil {
		o.Need("meeting_id", "title")
		if id := o.Text("meeting_id", 100); id != nil {
			item.Meeting = *id
		}
		if title := o.Text("title", 300); title != nil {
			item.Title = *title
		}
		item.Assignee, _ = o.OrNull("assignee", isMember, member(r))
		item.Due, _ = o.Day("due_date")
		err = o.Err()
	}
	var m meetings.Meeting
	if err == nil {
		m, err = a.meeting(r, item.Meeting)
	}
	if err == nil {
		err = a.changed(r, "action_items", "action_item.created", m, map[string]string{"action_item_id": item.ID}, func(ctx context.Context, visible policies.Filter, tell []meetings.Delivery) error {
			return a.Meetings.AddActionItem(ctx, visible, item, tell)
		})
	}
	created(w, r, "", item, err)
}

// ChangeActionItem changes some of an action item's fields: those that are named
// here. Status completed completes it, and notes when.
func (a *API) ChangeActionItem(fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		o, err := rest.Read(w, r)
		get := func(ctx context.Context, visible policies.Filter) (meetings.ActionItem, error) {
			return a.Meetings.ActionItem(ctx, visible, r.PathValue("id"))
		}
		var item meetings.ActionItem
		var m meetings.Meeting
		if err == nil {
			item, err = seen(a, r, "action_items", get)
		}
		if err == nil {
			m, err = a.meeting(r, item.Meeting)
		}
		var c meetings.ActionItemChange
		if err == nil {
			c, err = itemOf(r, o, fields)
		}
		if err == nil {
			event := "action_item.updated"
			if c.Status != nil && *c.Status == "completed" && item.Status != "completed" {
				event = "action_item.completed"
			}
			err = a.changed(r, "action_items", event, m, map[string]string{"action_item_id": item.ID}, func(ctx context.Context, visible policies.Filter, tell []meetings.Delivery) error {
				return a.Meetings.ChangeActionItem(ctx, visible, item, c, a.Now(), tell)
			})
		}
		if err == nil {
			item, err = seen(a, r, "action_items", get)
		}
		rest.Answer(w, r, http.StatusOK, item, err)
	}
}

func itemOf(r *http.Request, o *rest.Object, fields []string) (c meetings.ActionItemChange, err error) {
	if slices.Contains(fields, "title") {
		c.Title = o.Text("title", 300)
	}
	c.Status = o.OneOf("status", statuses...)
	c.Assignee.Value, c.Assignee.Given = o.OrNull("assignee", isMember, member(r))
	c.Due.Value, c.Due.Given = o.Day("due_date")
	return c, o.Err()
}
