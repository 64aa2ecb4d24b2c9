package operate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

// notices are what was announced in an organisation before, as its audit log
// says. The log is read when a key is to be announced, and once for a page.
type notices struct {
	organisation string
	read         bool
	made         map[notice]bool
	cursor       string
}

type notice struct {
	action, key string
	expires     int64 // in Unix microseconds; 0 for what is announced once
}

// announce writes an audit entry about a key unless there is one. The record is
// put as it was, so that of two sweeps at the same time one finds it changed and
// does nothing. k becomes what is stored.
func (w *sweeping) announce(ctx context.Context, action string, kind FindingKind, k *storage.Key) error {
	f := Finding{Kind: kind, Key: manage.KeyOf(*k, w.now)}
	defer func() { w.found(f) }()
	if w.hygiene.DryRun {
		return nil
	}
	n := notice{action: action, key: k.ID}
	if action == ActionExpiring {
		n.expires = k.Expires.UnixMicro()
	}
	if err := w.readNotices(ctx); err != nil {
		return err
	}
	if w.notices.made[n] {
		return nil
	}
	var err error
	if f.Done, err = w.change(ctx, action, *k, *k); err != nil || !f.Done {
		return err
	}
	k.Version++
	w.notices.made[n] = true
	w.report.Announced++
	return nil
}

// readNotices reads the organisation's log as it is after the keys at hand were
// read: an entry made later comes with a record that changed.
func (w *sweeping) readNotices(ctx context.Context) error {
	n := &w.notices
	if n.read {
		return nil
	}
	if n.made == nil {
		n.made = make(map[notice]bool)
	}
	for {
		page, next, err := w.c.Audit.Entries(ctx, storage.Query{Organisation: n.organisation, Cursor: n.cursor, Limit: maxBatch})
		if err != nil {
			return fmt.Errorf("reading the audit log of %q: %w", n.organisation, err)
		}
		n.cursor = next
		for _, e := range page {
			if e.Action == ActionExpiring || e.Action == ActionOverdue {
				if err := n.add(e); err != nil {
					return err
				}
			}
		}
		if len(page) < maxBatch {
			n.read = true
			return nil
		}
	}
}

func (n *notices) add(e storage.Entry) error {
	made := notice{action: e.Action, key: e.Target}
	if e.Action == ActionExpiring {
		var k manage.Key
		if err := json.Unmarshal(e.After, &k); err != nil {
			return errors.Join(fmt.Errorf("audit entry %d of %q is unreadable", e.Position, e.Organisation), err)
		}
		made.expires = k.Expires.UnixMicro()
	}
	n.made[made] = true
	return nil
}
