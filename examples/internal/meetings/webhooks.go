package meetings

import (
	"context"
	"encoding/base64"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate/policies"
)

const webhookColumns = "id, organisation_id, environment, owner_id, grant_id, url, events, active, sealed, created_at, dropped"

func webhookRow(w Webhook) []any {
	return []any{w.ID, w.Organisation, w.Environment, w.User, w.Grant, w.URL, strings.Join(w.Events, " "), w.Active,
		base64.StdEncoding.EncodeToString(w.Sealed), stamp(w.Created), w.Dropped}
}

var webhooksFrom = "w." + strings.ReplaceAll(webhookColumns, ", ", ", w.") + " FROM demo_webhooks AS w"

func scanWebhook(scan func(...any) error) (w Webhook, err error) {
	var events, sealed string
	if err := scan(&w.ID, &w.Organisation, &w.Environment, &w.User, &w.Grant, &w.URL, &events, &w.Active, &sealed, when{&w.Created}, &w.Dropped); err != nil {
		return w, err
	}
	w.Events = fields(events)
	w.Deliveries = []Delivery{}
	w.Sealed, err = base64.StdEncoding.DecodeString(sealed)
	return w, err
}

// Webhooks lists webhooks with their most recent deliveries. Failures: ErrSearch.
func (s *Store) Webhooks(ctx context.Context, visible policies.Filter, at Place) (Page[Webhook], error) {
	found, err := page(ctx, s, webhooksFrom, s.where(visible), order{columns: []string{"w.created_at", "w.id"}, time: true, descending: true}, at, scanWebhook,
		func(w Webhook) []string { return []string{stamp(w.Created), w.ID} })
	for i := range found.Data {
		if err == nil {
			found.Data[i].Deliveries, err = s.recent(ctx, found.Data[i].ID)
		}
	}
	return found, err
}

// Webhook returns one webhook. Failures: ErrNotFound.
func (s *Store) Webhook(ctx context.Context, visible policies.Filter, id string) (Webhook, error) {
	w, err := one(ctx, s, webhooksFrom, s.where(visible), "w.id", id, scanWebhook)
	if err == nil {
		w.Deliveries, err = s.recent(ctx, w.ID)
	}
	return w, err
}

// Listeners are the active webhooks that an event is told to.
func (s *Store) Listeners(ctx context.Context, organisation, environment, event string) ([]Webhook, error) {
	found, err := all(ctx, s, "SELECT "+s.Bind(webhooksFrom+" WHERE w.organisation_id = ? AND w.environment = ? AND w.active"), []any{organisation, environment}, scanWebhook)
	var listening []Webhook
	for _, w := range found {
		if strings.Contains(" "+strings.Join(w.Events, " ")+" ", " "+event+" ") {
			listening = append(listening, w)
		}
	}
	return listening, err
}

// AddWebhook adds a webhook. Failures: ErrFull.
func (s *Store) AddWebhook(ctx context.Context, w Webhook) error {
	return s.change(ctx, nil, func(c *change) {
		c.room(maxWebhooks, "demo_webhooks WHERE organisation_id = ? AND environment = ?", w.Organisation, w.Environment)
		row := webhookRow(w)
		c.do("INSERT INTO demo_webhooks ("+webhookColumns+") VALUES (?"+strings.Repeat(", ?", len(row)-1)+")", row...)
	})
}

// WebhookChange says what is to be different; nil: what was.
type WebhookChange struct {
	URL    *string
	Events *[]string
	Active *bool
}

// ChangeWebhook changes a webhook. What waits for one that is switched off is
// dropped. Failures: ErrNotFound.
func (s *Store) ChangeWebhook(ctx context.Context, visible policies.Filter, id string, c WebhookChange) error {
	return s.onOne(ctx, visible, "demo_webhooks AS w", "w.id", id, func(w *change) {
		var to set
		assign(&to, "url", c.URL)
		assign(&to, "active", c.Active)
		if c.Events != nil {
			to.to("events", strings.Join(*c.Events, " "))
		}
		w.update("demo_webhooks", to, id)
		if c.Active != nil && !*c.Active {
			w.do("UPDATE demo_deliveries SET state = 'failed', problem = 'the webhook was switched off' WHERE webhook_id = ? AND state = 'pending'", id)
		}
	})
}

// RemoveWebhook removes a webhook and what waits for it. Failures: ErrNotFound.
func (s *Store) RemoveWebhook(ctx context.Context, visible policies.Filter, id string) error {
	return s.onOne(ctx, visible, "demo_webhooks AS w", "w.id", id, func(w *change) {
		w.one("DELETE FROM demo_webhooks WHERE id = ?", id)
	})
}

// What is kept of deliveries.
const (
	maxWaiting  = 500 // for a webhook; what comes meanwhile is counted as dropped
	maxFinished = 50  // of a webhook
	shown       = 10
)

