package mavio

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/examples/internal/hooks"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
	"github.com/strikeplate/strikeplate/examples/internal/rest"
	"github.com/strikeplate/strikeplate/policies"
)

// ListWebhooks answers with webhooks and their most recent deliveries, newest
// first.
func (a *API) ListWebhooks(w http.ResponseWriter, r *http.Request) {
	list(a, w, r, "webhooks", a.Meetings.Webhooks)
}

// CreateWebhook makes a webhook in the credential's environment. Its secret is in
// this answer, and in no other.
func (a *API) CreateWebhook(w http.ResponseWriter, r *http.Request) {
	principal, _ := strikeplate.FromContext(r.Context())
	hook := meetings.Webhook{ID: meetings.NewID("whk_"), Organisation: principal.Organisation, Environment: string(principal.Environment),
		Active: true, Created: a.Now().UTC().Truncate(time.Second), Deliveries: []meetings.Delivery{}}
	if principal.Subject != "" { // an app made it for a user
		hook.User, hook.Grant = &principal.Subject, principal.Lineage
	}
	o, err := rest.Read(w, r)
	if err == nil {
		o.Need("url", "events")
		var c meetings.WebhookChange
		if c, err = a.webhookOf(o); err == nil {
			hook.URL, hook.Events = *c.URL, *c.Events
			if c.Active != nil {
				hook.Active = *c.Active
			}
		}
	}
	var secret string
	if err == nil {
		secret, hook.Sealed, err = a.Hooks.Secret(hook)
	}
	if err == nil {
		err = a.Meetings.AddWebhook(r.Context(), hook)
	}
	created(w, r, "", struct {
		meetings.Webhook
		Secret string `json:"secret"`
	}{hook, secret}, err)
}

// webhookOf reads the fields of a webhook that can be changed.
func (a *API) webhookOf(o *rest.Object) (c meetings.WebhookChange, err error) {
	if url := o.Text("url", 1000); url != nil {
		if wrong := a.Hooks.CheckURL(*url); wrong != "" {
			o.Bad("url", "%s", wrong)
		}
		c.URL = url
	}
	c.Events = o.Texts("events", "one of the events that there are", len(hooks.Events), func(event string) bool { return slices.Contains(hooks.Events, event) })
	if c.Events != nil && len(*c.Events) == 0 {
		o.Bad("events", "It has at least one entry.")
	}
	c.Active = o.Bool("active")
	return c, o.Err()
}

// ChangeWebhook changes what is given, and answers with the webhook.
func (a *API) ChangeWebhook(w http.ResponseWriter, r *http.Request) {
	o, err := rest.Read(w, r)
	var c meetings.WebhookChange
	if err == nil {
		c, err = a.webhookOf(o)
	}
	var hook meetings.Webhook
	if err == nil {
		hook, err = seen(a, r, "webhooks", func(ctx context.Context, visible policies.Filter) (meetings.Webhook, error) {
			was, err := a.Meetings.Webhook(ctx, visible, r.PathValue("id"))
			if err == nil && len(was.Sealed) == 0 && c.Active != nil && *c.Active {
				err = rest.Invalid("The webhook has no secret to sign with. Make another one.", rest.Problem{Field: "active", Message: "It can't be true without a secret."})
			}
			if err == nil {
				err = a.Meetings.ChangeWebhook(ctx, visible, r.PathValue("id"), c)
			}
			if err != nil {
				return meetings.Webhook{}, err
			}
			return a.Meetings.Webhook(ctx, visible, r.PathValue("id"))
		})
	}
	rest.Answer(w, r, http.StatusOK, hook, err)
}

// DeleteWebhook removes a webhook, and what waits for it.
func (a *API) DeleteWebhook(w http.ResponseWriter, r *http.Request) {
	a.removed(w, r, "webhooks", a.Meetings.RemoveWebhook)
}
