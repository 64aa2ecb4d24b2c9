package policies_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

func admin() storage.Actor { return storage.Actor{User: "root", Organisation: "acme", Role: "admin"} }

func managed() storage.Key {
	return storage.Key{ID: "key_1", Organisation: "acme", Name: "CI", Access: strikeplate.OrganisationFull, Environment: strikeplate.Live}
}

const ownersRevoke = `package policies.manage

# METADATA
# custom:
#   public: true
deny["frozen"] := "keys named frozen stay as they are" if input.key.name == "frozen"

deny["secret"] := "not while the audit of case 4711 runs" if input.key.name == "audited"

allow["own"] := "owners revoke their own keys" if {
	input.action == "key.revoke"
	input.key.owner == input.actor.user
}
`

func TestManage(t *testing.T) {
	e := user(t, ownersRevoke)
	for name, c := range map[string]struct {
		actor          storage.Actor
		action         string
		key            func(*storage.Key)
		rule, contains string
	}{
		"an administrator":                {admin(), "key.create", nil, "", ""},
		"an administrator of apps":        {admin(), "app.register", nil, "", ""},
		"an unknown action":               {admin(), "house.burn", nil, "manage.default", "no rule allows it"},
		"a member":                        {storage.Actor{User: "ada", Organisation: "acme", Role: "member"}, "key.create", nil, "manage.default", "no rule allows it"},
		"a member's own key":              {storage.Actor{User: "ada", Organisation: "acme", Role: "member"}, "key.revoke", func(k *storage.Key) { k.Owner = "ada" }, "", ""},
		"another organisation":            {storage.Actor{User: "eve", Organisation: "other", Role: "admin"}, "key.create", nil, "manage.organisation", "does not belong"},
		"nobody":                          {storage.Actor{Role: "admin"}, "key.create", func(k *storage.Key) { k.Organisation = "" }, "manage.actor", "nobody"},
		"a reason that is public":         {admin(), "key.revoke", func(k *storage.Key) { k.Name = "frozen" }, "policies.manage.frozen", "You may not do this: keys named frozen stay as they are."},
		"a reason that is not":            {admin(), "key.revoke", func(k *storage.Key) { k.Name = "audited" }, "policies.manage.secret", "You may not do this: a policy of this service denies it."},
		"the base's denial is told first": {storage.Actor{User: "eve", Organisation: "other", Role: "admin"}, "key.create", func(k *storage.Key) { k.Name = "frozen" }, "manage.organisation", "does not belong"},
	} {
		k := managed()
		if c.key != nil {
			c.key(&k)
		}
		err := e.Manage(context.Background(), c.actor, c.action, k)
		var refusal *strikeplate.Error
		switch {
		case c.rule == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.rule == "":
		case !errors.As(err, &refusal):
			t.Errorf("%s: %v", name, err)
		case refusal.Status != 403 || refusal.Code != "forbidden" || refusal.Rule != c.rule || !strings.Contains(refusal.Message, c.contains):
			t.Errorf("%s: %+v", name, refusal)
		}
	}
}

// Management asks the engine, also for what a policy adds to the bundled rules.
func TestManageFitsKeyManagement(t *testing.T) {
	store := memory.New()
	t.Cleanup(func() { _ = store.Close(context.Background()) })
	if err := store.PutAccount(context.Background(), storage.Account{Organisation: "acme", Plan: "pro"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"root", "ada"} {
		if err := store.PutUser(context.Background(), storage.User{ID: name, Organisation: "acme", Active: true}); err != nil {
			t.Fatal(err)
		}
	}
	scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{
		Formats: []keyauth.Format{{Prefix: "acme_"}}, TagKeys: [][]byte{slices.Repeat([]byte{7}, 32)}, Hashing: keyauth.Hashing{InsecureCheap: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := scope.NewCatalog(scope.Entry{Scope: "meetings:read", Description: "Read meetings"})
	if err != nil {
		t.Fatal(err)
	}
	e := user(t, ownersRevoke)
	service, err := manage.New(manage.Config{
		Scheme: scheme, Keys: store, Directory: store, Catalog: catalog, MaxKeys: 10, Authorize: e.Manage,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	create := func(name, owner string) string {
		t.Helper()
		made, err := service.Create(ctx, admin(), manage.Creation{
			Name: name, Prefix: "acme_", Access: strikeplate.UserLimited, Owner: owner, Scopes: []string{"meetings:read"},
		})
		if err != nil {
			t.Fatal(err)
		}
		return made.Key.ID
	}
	own, others := create("Ada's", "ada"), create("Root's", "root")
	member := storage.Actor{User: "ada", Organisation: "acme", Role: "member"}
	refused := func(what, rule string, err error) {
		t.Helper()
		var refusal *strikeplate.Error
		if !errors.As(err, &refusal) || refusal.Status != 403 || refusal.Rule != rule {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = service.Create(ctx, member, manage.Creation{Name: "x", Prefix: "acme_", Access: strikeplate.UserLimited, Owner: "ada", Scopes: []string{"meetings:read"}})
	refused("a member creates", "manage.default", err)
	_, err = service.Revoke(ctx, member, others, "no")
	refused("a member revokes another's key", "manage.default", err)
	if _, err = service.Revoke(ctx, member, own, "done"); err != nil {
		t.Errorf("a member revokes their own: %v", err)
	}
	_, err = service.Rename(ctx, admin(), others, "frozen")
	if err != nil {
		t.Fatal(err)
	}
	_, err = service.Revoke(ctx, admin(), others, "no")
	refused("an administrator meets a denial", "policies.manage.frozen", err)
	page, err := service.List(ctx, admin(), manage.Filter{})
	if err != nil || len(page.Keys) != 0 || page.Slots.Used != 1 { // the denial covers key.view too
		t.Errorf("an administrator lists a key that they may not view: %+v, %v", page, err)
	}
}
