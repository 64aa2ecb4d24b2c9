package manage

import (
	"fmt"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// settleExpiry returns when a new key ends: as chosen, or as the service's terms
// have it where nothing was chosen.
func (t Terms) settleExpiry(chosen time.Time, never bool, now time.Time) (time.Time, error) {
	switch {
	case never && !chosen.IsZero():
		return time.Time{}, invalid("expires", "choose a moment or none, not both")
	case never || !chosen.IsZero():
		chosen = micros(chosen)
		return chosen, t.checkExpiry(chosen, now, now)
	case t.DefaultLifetime == 0:
		return time.Time{}, nil
	default:
		return micros(now.Add(t.DefaultLifetime)), nil
	}
}

// checkExpiry judges a chosen end of a key; the zero time is none.
func (t Terms) checkExpiry(chosen, created, now time.Time) error {
	switch {
	case chosen.IsZero() && t.MaxLifetime == 0:
		return nil
	case chosen.IsZero():
		return invalid("expires", "it is required: keys live for at most %s", inWords(t.MaxLifetime))
	case !now.Before(chosen):
		return invalid("expires", "it must be in the future; revoke the key to end it now")
	case t.MaxLifetime > 0 && chosen.Sub(created) > t.MaxLifetime:
		return invalid("expires", "keys live for at most %s, so %s is the latest", inWords(t.MaxLifetime),
			created.Add(t.MaxLifetime).UTC().Format(time.RFC3339))
	case chosen.Year() > 9999: // no backend can hold it
		return invalid("expires", "it is too far in the future")
	}
	return nil
}

// successorExpiry gives a successor the lifetime that its predecessor was meant
// to have, within today's maximum; one without an end gets the default.
func (t Terms) successorExpiry(meant time.Duration, created time.Time) time.Time {
	if meant <= 0 {
		meant = t.DefaultLifetime
	}
	if t.MaxLifetime > 0 {
		meant = min(meant, t.MaxLifetime)
	}
	if meant <= 0 {
		return time.Time{}
	}
	return micros(created.Add(meant))
}

// lifetime is how long a key was meant to live; 0: for ever.
func lifetime(k storage.Key) time.Duration {
	if k.Expires.IsZero() {
		return 0
	}
	return k.Expires.Sub(k.Created)
}

// overdue reports whether lists recommend to rotate the key.
func (t Terms) overdue(k storage.Key, now time.Time) bool {
	return t.MaxAge > 0 && k.Status(now) == storage.Active && k.Access != strikeplate.Legacy && now.Sub(k.SecretSince()) > t.MaxAge
}

// inWords writes whole days as such.
func inWords(d time.Duration) string {
	switch {
	case d == day:
		return "1 day"
	case d%day == 0:
		return fmt.Sprintf("%d days", d/day)
	default:
		return d.String()
	}
}
