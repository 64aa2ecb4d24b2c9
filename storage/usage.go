package storage

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/strikeplate/strikeplate"
)

// Usage stores what credentials were used for: counts by minute, hour and day,
// by route, when each was last used and from where, and what was refused.
// Package keyauth/usage counts in the process and hands over batches.
//
// Every call names an organisation, and what is stored of it is bounded: see
// [MaxUsageKeys] and its like. What goes beyond a bound is added to the key or
// pattern [UsageOther], so that sums stay exact. The empty organisation holds
// refusals, and the use of credentials, that are known to be nobody's.
//
// Methods are safe for concurrent use, also by several instances of a service.
type Usage interface {
	// AddUsage adds a batch, or all that it wants added already: a batch whose
	// Sequence is not above the instance's last one changes nothing and succeeds,
	// so that a batch whose outcome is unknown is sent again. All of it is one
	// transaction. Minutes are added to their hour and day as well.
	//
	// Rows that name a Credential but no Organisation are added to that of the
	// key with this id, if the store holds it; those of an unknown one stay with
	// the empty organisation.
	//
	// Failures: ErrForgotten for a Sequence above 1 of an instance that is not
	// known, or not any more; what [UsageBatch.Check] says. Nothing is added then.
	AddUsage(ctx context.Context, b UsageBatch) error

	// UsageSeries returns the counts of each bucket that has any, the oldest
	// first. Failures: what [UsageQuery.Check] says, as with all queries.
	UsageSeries(ctx context.Context, q UsageQuery) ([]UsagePoint, error)
	// UsageEndpoints returns the counts of each pattern in the range, the busiest
	// first, at most 1,000.
	UsageEndpoints(ctx context.Context, q UsageQuery) ([]UsageEndpoint, error)
	// UsageAddresses returns where requests of a credential or lineage came from,
	// the most recent first and what is not kept singly at the end, at most 1,000.
	// From, To and Step are not looked at; Lineage or Credential is required.
	UsageAddresses(ctx context.Context, q UsageQuery) ([]UsageAddress, error)
	// UsageRefusals returns how often each credential was refused in the range
	// and with what, the most frequent first, at most 1,000. A Step of a minute
	// counts as one of an hour, the finest that there is.
	UsageRefusals(ctx context.Context, q UsageQuery) ([]UsageRefusal, error)

	// UsageOfCredentials returns what is known of each of the credentials. One
	// that was never proven is left out. At most [MaxUsageRows] may be asked for,
	// here and below.
	UsageOfCredentials(ctx context.Context, organisation string, credentials []string) (map[string]UsageSeen, error)
	// UsageOfLineages does so for lineages: all credentials of each together,
	// with the most recent of them as the Credential.
	UsageOfLineages(ctx context.Context, organisation string, lineages []string) (map[string]UsageSeen, error)
	// LastUsed returns when each of the credentials last succeeded. It is the one
	// query without an organisation, for callers that have read the keys' records
	// in their organisation already: ids of keys are unique across them.
	LastUsed(ctx context.Context, credentials []string) (map[string]time.Time, error)
	// UsageCompleteSince returns the moment since which no use of the
	// organisation's credentials went unnoticed: now, if that can't be said at
	// present; zero, if nothing was ever counted. An instance that reported no end
	// and has been silent for [UsageSilence] may have counted what it didn't
	// report, until [Usage.PruneUsage] gives it up. Where nobody had counted for
	// [UsagePause] before an instance began, usage is complete since that.
	UsageCompleteSince(ctx context.Context, organisation string, now time.Time) (time.Time, error)

	// PruneUsage removes up to limit rows of what is older than cut says, of all
	// organisations, and returns how many; limit counts as [BatchSize] says. It
	// gives up instances that have been silent since cut.Instances, and notes that
	// usage is complete only since cut.Now.
	PruneUsage(ctx context.Context, cut UsageCutoffs, limit int) (int, error)
	// EraseUsage removes all of an organisation's usage.
	EraseUsage(ctx context.Context, organisation string) error
	// ClaimUsage reserves a task for one of several instances until a moment, and
	// reports whether holder has it. Nobody else gets it before that moment; the
	// holder may move it.
	ClaimUsage(ctx context.Context, c UsageClaim) (bool, error)
}

// ErrForgotten says that the instance is not known, or not any more. It begins
// again under a new name, with Sequence 1.
var ErrForgotten = errors.New("storage: usage of an instance that is not known")

