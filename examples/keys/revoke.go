package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

func (p *program) revoke(ctx context.Context, args []string) error {
	flags := p.flags("keys revoke")
	var (
		organisation = flags.String("organisation", "", "revoke this organisation's keys; with IDs: search them there only")
		creator      = flags.String("creator", "", "of those, the ones that this user created")
		before       = flags.String("before", "", "of those, the ones created before this moment: a date, a moment (RFC 3339), or -1h for an hour ago")
		all          = flags.Bool("all", false, "all keys of the organisation; required if neither -creator nor -before narrows them")
		reason       = flags.String("reason", "revoked by an operator", "why, for the record")
	)
	flags.Usage = func() {
		fmt.Fprint(p.tell, "Usage: keys revoke [FLAGS] ID…\n       keys revoke -organisation NAME [-creator USER] [-before TIME] [-all]\n\n"+
			"An ID is a key's id, or its look-up id: the 11 characters behind its prefix.\n\n")
		flags.PrintDefaults()
	}
	if err := parse(flags, args); err != nil {
		return err
	}
	sel := manage.Selection{All: *all, Creator: *creator}
	var err error
	if sel.CreatedBefore, err = moment(*before, time.Now()); err != nil {
		return p.misused(flags, "-before: %v", err)
	}
	ids := flags.Args()
	switch chosen := sel != (manage.Selection{}); {
	case len(ids) > 0 && chosen:
		return p.misused(flags, "either IDs or a selection")
	case len(ids) == 0 && *organisation == "":
		return p.misused(flags, "name keys, or an organisation")
	case len(ids) == 0 && !chosen:
		return p.misused(flags, "say -all to revoke all keys of %q", *organisation)
	}
	s, err := p.open(ctx, false)
	if err != nil {
		return err
	}
	defer closing(s)
	keys, err := keeper(s)
	if err != nil {
		return err
	}
	if len(ids) > 0 {
		return p.revokeNamed(ctx, s, keys, *organisation, ids, *reason)
	}
	done, err := keys.RevokeAll(ctx, p.actor(*organisation), sel, *reason, func(done int) {
		fmt.Fprintf(p.tell, "revoked %d\n", done)
	})
	if err != nil {
		return fmt.Errorf("%d keys are revoked, then: %s", done, sentence(err))
	}
	fmt.Fprintf(p.tell, "revoked %d keys of %q\n", done, *organisation)
	return nil
}

// revokeNamed revokes what it can: one wrong id must not save the other keys.
func (p *program) revokeNamed(ctx context.Context, s store, keys *manage.Service, organisation string, ids []string, reason string) error {
	failed := 0
	for _, id := range ids {
		key, err := find(ctx, s, organisation, id)
		if err == nil {
			var after manage.Key
			if after, err = keys.Revoke(ctx, p.actor(key.Organisation), key.ID, reason); err == nil {
				fmt.Fprintln(p.tell, shown(after))
				continue
			}
		}
		failed++
		fmt.Fprintf(p.tell, "%q: %s\n", id, sentence(err))
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d keys are not revoked", failed, len(ids))
	}
	return nil
}

// find looks for a key by its id or its look-up id, in one organisation or, for
// the operator alone, in all of them.
func find(ctx context.Context, s store, organisation, id string) (storage.Key, error) {
	key, err := s.KeyByLookup(ctx, id)
	if err == nil && (organisation == "" || key.Organisation == organisation) {
		return key, nil
	}
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return storage.Key{}, err
	}
	if organisation != "" {
		return s.Key(ctx, organisation, id)
	}
	err = eachOrganisation(ctx, s, func(organisation string) (bool, error) {
		key, err = s.Key(ctx, organisation, id)
		if errors.Is(err, storage.ErrNotFound) {
			return true, nil
		}
		return false, err
	})
	if err == nil && key.ID == "" {
		err = errors.New("there is no such key")
	}
	return key, err
}

// eachOrganisation calls do with one after the other until it returns false.
func eachOrganisation(ctx context.Context, s store, do func(organisation string) (bool, error)) error {
	for after := ""; ; {
		page, err := s.Organisations(ctx, after, 0)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, organisation := range page {
			if more, err := do(organisation); err != nil || !more {
				return err
			}
		}
		after = page[len(page)-1]
	}
}
