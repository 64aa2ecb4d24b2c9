package storagetest_test

import (
	"context"
	"errors"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

var brokenTokens = []brokenGranting{
	{"a token lost", "CodeUsed", grantFaults{useCode: func(s *grantTwin, ctx context.Context, hash [32]byte, now time.Time, tokens []storage.Token) error {
		return s.Store.UseCode(ctx, hash, now, tokens[:min(len(tokens), 1)])
	}}},
	{"a code's reuse revokes nothing", "CodeReused", grantFaults{view: spared(reusedTwice)}},
	{"a code's reuse unlogged", "CodeReused", grantFaults{hide: "grant.reused a1"}},
	{"a code's reuse logged each time", "CodeReused", grantFaults{useCode: func(s *grantTwin, ctx context.Context, hash [32]byte, now time.Time, tokens []storage.Token) error {
		err := s.Store.UseCode(ctx, hash, now, tokens)
		if errors.Is(err, storage.ErrReused) {
			s.note(ctx, storage.Entry{Organisation: "acme", Action: "grant.reused", Target: "a1", At: now})
		}
		return err
	}}},
	{"burnt codes work", "CodeBurnt", grantFaults{useCode: func(s *grantTwin, ctx context.Context, hash [32]byte, now time.Time, tokens []storage.Token) error {
		if len(tokens) == 0 {
			return nil
		}
		return s.Store.UseCode(ctx, hash, now, tokens)
	}}},
	{"a code's last moment counts", "CodeExpired", grantFaults{useCode: func(s *grantTwin, ctx context.Context, hash [32]byte, now time.Time, tokens []storage.Token) error {
		return s.Store.UseCode(ctx, hash, now.Add(-time.Microsecond), tokens)
	}}},
	{"an expired code isn't used up", "CodeExpired", grantFaults{useCode: func(s *grantTwin, ctx context.Context, hash [32]byte, now time.Time, tokens []storage.Token) error {
		if c, _, err := s.Store.Code(ctx, hash); err == nil && !now.Before(c.Expires) {
			return storage.ErrExpired
		}
		return s.Store.UseCode(ctx, hash, now, tokens)
	}}},
	{"blocked is just revoked", "CodeOfNoUse", grantFaults{useCode: func(s *grantTwin, ctx context.Context, hash [32]byte, now time.Time, tokens []storage.Token) error {
		err := s.Store.UseCode(ctx, hash, now, tokens)
		if errors.Is(err, storage.ErrBlocked) {
			err = storage.ErrRevoked
		}
		return err
	}}},
	{"a taken hash uses the code up", "CodeRefused", grantFaults{useCode: func(s *grantTwin, ctx context.Context, hash [32]byte, now time.Time, tokens []storage.Token) error {
		err := s.Store.UseCode(ctx, hash, now, tokens)
		if errors.Is(err, storage.ErrConflict) {
			_ = s.Store.UseCode(ctx, hash, now, nil) // only its effect counts
		}
		return err
	}}},

	{"the successor unknown", "TokenRotated", grantFaults{presented: func(p storage.Presented) storage.Presented {
		p.Token.Successor = [32]byte{}
		return p
	}}},
	{"a token's reuse revokes nothing", "TokenReused", grantFaults{view: spared(reusedTwice)}},
	{"a token's reuse unlogged", "TokenReused", grantFaults{hide: "grant.reused a1"}},
	{"a repetition gets what it offers", "RotationRepeated", grantFaults{rotate: offered}},
	{"a clock that is behind", "RotationRepeated", grantFaults{rotate: func(s *grantTwin, ctx context.Context, r storage.Rotation) (storage.Token, bool, error) {
		if old, err := s.Store.Presented(ctx, r.Old); err == nil && r.Now.Before(old.Token.Rotated) {
			return storage.Token{}, false, storage.ErrReused
		}
		return s.Store.Rotate(ctx, r)
	}}},
	{"no repetition at all", "RotationRepeated", grantFaults{rotate: func(s *grantTwin, ctx context.Context, r storage.Rotation) (storage.Token, bool, error) {
		r.Grace = 0
		return s.Store.Rotate(ctx, r)
	}}},
	{"Grace has no end", "NoRepetition", grantFaults{rotate: func(s *grantTwin, ctx context.Context, r storage.Rotation) (storage.Token, bool, error) {
		if r.Grace > 0 {
			r.Grace = 24 * time.Hour
		}
		return s.Store.Rotate(ctx, r)
	}}},
	{"always a little Grace", "NoRepetition", grantFaults{rotate: func(s *grantTwin, ctx context.Context, r storage.Rotation) (storage.Token, bool, error) {
		r.Grace = max(r.Grace, 1)
		return s.Store.Rotate(ctx, r)
	}}},
	{"any successor will do", "NoRepetition", grantFaults{rotate: func(s *grantTwin, ctx context.Context, r storage.Rotation) (storage.Token, bool, error) {
		if old, err := s.Store.Presented(ctx, r.Old); err == nil && !old.Token.Rotated.IsZero() {
			r.Refresh.Hash = old.Token.Successor
		}
		return s.Store.Rotate(ctx, r)
	}}},
	{"a repetition after the end", "RepeatedOfNoUse", grantFaults{rotate: func(s *grantTwin, ctx context.Context, r storage.Rotation) (storage.Token, bool, error) {
		access, again, err := s.Store.Rotate(ctx, r)
		if errors.Is(err, storage.ErrRevoked) {
			return r.Access, true, nil
		}
		return access, again, err
	}}},
	{"a token's last moment counts", "RotationOfNoUse", grantFaults{rotate: func(s *grantTwin, ctx context.Context, r storage.Rotation) (storage.Token, bool, error) {
		r.Now = r.Now.Add(-time.Microsecond)
		return s.Store.Rotate(ctx, r)
	}}},
	{"access tokens are refused as reused", "RotationOfNoUse", grantFaults{rotate: func(s *grantTwin, ctx context.Context, r storage.Rotation) (storage.Token, bool, error) {
		if old, err := s.Store.Presented(ctx, r.Old); err == nil && old.Token.Kind == storage.AccessToken {
			return storage.Token{}, false, storage.ErrReused
		}
		return s.Store.Rotate(ctx, r)
	}}},
	{"a taken hash is a reuse", "RotationRefused", grantFaults{rotate: func(s *grantTwin, ctx context.Context, r storage.Rotation) (storage.Token, bool, error) {
		access, again, err := s.Store.Rotate(ctx, r)
		if errors.Is(err, storage.ErrConflict) {
			err = storage.ErrReused
		}
		return access, again, err
	}}},
	{"dropping does nothing", "TokenDropped", grantFaults{drop: func(*grantTwin, context.Context, [32]byte) error { return nil }}},
	{"an unknown token can't be dropped", "TokenDropped", grantFaults{drop: func(s *grantTwin, ctx context.Context, hash [32]byte) error {
		if _, err := s.Store.Presented(ctx, hash); err != nil {
			return err
		}
		return s.Store.DropToken(ctx, hash)
	}}},
}

var brokenGrantRaces = []brokenGranting{
	{"a code looked up and used later", "UseCodeRace", grantFaults{useCode: func(s *grantTwin, ctx context.Context, hash [32]byte, now time.Time, tokens []storage.Token) error {
		c, _, err := s.Store.Code(ctx, hash)
		if err != nil || !c.Used.IsZero() {
			return errors.Join(err, storage.ErrReused)
		}
		yield()
		if err = s.Store.UseCode(ctx, hash, now, tokens); errors.Is(err, storage.ErrReused) {
			return nil
		}
		return err
	}}},
	{"a code's losers revoke nothing", "UseCodeRace", grantFaults{view: spared(reusedTwice)}},
	{"a token looked up and rotated later", "RotateRace", grantFaults{rotate: func(s *grantTwin, ctx context.Context, r storage.Rotation) (storage.Token, bool, error) {
		p, err := s.Store.Presented(ctx, r.Old)
		if err != nil || !p.Token.Rotated.IsZero() {
			return storage.Token{}, false, errors.Join(err, storage.ErrReused)
		}
		yield()
		access, again, err := s.Store.Rotate(ctx, r)
		if errors.Is(err, storage.ErrReused) {
			return r.Access, false, nil
		}
		return access, again, err
	}}},
	{"a token's losers revoke nothing", "RotateRace", grantFaults{view: spared(reusedTwice)}},
	{"each repetition gets what it offers", "RepeatRace", grantFaults{rotate: offered}},
	{"first uses counted later", "UseOnceRace", grantFaults{once: func(s *grantTwin, ctx context.Context, hash [32]byte, now, expires time.Time) (bool, error) {
		s.mu.Lock()
		seen := s.seen[hash]
		s.mu.Unlock()
		yield()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.seen == nil {
			s.seen = make(map[[32]byte]bool)
		}
		s.seen[hash] = true
		first, err := s.Store.UseOnce(ctx, hash, now, expires)
		return first || !seen, err
	}}},
	{"a request read and removed later", "TakePushedRace", grantFaults{take: func(s *grantTwin, ctx context.Context, hash [32]byte, now time.Time) (storage.Pushed, error) {
		p, err := s.Store.TakePushed(ctx, hash, now)
		if err != nil {
			return p, err
		}
		if err := s.Store.Push(ctx, p); err != nil {
			return p, err
		}
		yield()
		_, _ = s.Store.TakePushed(ctx, hash, now) // perhaps another did
		return p, nil
	}}},
	{"begun behind a block", "BlockRace", grantFaults{behind: storage.ErrBlocked}},
	{"begun behind a revocation", "AppRevokeRace", grantFaults{behind: storage.ErrRevoked}},
	{"revocations counted first", "GrantRevokeRace", grantFaults{met: newMeeting(4), revoke: func(s *grantTwin, ctx context.Context, r storage.GrantRevocation) (int, error) {
		if r.ClientID == "" {
			return s.Store.RevokeGrants(ctx, r)
		}
		q := storage.GrantQuery{Query: storage.Query{Organisation: r.Organisation, Status: storage.Unrevoked, Now: r.Now}, ClientID: r.ClientID}
		page, _, err := s.Store.ListGrants(ctx, q)
		if err != nil {
			return 0, err
		}
		s.met.wait()
		_, err = s.Store.RevokeGrants(ctx, r)
		return len(page) + 1, err
	}}},
}