// The bounds of what is stored of an organisation, and of one batch.
const (
	// MaxUsageKeys is how many credentials are counted singly. The use of further
	// ones is added to the credential UsageOther, and UsageCompleteSince says so.
	MaxUsageKeys = 10_000
	// MaxUsagePatterns is how many patterns and codes are. Further ones are added
	// to UsageOther.
	MaxUsagePatterns = 1000
	// MaxUsageAddresses is how many addresses are kept of a credential: the half
	// with the most requests and the half that was seen last. Others are added to
	// the row without an address.
	MaxUsageAddresses = 32
	// MaxUsageRows is how much of each kind one batch may hold.
	MaxUsageRows = 1000
	// MaxUsageText is the longest name of anything, in bytes.
	MaxUsageText = 255
	// UsagePause is how long there may be no instance that counts, as in an
	// update, before it is taken for a time without counting.
	UsagePause = time.Hour
	// MaxUsageBuckets is how many buckets a query's range may have.
	MaxUsageBuckets = 10_000
	// UsageOther stands for all credentials, patterns and codes beyond a bound.
	UsageOther = "(other)"
	// UsageUnmatched is the pattern of requests that matched no route, or were
	// refused before one was looked for.
	UsageUnmatched = "(unmatched)"
)

// UsageSilence is how long an instance that reports so often may be silent.
func UsageSilence(every time.Duration) time.Duration { return 3*every + 10*time.Second }

// UsageStep is the width of a bucket of time.
type UsageStep uint8

// The steps. Buckets begin at full minutes, hours and days of UTC.
const (
	PerMinute UsageStep = iota + 1
	PerHour
	PerDay
)

// UsageSteps are all of them.
var UsageSteps = [...]UsageStep{PerMinute, PerHour, PerDay}

// Width is the length of a bucket; 0 if s is none of the steps.
func (s UsageStep) Width() time.Duration {
	switch s {
	case PerMinute:
		return time.Minute
	case PerHour:
		return time.Hour
	case PerDay:
		return 24 * time.Hour
	default:
		return 0
	}
}

// Start is the beginning of the bucket that t is in.
func (s UsageStep) Start(t time.Time) time.Time {
	width := max(1, int64(s.Width()/time.Minute))
	return UsageTime(UsageMinute(t) / width * width)
}

// UsageMinute is the number of t's minute, counted from 1970. Backends store
// buckets as the number of their first minute. No earlier time gets that far.
func UsageMinute(t time.Time) int64 { return t.Unix() / 60 }

// UsageTime is the beginning of a minute.
func UsageTime(minute int64) time.Time { return time.Unix(minute*60, 0).UTC() }

// UsageKey says whose use it is.
type UsageKey struct {
	Organisation string
	// Credential is the id of the record; for OAuth, whose tokens live for an
	// hour, the grant.
	Credential string
	// Lineage is shared by rotated credentials; empty: the Credential.
	Lineage     string
	Environment strikeplate.Environment
}

// UsageCounts are numbers of requests.
type UsageCounts struct {
	// Class counts by the status' first digit. Class[0] are abandoned requests,
	// whose client left before they were checked: they are no errors.
	Class [6]int64
	// Latency counts by how long requests took: at most UsageLatencies, and longer
	// than all of them. Nanoseconds is the sum. Abandoned ones are left out.
	Latency     [6]int64
	Nanoseconds int64
}

// UsageLatencies are the bounds of [UsageCounts.Latency].
var UsageLatencies = [5]time.Duration{10 * time.Millisecond, 50 * time.Millisecond, 250 * time.Millisecond, time.Second, 5 * time.Second}

// Requests is the number of all requests.
func (c UsageCounts) Requests() (n int64) {
	for _, of := range c.Class {
		n += of
	}
	return n
}

// Errors is the number of requests that were answered 400 or above.
func (c UsageCounts) Errors() int64 { return c.Class[4] + c.Class[5] }

// ErrorRate is the part of requests that were errors, 0 to 1.
func (c UsageCounts) ErrorRate() float64 {
	if n := c.Requests(); n > 0 {
		return float64(c.Errors()) / float64(n)
	}
	return 0
}

// MeanLatency is the average, 0 where nothing was counted.
func (c UsageCounts) MeanLatency() time.Duration {
	if n := c.Requests() - c.Class[0]; n > 0 {
		return time.Duration(c.Nanoseconds / n)
	}
	return 0
}

