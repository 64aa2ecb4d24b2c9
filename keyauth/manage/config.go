package manage

import (
	"errors"
	"fmt"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

const day = 24 * time.Hour

// New checks c.
func New(c Config) (*Service, error) {
	if err := c.settle(); err != nil {
		return nil, fmt.Errorf("manage: %w", err)
	}
	return &Service{c: c}, nil
}

func (c *Config) settle() error {
	switch {
	case c.Scheme == nil || c.Keys == nil:
		return errors.New("Scheme and Keys are required")
	case c.Directory == nil && !c.InsecureNoDirectory:
		return errors.New("a Directory is required: it knows who is a member and who has paid")
	case c.Directory != nil && c.InsecureNoDirectory:
		return errors.New("Directory and InsecureNoDirectory exclude each other")
	case c.Catalog != nil && len(c.Catalog.Scopes()) == 0:
		return errors.New("the Catalog lists no scopes, so that no key could be created; nil says that there are none")
	case c.MaxKeys == 0:
		return errors.New("MaxKeys is required; no bound is spelt Unlimited")
	case c.MaxKeys < 0 && c.MaxKeys != Unlimited:
		return errors.New("MaxKeys must be positive or Unlimited")
	case c.Terms.AllowlistPlans != nil && c.Directory == nil:
		return errors.New("AllowlistPlans need a Directory: it knows an organisation's plan")
	}
	if c.Audit == nil {
		log, ok := c.Keys.(storage.Audit)
		if !ok {
			return errors.New("Audit is required where Keys can't read the log itself")
		}
		c.Audit = log
	}
	if c.AdminRoles == nil {
		c.AdminRoles = []string{"admin"}
	}
	if c.Authorize == nil {
		c.Authorize = c.administratorsOnly
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if err := c.Reveal.settle(); err != nil {
		return err
	}
	return c.Terms.settle()
}

func (t *Terms) settle() error {
	switch {
	case t.Access != "" && !grantable(t.Access):
		return fmt.Errorf("Terms.Access: %q is not a level that keys can be created with", t.Access)
	case t.DefaultLifetime < 0 || t.MaxLifetime < 0 || t.MaxOverlap < 0:
		return errors.New("Terms: DefaultLifetime, MaxLifetime and MaxOverlap must not be negative")
	case t.MaxLifetime > 0 && t.DefaultLifetime > t.MaxLifetime:
		return errors.New("Terms.DefaultLifetime is longer than MaxLifetime")
	}
	if t.DefaultLifetime == 0 {
		t.DefaultLifetime = t.MaxLifetime
	}
	if t.MaxOverlap == 0 {
		t.MaxOverlap = 7 * day
	}
	if t.MaxAge == 0 {
		t.MaxAge = 90 * day
	}
	return nil
}

// grantable levels are those that new keys can have: legacy is import's alone.
func grantable(a strikeplate.Access) bool {
	return a.ForUser() || a == strikeplate.OrganisationLimited || a == strikeplate.OrganisationFull
}
