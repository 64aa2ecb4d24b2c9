package storagetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// grantRaces: the promises under concurrency. They alternate between the two
// values of a pair.
var grantRaces = []check[grantPair]{
	{"UseCodeRace", useCodeRace},
	{"RotateRace", rotateRace},
	{"RepeatRace", repeatRace},
	{"UseOnceRace", useOnceRace},
	{"TakePushedRace", takePushedRace},
	{"AppLimitRace", appLimitRace},
	{"BlockRace", blockRace},
	{"AppRevokeRace", appRevokeRace},
	{"GrantRevokeRace", grantRevokeRace},
}

// useCodeRace: of many that use one code, one gets tokens, and the others' coming
// takes them away again.
func useCodeRace(t testing.TB, p grantPair) {
	g := granting{t, p.here}
	g.putApp(newApp("acme", "app"))
	run := 0
	for round := range turns(p.rounds()) {
		run++
		id := fmt.Sprint("r", round)
		g.begin(withCode(newGrant("acme", id, "app"), id))
		errs := together(many, func(i int) error {
			return p.nth(i).UseCode(t.Context(), digest(id), noon, newTokens(id, fmt.Sprintf("%s %d", id, i)))
		})
		if won := tally(t, errs, storage.ErrReused); won != 1 {
			t.Fatalf("round %d: %d of %d used one code", round, won, many)
		}
		winner := g.presented(digest(fmt.Sprintf("access %s %d", id, slices.Index(errs, nil))))
		if winner.Grant.Revoked.IsZero() || winner.Grant.Version != 2 {
			t.Fatalf("round %d: the grant after its code's reuse: %+v", round, winner.Grant)
		}
	}
	g.wantOneReuseEach(run)
}

// wantOneReuseEach fails unless the log tells once of each of the rounds.
func (g granting) wantOneReuseEach(rounds int) {
	g.t.Helper()
	told := make(map[string]int)
	for _, line := range g.logged("acme") {
		told[line]++
	}
	for round := range rounds {
		if n := told[fmt.Sprint("grant.reused r", round)]; n != 1 {
			g.t.Fatalf("round %d: the log tells %d times of the reuse", round, n)
		}
	}
}

func rotateRace(t testing.TB, p grantPair) {
	g := granting{t, p.here}
	g.putApp(newApp("acme", "app"))
	run := 0
	for round := range turns(p.rounds()) {
		run++
		id := fmt.Sprint("r", round)
		g.begin(begun(newGrant("acme", id, "app"), newTokens(id, id)...))
		errs := together(many, func(i int) error {
			_, repeated, err := p.nth(i).Rotate(t.Context(), rotation(id, id, fmt.Sprintf("%s %d", id, i)))
			if repeated {
				return errors.New("repeated without Grace")
			}
			return err
		})
		if won := tally(t, errs, storage.ErrReused); won != 1 {
			t.Fatalf("round %d: %d of %d rotated one token", round, won, many)
		}
		winner := g.presented(digest(fmt.Sprintf("refresh %s %d", id, slices.Index(errs, nil))))
		if winner.Grant.Revoked.IsZero() || winner.Grant.Version != 2 {
			t.Fatalf("round %d: the grant after its token's reuse: %+v", round, winner.Grant)
		}
		if old := g.presented(digest("refresh " + id)).Token; old.Successor != winner.Token.Hash {
			t.Fatalf("round %d: the successor isn't the winner's", round)
		}
	}
	g.wantOneReuseEach(run)
}