// LatencyWithin returns the least of [UsageLatencies] that the given part of
// requests (0.95, say) kept to; false if they took longer than all of them.
func (c UsageCounts) LatencyWithin(part float64) (time.Duration, bool) {
	var all, sum int64
	for _, n := range c.Latency {
		all += n
	}
	for i, bound := range UsageLatencies {
		if sum += c.Latency[i]; float64(sum) >= part*float64(all) {
			return bound, true
		}
	}
	return 0, false
}

// Add adds o to c.
func (c *UsageCounts) Add(o UsageCounts) {
	for i := range c.Class {
		c.Class[i] += o.Class[i]
		c.Latency[i] += o.Latency[i]
	}
	c.Nanoseconds += o.Nanoseconds
}

// UsageRow is what one credential did on one route in one minute. Errors that a
// request met after its credential was proven count as its own.
type UsageRow struct {
	UsageKey
	Pattern string
	Minute  time.Time // any moment of it
	UsageCounts
}

// UsageSeen is what is known of a credential as a whole. Times are zero where
// there is nothing to tell. Times are kept to the microsecond.
type UsageSeen struct {
	UsageKey
	First time.Time // the first use
	// Succeeded is the most recent request with a status below 400, Presented the
	// most recent one at all. Both are about proven credentials only.
	Succeeded, Presented time.Time
	// Browser counts requests with an Origin, which browsers send: the credential
	// is in a page's hands. Origin is the one of the last of them.
	Browser   int64
	BrowserAt time.Time
	Origin    string
}

// UsageAddress is an address that a proven credential was used from. An invalid
// Address stands for those that are not kept singly.
type UsageAddress struct {
	UsageKey
	Address     netip.Addr
	Count       int64
	First, Last time.Time
}

// UsageRefusal counts refusals with one code. Proven says that the secret was
// right; if it is false, anybody may have caused them, and they are in no other
// count.
type UsageRefusal struct {
	UsageKey
	Code   string
	Proven bool
	Hour   time.Time // any moment of it; zero in answers
	Count  int64
	Last   time.Time
}

// UsageBatch is what an instance counted since its last one.
type UsageBatch struct {
	// Instance names the process, anew at each start; Sequence counts its batches
	// from 1. The next one is sent when this one is known to be stored.
	Instance string
	Sequence uint64
	// Now is the instance's clock, Every its interval.
	Now   time.Time
	Every time.Duration
	// Until says that all which was counted before is in this or earlier batches.
	Until time.Time
	// Final says that the instance counts no more.
	Final bool
	// Gap is the last moment at which something was dropped or added to
	// UsageOther; zero: never.
	Gap time.Time

	Rows      []UsageRow
	Seen      []UsageSeen
	Addresses []UsageAddress
	Refusals  []UsageRefusal
}

// UsageQuery asks about a range of time.
type UsageQuery struct {
	Organisation string
	// Lineage or Credential; both empty: the organisation as a whole.
	Lineage, Credential string
	// Environment keeps to one; empty: both. Only for the organisation as a whole:
	// a credential has one.
	Environment strikeplate.Environment
	// Buckets that begin at From or later and before To.
	From, To time.Time
	Step     UsageStep
}

// UsagePoint is a bucket of a series.
type UsagePoint struct {
	Start time.Time
	UsageCounts
}

// UsageEndpoint is one route.
type UsageEndpoint struct {
	Pattern string
	UsageCounts
}

// UsageCutoffs say from when on what is kept. A zero time keeps all.
type UsageCutoffs struct {
	Now time.Time
	// Buckets that begin before are removed.
	Minutes, Hours, Days time.Time
	// Addresses that were last seen before; and the Origin of credentials.
	Addresses time.Time
	// Credentials, patterns and codes that were last seen before.
	Names time.Time
	// Instances that were last heard of before.
	Instances time.Time
}

// UsageClaim is a task for one instance. Organisation may be empty.
type UsageClaim struct {
	Organisation, Task, Holder string
	Now, Until                 time.Time
}

// UsageKnown is what is known of the use of some keys, for a sweep of those that
// nobody uses.
type UsageKnown struct {
	// LastUsed is when each key was last presented and proven, also if it was
	// then refused: a key that is tried in vain is not idle. One that was never
	// seen is left out.
	LastUsed map[string]time.Time
	// CompleteSince is the moment since which no use went unnoticed: no instance
	// that didn't report, no window that was dropped. Zero: nothing is known.
	CompleteSince time.Time
}
