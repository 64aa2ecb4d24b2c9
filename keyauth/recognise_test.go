package keyauth_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/storage"
)

func TestRecognise(t *testing.T) {
	s := newService(t, nil)
	text, key := s.mintAs(t, s.scheme, "mvo_", strikeplate.Live)
	_, other := s.mintAs(t, s.scheme, "mvo_", strikeplate.Live)
	p, err := s.scheme.Parse(text, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	changed := func(change func(*storage.Key)) storage.Key {
		k := key
		change(&k)
		return k
	}
	for what, test := range map[string]struct {
		key  storage.Key
		want bool
	}{
		"the key":             {key, true},
		"revoked":             {changed(func(k *storage.Key) { k.Revoked = time.Now() }), true},
		"expired":             {changed(func(k *storage.Key) { k.Expires = time.Unix(1, 0) }), true},
		"another key":         {other, false},
		"another secret":      {changed(func(k *storage.Key) { k.Hash = other.Hash }), false},
		"another environment": {changed(func(k *storage.Key) { k.Environment = strikeplate.Test }), false},
		"another format":      {changed(func(k *storage.Key) { k.Format = "mavio_sk_" }), false},
	} {
		if got, err := s.scheme.Recognise(t.Context(), p, test.key); got != test.want || err != nil {
			t.Errorf("%s: %v, %v; want %v", what, got, err, test.want)
		}
	}

	_, err = s.scheme.Recognise(t.Context(), p, changed(func(k *storage.Key) { k.Hash = "$argon2id$broken" }))
	if !errors.Is(err, keyauth.ErrUnusableHash) {
		t.Errorf("a broken hash: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.scheme.Recognise(ended, p, key); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}
