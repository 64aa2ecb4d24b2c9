package hooks

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
	"github.com/strikeplate/strikeplate/policies"
	"github.com/strikeplate/strikeplate/storage"
)

// Events are what webhooks can hear of.
var Events = []string{
	"meeting.created", "meeting.updated", "meeting.deleted", "transcript.updated", "note.created", "note.updated",
	"summary.regenerated", "action_item.created", "action_item.updated", "action_item.completed",
}

// Config wires a Sender.
type Config struct {
	// Store keeps webhooks and what waits for them, Engine decides who hears of
	// what, Directory knows settings and users. All are required.
	Store     *meetings.Store
	Engine    *policies.Engine
	Directory storage.Directory
	// Seal encrypts secrets at rest. Required.
	Seal AEAD
	// InsecureLoopback lets webhooks lead to this machine, by http too: for a demo
	// that nobody else reaches.
	InsecureLoopback bool
	// Granted says whether an OAuth grant is still in force: what an app made for a
	// user hears nothing after the user has revoked it. Nil: nobody asks.
	Granted func(ctx context.Context, organisation, grant string) (bool, error)
	// Backoff is how long to wait after each failed attempt; after the last one
	// there is one more attempt. Nil: 1 s, 5 s, 30 s, 2 min, 10 min.
	Backoff []time.Duration
	// Every is how often to look for what other instances left; 0: 500 ms.
	Every time.Duration
	// Logger hears when the database fails; nil: [slog.Default].
	Logger *slog.Logger
}

// AEAD encrypts secrets.
type AEAD interface {
	Encrypt(plaintext, associatedData []byte) ([]byte, error)
	Decrypt(ciphertext, associatedData []byte) ([]byte, error)
}

// Sender sends what waits. It is safe for concurrent use. It runs on the real
// clock, whatever a demo's says: receivers compare timestamps with theirs.
type Sender struct {
	config  Config
	reaches reaches
	client  *http.Client
	wake    chan struct{}
	stop    context.CancelFunc
	ended   chan struct{}
}

// New starts a Sender. Close ends it.
func New(c Config) (*Sender, error) {
	if c.Store == nil || c.Engine == nil || c.Directory == nil || c.Seal == nil {
		return nil, errors.New("hooks: Store, Engine, Directory and Seal are required")
	}
	if c.Backoff == nil {
		c.Backoff = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}
	}
	c.Every = cmp.Or(c.Every, 500*time.Millisecond)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	r := reaches{loopback: c.InsecureLoopback}
	ctx, stop := context.WithCancel(context.Background())
	s := &Sender{config: c, reaches: r, client: r.client(), wake: make(chan struct{}, 1), stop: stop, ended: make(chan struct{})}
	go s.run(ctx)
	return s, nil
}

// Close ends the sending. What waits is sent by another instance, or after the
// next start.
func (s *Sender) Close(ctx context.Context) error {
	s.stop()
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// CheckURL says what is wrong with a webhook's URL; "": nothing.
func (s *Sender) CheckURL(text string) string { return s.reaches.check(text) }

// Secret makes a webhook's secret, to be shown once, and its encrypted form.
func (s *Sender) Secret(w meetings.Webhook) (secret string, sealed []byte, err error) {
	secret = newSecret()
	sealed, err = s.config.Seal.Encrypt([]byte(secret), bound(w))
	return secret, sealed, err
}

// bound ties a sealed secret to its webhook.
func bound(w meetings.Webhook) []byte { return []byte("webhook " + w.Organisation + " " + w.ID) }

// body is what is sent.
type body struct {
	ID          string            `json:"id"` // of the delivery
	Type        string            `json:"type"`
	Created     time.Time         `json:"created_at"`
	Environment string            `json:"environment"`
	Data        map[string]string `json:"data"`
}

// About makes the deliveries of an event about a meeting, as it is afterwards,
// that p caused: to each webhook of p's organisation and environment that listens
// and whose owner sees the meeting. ids tell what it is about, beside the meeting.
func (s *Sender) About(ctx context.Context, p *strikeplate.Principal, event string, m meetings.Meeting, ids map[string]string) ([]meetings.Delivery, error) {
	listeners, err := s.config.Store.Listeners(ctx, p.Organisation, string(p.Environment), event)
	if err != nil || len(listeners) == 0 {
		return nil, err
	}
	data := map[string]string{"meeting_id": m.ID}
	for name, id := range ids {
		data[name] = id
	}
	var all []meetings.Delivery
	for _, w := range listeners {
		hears, err := s.hears(ctx, w, m)
		if err != nil {
			return nil, err
		}
		if !hears {
			continue
		}
		d := meetings.Delivery{ID: meetings.NewID("dlv_"), Webhook: w.ID, Event: event, State: "pending", Created: time.Now()}
		d.Body, err = json.Marshal(body{ID: d.ID, Type: event, Created: d.Created.UTC().Truncate(time.Second), Environment: w.Environment, Data: data})
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

// hears reports whether a webhook's owner sees the meeting now.
func (s *Sender) hears(ctx context.Context, w meetings.Webhook, m meetings.Meeting) (bool, error) {
	account, err := s.config.Directory.Account(ctx, w.Organisation)
	if errors.Is(err, storage.ErrNotFound) || err == nil && account.Lapsed {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	owner := &strikeplate.Principal{Kind: strikeplate.KindKey, Environment: strikeplate.Environment(w.Environment), Access: strikeplate.OrganisationFull,
		Organisation: w.Organisation, Plan: account.Plan, Settings: account.Settings}
	if w.User != nil {
		owner.Kind, owner.Access, owner.Subject = strikeplate.KindToken, strikeplate.UserFull, *w.User
		in, err := s.stands(ctx, w)
		if err != nil || !in {
			return false, err
		}
	}
	decisions, err := s.config.Engine.Visible(ctx, owner, "meetings", m.Row())
	return err == nil && decisions[0].Allowed, err
}

// stands reports whether the user of a webhook is active and its grant in force.
func (s *Sender) stands(ctx context.Context, w meetings.Webhook) (bool, error) {
	u, err := s.config.Directory.User(ctx, w.Organisation, *w.User)
	if errors.Is(err, storage.ErrNotFound) || err == nil && !u.Active {
		return false, nil
	}
	if err != nil || w.Grant == "" || s.config.Granted == nil {
		return err == nil, err
	}
	return s.config.Granted(ctx, w.Organisation, w.Grant)
}

// Wake has the Sender look at once.
func (s *Sender) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Sender) failed(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		s.config.Logger.Error("hooks: "+what, "error", fmt.Sprint(err))
	}
}
