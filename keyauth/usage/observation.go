package usage

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// statusAbandoned is what proxies note of a client that left.
const statusAbandoned = 499

// Observation is one request that is complete. [Read] makes it of an Exchange;
// what comes otherwise than by HTTP fills one itself for [Counter.Count].
type Observation struct {
	// Principal is who was let in; nil: nobody. Refusal may know whose credential it
	// was.
	Principal *strikeplate.Principal
	// Refusal is what the request was refused with; nil: it was not.
	Refusal *strikeplate.Error
	// Pattern names the route, such as "GET /v1/meetings/{id}"; empty: none matched.
	Pattern string
	// Status is HTTP's, or the nearest to it.
	Status  int
	Elapsed time.Duration
	// Client is the caller's address; the zero Addr: none is known.
	Client netip.Addr
	// At is when the request was complete; zero: now.
	At time.Time
}

// Read says what is to be counted of a complete Exchange.
func Read(x *strikeplate.Exchange) Observation {
	elapsed := x.Elapsed()
	return Observation{
		Principal: x.Principal(),
		Refusal:   x.Refusal(),
		Pattern:   x.Pattern(),
		Status:    x.Status(),
		Elapsed:   elapsed,
		Client:    x.Client(),
		At:        x.Start().Add(elapsed),
	}
}

// Abandoned reports whether the client left before the request was checked, which
// is no error of anybody's.
func (o Observation) Abandoned() bool {
	if o.Refusal != nil && o.Refusal.Err != nil && errors.Is(o.Refusal.Err, context.Canceled) {
		return true
	}
	return o.Status == statusAbandoned
}

// Class is the status' first digit, or 0 if the request was abandoned.
func (o Observation) Class() int {
	if o.Abandoned() {
		return 0
	}
	return min(max(o.Status/100, 1), 5)
}

// Route is the Pattern, or [storage.UsageUnmatched].
func (o Observation) Route() string {
	if o.Pattern == "" {
		return storage.UsageUnmatched
	}
	return o.Pattern
}

// Key says whose use it is, and whether the secret was proven. A key without an
// Organisation is that of a refusal, which names the record alone. It has no
// Credential if none was recognised.
func (o Observation) Key() (key storage.UsageKey, proven bool) {
	p := o.Principal
	if p == nil && o.Refusal != nil {
		p = o.Refusal.Principal // a good key, refused all the same
	}
	switch {
	case p != nil:
		key = storage.UsageKey{Organisation: p.Organisation, Credential: p.Credential, Lineage: p.Lineage, Environment: p.Environment}
		if key.Lineage == "" {
			key.Lineage = key.Credential
		}
		// Tokens live for an hour: the grant is what does something.
		if p.Kind == strikeplate.KindToken || key.Credential == "" {
			key.Credential = key.Lineage
		}
		if key.Credential == "" {
			key.Credential, key.Lineage = storage.UsageOther, storage.UsageOther
		}
		return key, true
	case o.Refusal != nil:
		key.Credential = o.Refusal.Credential
		return key, key.Credential != "" && toldToHoldersOnly(o.Refusal.Code)
	}
	return key, false
}

// toldToHoldersOnly: refusals that are told to who has proven the secret.
func toldToHoldersOnly(code string) bool {
	switch code {
	case strikeplate.CodeRevoked, strikeplate.CodeExpired, strikeplate.CodeInactive, strikeplate.CodeLapsed, strikeplate.CodeAddress:
		return true
	}
	return false
}