// repeatRace: many that offer the same successor all get the same answer.
func repeatRace(t testing.TB, p grantPair) {
	g := granting{t, p.here}
	g.putApp(newApp("acme", "app"))
	for round := range turns(p.rounds()) {
		id := fmt.Sprint("r", round)
		g.begin(begun(newGrant("acme", id, "app"), newTokens(id, id)...))
		again := make([]bool, many)
		answers := make([]storage.Token, many)
		errs := together(many, func(i int) (err error) {
			r := rotation(id, id, id+" next")
			r.Grace, r.Now = time.Minute, noon.Add(time.Duration(i)*time.Millisecond)
			r.Access.Expires = noon.Add(time.Hour + time.Duration(i)*time.Second)
			answers[i], again[i], err = p.nth(i).Rotate(t.Context(), r)
			return err
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		first := slices.Index(again, false)
		if n := len(slices.DeleteFunc(slices.Clone(again), func(repeated bool) bool { return repeated })); n != 1 {
			t.Fatalf("round %d: %d of %d were the first", round, n, many)
		}
		for i, answer := range answers {
			if !reflect.DeepEqual(answers[first], answer) {
				t.Fatalf("round %d: repetition %d got another answer (-first +got):\n%s", round, i, diff(answers[first], answer))
			}
		}
	}
	g.wantRevoked()
}

func useOnceRace(t testing.TB, p grantPair) {
	for round := range turns(p.rounds()) {
		// Every other round it was used, and that has expired.
		name, now := fmt.Sprint("r", round/2), noon.Add(time.Duration(round%2)*time.Hour)
		first := make([]bool, many)
		errs := together(many, func(i int) (err error) {
			first[i], err = p.nth(i).UseOnce(t.Context(), digest(name), now, now.Add(time.Hour))
			return err
		})
		if n := count(t, first, errs, nil); n != 1 {
			t.Fatalf("round %d: %d of %d were the first", round, n, many)
		}
	}
}

func takePushedRace(t testing.TB, p grantPair) {
	for round := range turns(p.rounds() / 5) {
		name := fmt.Sprint("r", round)
		granting{t, p.here}.push(newPushed(name))
		errs := together(many, func(i int) error {
			_, err := p.nth(i).TakePushed(t.Context(), digest(name), noon)
			return err
		})
		if won := tally(t, errs, storage.ErrNotFound); won != 1 {
			t.Fatalf("round %d: %d of %d took one request", round, won, many)
		}
	}
}

func appLimitRace(t testing.TB, p grantPair) {
	g := granting{t, p.here}
	const room = 10
	for i := range storage.MaxApps - room {
		g.putApp(newApp("acme", fmt.Sprint("app", i)))
	}
	for round := range turns(3) {
		errs := together(many, func(i int) error {
			return p.nth(i).CommitApp(t.Context(), appMutation(newApp("acme", fmt.Sprintf("r%d-%d", round, i))))
		})
		if won := tally(t, errs, storage.ErrLimit); won != room {
			t.Fatalf("round %d: %d apps were created, where there is room for %d", round, won, room)
		}
		for i, err := range errs {
			if err == nil {
				a := g.app(fmt.Sprintf("r%d-%d", round, i))
				a.Revoked = noon
				g.putApp(a)
			}
		}
	}
}

// blockRace: whatever begins while an app is blocked is refused or revoked.
func blockRace(t testing.TB, p grantPair) {
	g := granting{t, p.here}
	for round := range turns(p.rounds() / 5) {
		app := fmt.Sprint("app", round)
		g.putApp(newApp("globex", app))
		errs := together(many/2, func(i int) error {
			if i == 7 {
				b := storage.Block{Organisation: "acme", ClientID: app, At: noon}
				return p.nth(i).BlockApp(t.Context(), b, grantEntry("acme", app))
			}
			return beginAndRefresh(t, p.nth(i), fmt.Sprintf("r%d-%d", round, i), app, storage.ErrBlocked)
		})
		g.wantAllRevoked(fmt.Sprint("round ", round), app, errs)
	}
}

func appRevokeRace(t testing.TB, p grantPair) {
	g := granting{t, p.here}
	for round := range turns(p.rounds() / 5) {
		app := fmt.Sprint("app", round)
		a := g.putApp(newApp("globex", app))
		a.Revoked = noon
		errs := together(many/2, func(i int) error {
			if i == 7 {
				return p.nth(i).CommitApp(t.Context(), appMutation(a))
			}
			return beginAndRefresh(t, p.nth(i), fmt.Sprintf("r%d-%d", round, i), app, storage.ErrRevoked)
		})
		g.wantAllRevoked(fmt.Sprint("round ", round), app, errs)
	}
}

// beginAndRefresh begins a grant and uses it a few times, unless that is over.
func beginAndRefresh(t testing.TB, s Granting, id, app string, over error) error {
	err := s.BeginGrant(t.Context(), begun(newGrant("acme", id, app), newTokens(id, id+" 0")...))
	for n := 0; err == nil && n < 4; n++ {
		_, _, err = s.Rotate(t.Context(), rotation(id, fmt.Sprintf("%s %d", id, n), fmt.Sprintf("%s %d", id, n+1)))
	}
	if errors.Is(err, over) || errors.Is(err, storage.ErrRevoked) {
		return nil
	}
	return err
}

func (g granting) wantAllRevoked(what, app string, errs []error) {
	g.t.Helper()
	if err := errors.Join(errs...); err != nil {
		g.t.Fatalf("%s: %v", what, err)
	}
	q := storage.GrantQuery{Query: storage.Query{Organisation: "acme", Status: storage.Unrevoked, Now: noon}, ClientID: app}
	if left := g.grants(q); len(left) > 0 {
		g.t.Fatalf("%s: %d grants go on, such as %+v", what, len(left), left[0])
	}
}

// grantRevokeRace: revocations by different names, of the same grants and while
// these are used, all come to an end and are counted once.
func grantRevokeRace(t testing.TB, p grantPair) {
	g := granting{t, p.here}
	const grants = 16
	for round := range turns(p.rounds() / 5) {
		app := fmt.Sprint("app", round)
		a := g.putApp(newApp("globex", app))
		a.Revoked, a.RevokedBecause = noon, "by its owner"
		for i := range grants {
			id := fmt.Sprintf("r%d-%d", round, i)
			one := newGrant("acme", id, app)
			one.Subject = fmt.Sprint(app, " u", i%4)
			g.begin(begun(one, newTokens(id, id)...))
		}
		counted := make([]int, many/2)
		errs := together(many/2, func(i int) (err error) {
			r := revocation("acme", "")
			switch i % 4 {
			case 0:
				r.ClientID = app
			case 1:
				r.Subject = fmt.Sprint(app, " u", i/4%4)
			case 2:
				id := fmt.Sprintf("r%d-%d", round, i/2)
				if _, _, err = p.nth(i/4).Rotate(t.Context(), rotation(id, id, id+" next")); errors.Is(err, storage.ErrRevoked) {
					return nil
				}
				return err
			default:
				if i == 7 {
					return p.nth(i/4).CommitApp(t.Context(), appMutation(a))
				}
				r.ID = fmt.Sprintf("r%d-%d", round, i/4)
			}
			counted[i], err = p.nth(i/4).RevokeGrants(t.Context(), r)
			return err
		})
		g.wantAllRevoked(fmt.Sprint("round ", round), app, errs)
		total := 0
		for _, n := range counted {
			total += n
		}
		byOwner := 0
		for _, one := range g.grants(storage.GrantQuery{Query: storage.Query{Organisation: "acme", Now: noon}, ClientID: app}) {
			if one.Version != 2 {
				t.Fatalf("round %d: a grant that was revoked once has version %d", round, one.Version)
			}
			if one.RevokedBecause == "by its owner" {
				byOwner++
			}
		}
		if total+byOwner != grants {
			t.Fatalf("round %d: %d grants were counted as revoked, and %d went with the app, of %d", round, total, byOwner, grants)
		}
	}
}
