package manage

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/internal/denials"
	"github.com/strikeplate/strikeplate/storage"
)

// denialPatience is how long the log of a refusal may take.
const denialPatience = 3 * time.Second

// denied records a refusal and returns it. That the log can't be written changes
// nothing about the refusal.
func (s *Service) denied(ctx context.Context, a storage.Actor, action, target string, refusal *strikeplate.Error) error {
	if a.Organisation == "" || a.User == "" {
		return refusal // nobody that a log could name
	}
	now := s.now()
	note := denials.Note{Action: action, Code: refusal.Code}
	if !s.denials.Admit(denials.Denial{Organisation: a.Organisation, User: a.User, Action: action}, now, &note) {
		return refusal
	}
	after, err := json.Marshal(note)
	if err == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), denialPatience)
		defer cancel()
		err = s.c.Keys.Commit(ctx, storage.Mutation{Now: now, Audit: []storage.Entry{{
			Organisation: a.Organisation, Actor: a, Action: ActionDenied, Target: target, At: now, After: after,
		}}})
	}
	if err != nil {
		told := *refusal // refusals may be shared
		told.Err = errors.Join(refusal.Err, err)
		return &told
	}
	return refusal
}
