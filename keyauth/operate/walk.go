package operate

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/strikeplate/strikeplate/storage"
)

// errPlace is a place that no report of this package told.
var errPlace = fmt.Errorf("operate: From is not a report's Next: %w", storage.ErrNotFound)

// place is how far a walk through all keys has come: an organisation, and the
// cursor of a page of its keys. As text it is what reports call Next.
type place struct{ organisation, cursor string }

func (p place) String() string {
	if p.organisation == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(p.organisation + "\x00" + p.cursor))
}

func readPlace(text string) (place, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return place{}, errPlace
	}
	organisation, cursor, found := strings.Cut(string(raw), "\x00")
	if text != "" && (!found || organisation == "" || !storage.ValidText(organisation) || !storage.ValidText(cursor)) {
		return place{}, errPlace
	}
	return place{organisation, cursor}, nil
}

// walk calls visit with each page of each organisation's keys that are not
// revoked, from a place on, until visit returns false or fails. It returns the
// place to go on from: that of the page that visit did not finish, "" at the end.
func (s *Service) walk(ctx context.Context, from string, visit func(organisation string, page []storage.Key) (bool, error)) (string, error) {
	at, err := readPlace(from)
	if err != nil {
		return from, err
	}
	if at.organisation != "" {
		if more, err := s.pages(ctx, &at, visit); err != nil || !more {
			return at.String(), err
		}
	}
	for {
		names, err := s.c.Operator.Organisations(ctx, at.organisation, 0)
		if err != nil {
			return at.String(), fmt.Errorf("operate: listing organisations: %w", err)
		}
		if len(names) == 0 {
			return "", nil
		}
		for _, name := range names {
			at = place{organisation: name}
			if more, err := s.pages(ctx, &at, visit); err != nil || !more {
				return at.String(), err
			}
		}
	}
}

// pages walks one organisation from a place on, which it moves along.
func (s *Service) pages(ctx context.Context, at *place, visit func(string, []storage.Key) (bool, error)) (bool, error) {
	for {
		page, next, err := s.c.Keys.ListKeys(ctx, storage.Query{Organisation: at.organisation, Status: storage.Unrevoked,
			Now: s.now(), Cursor: at.cursor, Limit: maxBatch})
		if err != nil {
			return false, fmt.Errorf("operate: listing the keys of %q: %w", at.organisation, err)
		}
		if len(page) > 0 {
			if more, err := visit(at.organisation, page); err != nil || !more {
				return false, err
			}
		}
		if next == "" {
			return true, nil
		}
		at.cursor = next
	}
}
