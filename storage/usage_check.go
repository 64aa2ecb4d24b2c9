package storage

import (
	"errors"
	"fmt"
	"time"
)

// Check refuses a batch that no store may add. Backends call it first, so that
// they agree.
func (b UsageBatch) Check() error {
	switch {
	case b.Instance == "" || b.Sequence == 0 || b.Sequence > 1<<62:
		return errors.New("storage: a usage batch needs an Instance and a Sequence")
	case len(b.Rows) > MaxUsageRows, len(b.Seen) > MaxUsageRows, len(b.Addresses) > MaxUsageRows, len(b.Refusals) > MaxUsageRows:
		return fmt.Errorf("storage: a usage batch holds more than %d of a kind", MaxUsageRows)
	case b.Every < 0:
		return errors.New("storage: a usage batch's Every is negative")
	}
	if err := errors.Join(checkUsageTexts(b.Instance), checkUsageTimes(false, b.Now), checkUsageTimes(true, b.Until, b.Gap)); err != nil {
		return err
	}
	return errors.Join(b.checkRows(), b.checkFacts(), b.checkRefusals())
}

func (b UsageBatch) checkRows() error {
	for _, r := range b.Rows {
		if err := errors.Join(r.check(), checkUsageTexts(r.Pattern), checkUsageTimes(false, r.Minute)); err != nil {
			return err
		}
		if r.Credential == "" || r.Pattern == "" {
			return errors.New("storage: a usage row needs a Credential and a Pattern")
		}
		for i := range r.Class {
			if r.Class[i] < 0 || r.Latency[i] < 0 || r.Nanoseconds < 0 {
				return errors.New("storage: a usage row counts below zero")
			}
		}
	}
	return nil
}

func (b UsageBatch) checkFacts() error {
	for _, s := range b.Seen {
		err := errors.Join(s.check(), checkUsageTexts(s.Origin), checkUsageTimes(true, s.First, s.Succeeded, s.Presented, s.BrowserAt))
		if err == nil && (s.Credential == "" || s.Browser < 0) {
			err = errors.New("storage: a credential that was seen needs its id, and counts above zero")
		}
		if err != nil {
			return err
		}
	}
	for _, a := range b.Addresses {
		err := errors.Join(a.check(), checkUsageTimes(false, a.First, a.Last))
		if err == nil && (a.Credential == "" || a.Count < 0 || a.Address.Zone() != "") {
			err = errors.New("storage: an address needs a Credential, no zone, and counts above zero")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b UsageBatch) checkRefusals() error {
	for _, r := range b.Refusals {
		err := errors.Join(r.check(), checkUsageTexts(r.Code), checkUsageTimes(false, r.Hour, r.Last))
		if err == nil && (r.Code == "" || r.Count < 0) {
			err = errors.New("storage: a refusal needs a Code, and counts above zero")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (k UsageKey) check() error {
	return checkUsageTexts(k.Organisation, k.Credential, k.Lineage, string(k.Environment))
}

// Check refuses a query whose range is empty, too long, or not of this age, and
// names that nothing can have.
func (q UsageQuery) Check() error {
	if err := errors.Join(q.checkTexts(), checkUsageTimes(false, q.From, q.To)); err != nil {
		return err
	}
	width := q.Step.Width()
	switch {
	case width == 0:
		return errors.New("storage: a usage query needs a Step")
	case !q.From.Before(q.To):
		return errors.New("storage: a usage query's From is not before its To")
	case q.To.Sub(q.From) > width*MaxUsageBuckets:
		return fmt.Errorf("storage: a usage query's range has more than %d buckets", MaxUsageBuckets)
	}
	return nil
}

// ForRefusals is the query with a Step that refusals have.
func (q UsageQuery) ForRefusals() UsageQuery {
	if q.Step == PerMinute {
		q.Step = PerHour
	}
	return q
}

// CheckNames refuses a query that is about no credential and no lineage.
func (q UsageQuery) CheckNames() error {
	if q.Lineage == "" && q.Credential == "" {
		return errors.New("storage: this usage query needs a Lineage or a Credential")
	}
	return q.checkTexts()
}

func (q UsageQuery) checkTexts() error {
	return checkUsageTexts(q.Organisation, q.Lineage, q.Credential, string(q.Environment))
}

// Check refuses a claim without a Task or a Holder.
func (c UsageClaim) Check() error {
	if c.Task == "" || c.Holder == "" {
		return errors.New("storage: a claim needs a Task and a Holder")
	}
	return errors.Join(checkUsageTexts(c.Organisation, c.Task, c.Holder), checkUsageTimes(false, c.Now, c.Until))
}

// CheckUsageNames refuses more names than may be asked for at once.
func CheckUsageNames(names []string) error {
	if len(names) > MaxUsageRows {
		return fmt.Errorf("storage: more than %d names at once", MaxUsageRows)
	}
	return nil
}

var errUsageText = errors.New("storage: a name in usage is too long, not UTF-8, or holds a NUL byte")

func checkUsageTexts(texts ...string) error {
	for _, s := range texts {
		if len(s) > MaxUsageText || !ValidText(s) {
			return errUsageText
		}
	}
	return nil
}

// checkUsageTimes keeps to years whose minutes fit every backend's columns.
func checkUsageTimes(zero bool, times ...time.Time) error {
	for _, t := range times {
		if year := t.UTC().Year(); (year < 1970 || year > 4000) && (!zero || !t.IsZero()) {
			return errors.New("storage: a time in usage is outside of the years 1970 to 4000")
		}
	}
	return nil
}

// Minutes are the query's range as the numbers of minutes that a bucket may
// begin with: from, and those before to.
func (q UsageQuery) Minutes() (from, to int64) {
	ceil := func(t time.Time) int64 { return UsageMinute(t.Add(time.Minute - 1)) }
	return ceil(q.From), ceil(q.To)
}
