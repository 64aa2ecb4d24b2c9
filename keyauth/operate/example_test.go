package operate_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log"
	"net/netip"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/operate"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

func ExampleService_Import() {
	ctx := context.Background()
	store := memory.New()
	defer func() { _ = store.Close(ctx) }()
	if err := store.PutAccount(ctx, storage.Account{Organisation: "acme", Plan: "pro"}); err != nil {
		log.Fatal(err)
	}
	tagKey := make([]byte, 32)
	_, _ = rand.Read(tagKey)
	scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{
		TagKeys: [][]byte{tagKey},
		Formats: []keyauth.Format{{
			Prefix: "acme_",
			Foreign: []keyauth.Foreign{{ // ak_LOOKUP.SECRET, as the old gateway issued them
				Prefix: "ak_", Separator: ".", MinLength: 16, MaxLength: 80,
				Until: time.Now().AddDate(1, 0, 0),
			}},
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	service, err := operate.New(operate.Config{Scheme: scheme, Keys: store, Operator: store})
	if err != nil {
		log.Fatal(err)
	}

	digest := sha256.Sum256([]byte("what-follows-the-dot"))
	rows := func(yield func(operate.Row, error) bool) { // in earnest: read line by line
		_ = yield(operate.Row{Organisation: "acme", Prefix: "acme_", Lookup: "7f3a", Access: strikeplate.Legacy,
			Hash: keyauth.ForeignHash{Kind: keyauth.SHA256, Text: hex.EncodeToString(digest[:])}}, nil) &&
			yield(operate.Row{Organisation: "acme", Prefix: "acme_", Lookup: "99b1", Access: strikeplate.Legacy,
				Hash: keyauth.ForeignHash{Kind: keyauth.Bcrypt, Text: "$2b$31$…"}}, nil)
	}
	report, err := service.Import(ctx, operate.Migration{ID: "old-gateway"}, rows)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Imported, "imported")
	for _, r := range report.Refusals {
		fmt.Printf("row %d, %s: %s\n", r.Row, r.Lookup, r.Reason)
	}

	keys, err := keyauth.New(keyauth.Config{Scheme: scheme, Keys: store, Directory: store})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = keys.Close(ctx) }()
	p, err := keys.Verify(ctx, "ak_7f3a.what-follows-the-dot", netip.Addr{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Organisation, p.Access)
	// Output:
	// 1 imported
	// row 1, 99b1: keyauth: not a hash that can be imported: not the text of a bcrypt hash
	// acme legacy
}

func ExampleEvents() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	store := memory.New()
	defer func() { _ = store.Close(context.Background()) }()

	events, err := operate.NewEvents(operate.EventsConfig{
		Operator: store, Feed: store, Consumer: "alerts",
		Handle: func(_ context.Context, e operate.Event) error {
			fmt.Println(e.Organisation, e.Action, e.Key, "by", e.Actor.User)
			cancel() // one is enough here
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	// As package manage does it, when a key is revoked.
	err = store.Commit(ctx, storage.Mutation{Now: time.Now(), Audit: []storage.Entry{{
		Organisation: "acme", Actor: storage.Actor{User: "ada"}, Action: "key.revoke", Target: "key_1", At: time.Now(),
	}}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(events.Run(ctx))
	// Output:
	// acme key.revoke key_1 by ada
	// context canceled
}