const deliveryColumns = "d.id, d.webhook_id, d.event, d.body, d.state, d.attempts, d.status, d.problem, d.created_ms FROM demo_deliveries AS d"

func scanDelivery(scan func(...any) error) (d Delivery, err error) {
	var body string
	var created int64
	err = scan(&d.ID, &d.Webhook, &d.Event, &body, &d.State, &d.Attempts, &d.Status, &d.Problem, &created)
	d.Body, d.Created = []byte(body), time.UnixMilli(created).UTC()
	return d, err
}

func (s *Store) recent(ctx context.Context, webhook string) ([]Delivery, error) {
	return all(ctx, s, s.Bind("SELECT "+deliveryColumns+" WHERE d.webhook_id = ? ORDER BY d.created_ms DESC, d.id DESC LIMIT ?"), []any{webhook, shown}, scanDelivery)
}

// tell puts deliveries on their way. A webhook that is gone meanwhile is told
// nothing.
func (w *change) tell(deliveries []Delivery) {
	for _, d := range deliveries {
		if w.err != nil {
			return
		}
		at := d.Created.UnixMilli()
		added := w.do(`INSERT INTO demo_deliveries (id, webhook_id, event, body, state, attempts, status, problem, created_ms, due_ms)
			SELECT ?, w.id, ?, ?, 'pending', 0, 0, '', CAST(? AS BIGINT), CAST(? AS BIGINT) FROM demo_webhooks AS w
			WHERE w.id = ? AND (SELECT COUNT(*) FROM demo_deliveries AS d WHERE d.webhook_id = w.id AND d.state = 'pending') < ?`,
			d.ID, d.Event, string(d.Body), at, at, d.Webhook, maxWaiting)
		if added == 0 {
			w.do("UPDATE demo_webhooks SET dropped = dropped + 1 WHERE id = ?", d.Webhook)
		}
	}
}

// Waiting is a delivery that is due, and where it goes.
type Waiting struct {
	Delivery
	Due     int64 // its due time, by which Take knows it again
	Webhook Webhook
}

// Due are deliveries whose time has come, the oldest of each webhook, the most
// overdue first.
func (s *Store) Due(ctx context.Context, now time.Time, limit int) ([]Waiting, error) {
	text := "SELECT d.id, d.event, d.body, d.attempts, d.created_ms, d.due_ms, " + strings.TrimSuffix(webhooksFrom, " FROM demo_webhooks AS w") +
		" FROM demo_deliveries AS d JOIN demo_webhooks AS w ON w.id = d.webhook_id WHERE d.state = 'pending' AND d.due_ms <= ?" +
		" AND NOT EXISTS (SELECT 1 FROM demo_deliveries AS e WHERE e.webhook_id = d.webhook_id AND e.state = 'pending' AND e.due_ms <= ? AND (e.created_ms, e.id) < (d.created_ms, d.id))" +
		" ORDER BY d.due_ms, d.created_ms LIMIT ?"
	return all(ctx, s, s.Bind(text), []any{now.UnixMilli(), now.UnixMilli(), limit}, func(scan func(...any) error) (d Waiting, err error) {
		var body string
		var created int64
		d.Webhook, err = scanWebhook(func(to ...any) error {
			return scan(append([]any{&d.ID, &d.Event, &body, &d.Attempts, &created, &d.Due}, to...)...)
		})
		d.Body, d.Created = []byte(body), time.UnixMilli(created).UTC()
		return d, err
	})
}

// Take takes a delivery until a moment, and reports whether no other instance has
// taken it before.
func (s *Store) Take(ctx context.Context, d Waiting, until time.Time) (bool, error) {
	return s.one(ctx, "UPDATE demo_deliveries SET due_ms = ?, attempts = attempts + 1 WHERE id = ? AND state = 'pending' AND due_ms = ?", until.UnixMilli(), d.ID, d.Due)
}

// Settle notes what became of an attempt. A delivery that stays pending is due
// again at next.
func (s *Store) Settle(ctx context.Context, d Delivery, next time.Time) error {
	return s.change(ctx, nil, func(w *change) {
		w.do("UPDATE demo_deliveries SET state = ?, status = ?, problem = ?, due_ms = ? WHERE id = ? AND state = 'pending'", d.State, d.Status, d.Problem, next.UnixMilli(), d.ID)
		if d.State != "pending" {
			w.do(`DELETE FROM demo_deliveries WHERE webhook_id = ? AND state <> 'pending' AND id NOT IN
				(SELECT id FROM demo_deliveries WHERE webhook_id = ? AND state <> 'pending' ORDER BY created_ms DESC, id DESC LIMIT ?)`, d.Webhook, d.Webhook, maxFinished)
		}
	})
}

func (s *Store) one(ctx context.Context, text string, args ...any) (bool, error) {
	result, err := s.DB.ExecContext(ctx, s.Bind(text), args...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n == 1, err
}
