package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

const tagKeyName = "STRIKEPLATE_TAG_KEY"

func (p *program) mint(ctx context.Context, args []string) error {
	flags := p.flags("keys mint")
	var (
		organisation = flags.String("organisation", "", "whose key it is; required")
		name         = flags.String("name", "", "the key's name; required")
		prefix       = flags.String("prefix", "", "the format's prefix, without the environment, such as mvo_")
		environment  = flags.String("environment", "", "live or test, for a format with environments")
		pair         = flags.Bool("pair", false, "the format is a pair, CLIENT_KEY:CLIENT_SECRET")
		scopes       = flags.String("scopes", "", "what the key may do, separated by spaces or commas")
		access       = flags.String("access", string(strikeplate.OrganisationLimited), "user-limited, user-full, org-limited or org-full")
		owner        = flags.String("owner", "", "the user that a user-level key acts as")
		expires      = flags.String("expires", "", "when it ends: a time from now such as 72h, a date, or a moment (RFC 3339); none: never")
	)
	if err := parse(flags, args); err != nil {
		return err
	}
	if *organisation == "" || *name == "" || flags.NArg() > 0 || *prefix == "" && !*pair {
		return p.misused(flags, "-organisation, -name and -prefix (or -pair) are required, and nothing else is taken")
	}
	tagKey, err := p.tagKey()
	if err != nil {
		return err
	}
	c := manage.Creation{Name: *name, Prefix: *prefix, Environment: strikeplate.Environment(*environment),
		Access: strikeplate.Access(*access), Owner: *owner, NoExpiry: *expires == "",
		Scopes: strings.FieldsFunc(*scopes, func(r rune) bool { return r == ' ' || r == ',' })}
	if c.Expires, err = moment(*expires, time.Now()); err != nil {
		return p.misused(flags, "-expires: %v", err)
	}
	format := keyauth.Format{Prefix: *prefix, Pair: *pair}
	if *environment != "" {
		format.Environments = []strikeplate.Environment{c.Environment}
	}
	s, err := p.open(ctx, true)
	if err != nil {
		return err
	}
	defer closing(s)
	return p.create(ctx, s, format, tagKey, *organisation, c)
}

// create makes the key and hands its secret out. A secret that nobody got is of
// no use to anybody, so its key is revoked.
func (p *program) create(ctx context.Context, s store, f keyauth.Format, tagKey []byte, organisation string, c manage.Creation) error {
	keys, err := manager(s, f, tagKey)
	if err != nil {
		return err
	}
	created, err := keys.Create(ctx, p.actor(organisation), c)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(p.out, created.Secret.Reveal()); err != nil {
		_, revoking := keys.Revoke(context.WithoutCancel(ctx), p.actor(organisation), created.Key.ID, "its secret could not be written")
		return errors.Join(fmt.Errorf("the secret could not be written, so %s is revoked: %w", created.Key.ID, err), revoking)
	}
	fmt.Fprintf(p.tell, "made %s; its secret is not shown again\n", shown(created.Key))
	return nil
}

// tagKey is the service's, which alone makes keys that the service accepts.
func (p *program) tagKey() ([]byte, error) {
	text := p.getenv(tagKeyName)
	if text == "" {
		return nil, fmt.Errorf("%s is not set. It is the key that signs the service's keys, in base64. "+
			"For a new service make one, keep it as a secret, and give it to the service too: openssl rand -base64 32", tagKeyName)
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) < 32 { // neither the text nor the decoder's error is told: both are about a secret
		return nil, fmt.Errorf("%s is not at least 32 bytes in base64. To make one: openssl rand -base64 32", tagKeyName)
	}
	return key, nil
}

// moment reads a time: a duration from now, a date (UTC) or a moment.
func moment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(d), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time; write 72h, 2026-03-14 or 2026-03-14T12:00:00Z", text)
}

// shown describes a key in a line. Names are users' words: quoted, they can't
// move a terminal's cursor.
func shown(k manage.Key) string {
	text := fmt.Sprintf("%s %q of %q, ending in %s", k.ID, k.Name, k.Organisation, k.Last4)
	if k.Status != storage.Active {
		text += ", " + string(k.Status)
	}
	return text
}
