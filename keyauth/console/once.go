package console

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

// Codes of the refusals that this package adds to those of packages manage and
// strikeplate, and of the answer to a repeated request.
const (
	CodeSignedOut     = "signed_out"            // 401: sign in
	CodeCrossOrigin   = "cross_origin"          // 403: another site's page sent it
	CodeNowhere       = "not_found"             // 404: no such page or operation
	CodeStale         = "precondition_failed"   // 412: the key is no longer as If-Match says
	CodeUnconditional = "precondition_required" // 428: send If-Match
	CodeTooLarge      = "request_too_large"     // 413: a form of more than 64 KiB

	CodeShown       = "secret_already_shown"        // the request was carried out before; only then was the secret told
	CodeReused      = "idempotency_key_reused"      // 422: the key came with another body before
	CodeUnderWay    = "request_in_progress"         // 409: try again after Retry-After
	CodeOutcome     = "idempotency_outcome_unknown" // 409: look at the keys, then use a new Idempotency-Key
	CodeTooMany     = "too_many_requests"           // 429: an organisation has too many requests remembered
	CodeContentType = "unsupported_media_type"      // 415: writes are application/json
)

const (
	replaysKept    = 24 * time.Hour
	longestRequest = time.Minute            // a request that was begun before has died
	onceTimeout    = 30 * time.Second       // and is given up before that
	waitForOther   = 5 * time.Second        // while another request does the same
	askEvery       = 100 * time.Millisecond // whether it is done
	settlePatience = 3 * time.Second
)

// request is what must be done once.
type request struct {
	actor storage.Actor
	route string // with the id of the key that it is about
	key   string // Idempotency-Key
	body  any    // what it asks for
}

// once carries out a request, unless it was carried out already: then it returns
// the id of what was made, and false. do returns the id of what it made.
func (s *Console) once(ctx context.Context, q request, do func(context.Context) (string, error)) (target string, done bool, err error) {
	r, err := s.replay(q)
	if err != nil {
		return "", false, err
	}
	known, begun, err := s.begin(ctx, r)
	if err != nil {
		return "", false, err
	}
	if !begun {
		return known.Target, false, nil
	}
	work, cancel := context.WithTimeout(ctx, onceTimeout)
	defer cancel()
	target, err = do(work)
	var told *strikeplate.Error
	if errors.As(err, &told) && told.Code == manage.CodeUnknown {
		return "", false, err // stays open: nobody may try again under this key
	}
	s.settle(ctx, r, target)
	return target, true, err
}

// settle tells what became of a request. That it can't be told loses the answer
// to a repetition, never more: it is then refused.
func (s *Console) settle(ctx context.Context, r storage.Replay, target string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settlePatience)
	defer cancel()
	_ = s.c.Replays.SettleReplay(ctx, r.Organisation, r.Request, target)
}

func (s *Console) replay(q request) (storage.Replay, error) {
	body, err := json.Marshal(q.body)
	if err != nil {
		return storage.Replay{}, fmt.Errorf("console: idempotency: %w", err)
	}
	now := s.c.Now()
	return storage.Replay{
		Organisation: q.actor.Organisation,
		Request:      digest(q.actor.Organisation, q.actor.User, q.route, q.key),
		Body:         digest(string(body)),
		Begun:        now, Expires: now.Add(replaysKept),
	}, nil
}

// digest tells lists of texts apart, wherever one ends and the next begins.
func digest(texts ...string) string {
	h := sha256.New()
	for _, text := range texts {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(text)))
		h.Write(size[:])
		h.Write([]byte(text))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// begin notes the request, or waits for the same one under way.
func (s *Console) begin(ctx context.Context, r storage.Replay) (storage.Replay, bool, error) {
	ticker := time.NewTicker(askEvery)
	defer ticker.Stop()
	patience := time.NewTimer(waitForOther)
	defer patience.Stop()
	for {
		known, begun, err := s.c.Replays.BeginReplay(ctx, r)
		switch {
		case errors.Is(err, storage.ErrReplays):
			return known, false, refuse(http.StatusTooManyRequests, CodeTooMany, "Your organisation sends too many requests with an Idempotency-Key. Try again later.")
		case err != nil:
			return known, false, fmt.Errorf("console: idempotency: %w", err)
		case begun:
			return known, true, nil
		case known.Body != r.Body:
			return known, false, refuse(http.StatusUnprocessableEntity, CodeReused, "This Idempotency-Key was used for another request. Use a new one.")
		case known.Target != "":
			return known, false, nil
		case r.Begun.Sub(known.Begun) >= longestRequest:
			return known, false, refuse(http.StatusConflict, CodeOutcome, "A request with this Idempotency-Key was begun and never finished. Look at your keys, then use a new Idempotency-Key.")
		}
		select {
		case <-ticker.C:
		case <-patience.C:
			e := refuse(http.StatusConflict, CodeUnderWay, "The same request is being carried out. Try again shortly.")
			e.RetryAfter = time.Second
			return known, false, e
		case <-ctx.Done():
			return known, false, ctx.Err()
		}
	}
}

func refuse(status int, code, message string) *strikeplate.Error {
	return &strikeplate.Error{Status: status, Code: code, Message: message}
}
