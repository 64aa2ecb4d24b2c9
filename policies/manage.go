package policies

import (
	"context"
	"net/http"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// Manage decides whether an actor may do something to a key, by the entry manage:
// it is what keyauth/manage asks if its Config.Authorize is set to it. A denial is
// a [*strikeplate.Error] with status 403 and the rule; another error means that it
// could not be decided.
func (e *Engine) Manage(ctx context.Context, a storage.Actor, action string, k storage.Key) error {
	rev, err := e.current()
	if err != nil {
		return err
	}
	start := time.Now()
	input := manageInput(a, action, k)
	v, err := e.evaluate(ctx, rev.entries[manageName], input)
	if e.observed() {
		e.observeManage(ctx, rev, a, action, k, input, outcome{verdict: v, err: err, elapsed: time.Since(start)})
	}
	if err != nil || v.allowed {
		return err
	}
	d := rev.decision(&v)
	return &strikeplate.Error{
		Status: http.StatusForbidden, Code: strikeplate.CodeForbidden, Credential: k.ID, Rule: d.Rule,
		Message: "You may not do this: " + d.Reason + ".",
	}
}
