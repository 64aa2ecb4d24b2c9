package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

func (p *program) list(ctx context.Context, args []string) error {
	flags := p.flags("keys list")
	var (
		organisation = flags.String("organisation", "", "whose keys; none: everybody's")
		status       = flags.String("status", string(storage.Unrevoked), "active, expired, revoked, unrevoked or all")
		lines        = flags.Bool("json", false, "write JSON lines")
	)
	if err := parse(flags, args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return p.misused(flags, "list takes flags only")
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
	write, flush := p.table()
	if *lines {
		write, flush = json.NewEncoder(p.out).Encode, func() error { return nil }
	}
	one := func(organisation string) (bool, error) {
		return true, p.listOne(ctx, keys, organisation, storage.Status(*status), write)
	}
	if *organisation != "" {
		_, err = one(*organisation)
	} else {
		err = eachOrganisation(ctx, s, one)
	}
	if err != nil {
		return err
	}
	return flush()
}

func (p *program) listOne(ctx context.Context, keys *manage.Service, organisation string, status storage.Status, write func(any) error) error {
	f := manage.Filter{Status: status, Limit: 1000}
	for {
		page, err := keys.List(ctx, p.actor(organisation), f)
		if err != nil {
			return err
		}
		for _, k := range page.Keys {
			if err := write(k); err != nil {
				return err
			}
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			return nil
		}
	}
}

// table writes keys in columns.
func (p *program) table() (write func(any) error, flush func() error) {
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tORGANISATION\tNAME\tLAST 4\tSTATUS\tENVIRONMENT\tACCESS\tCREATOR\tCREATED\tEXPIRES")
	return func(v any) error {
		k, _ := v.(manage.Key)
		_, err := fmt.Fprintf(w, "%s\t%q\t%q\t%s\t%s\t%s\t%s\t%q\t%s\t%s\n", k.ID, k.Organisation, k.Name, k.Last4, k.Status,
			k.Environment, k.Access, k.Creator, k.Created.UTC().Format(time.RFC3339), ends(k))
		return err
	}, w.Flush
}

func ends(k manage.Key) string {
	if k.Expires.IsZero() {
		return "never"
	}
	return k.Expires.UTC().Format(time.RFC3339)
}
