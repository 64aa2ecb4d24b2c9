package denials_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/internal/denials"
)

func TestOneEntryAMinute(t *testing.T) {
	var l denials.Log
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	who := denials.Denial{Organisation: "org", User: "ben", Action: "app.list"}
	admit := func(d denials.Denial) (bool, denials.Note) {
		var n denials.Note
		ok := l.Admit(d, now, &n)
		return ok, n
	}
	if ok, _ := admit(who); !ok {
		t.Error("the first is not logged")
	}
	for range 3 {
		if ok, _ := admit(who); ok {
			t.Error("the next is logged too")
		}
	}
	other := who
	other.Action = "app.view"
	if ok, _ := admit(other); !ok {
		t.Error("another action is not logged")
	}
	now = now.Add(time.Minute)
	if ok, n := admit(who); !ok || n.Suppressed != 3 {
		t.Errorf("a minute later: %t, %+v", ok, n)
	}
}

func TestManyActorsAreBounded(t *testing.T) {
	var l denials.Log
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	logged := 0
	for i := range 5000 {
		var n denials.Note
		if l.Admit(denials.Denial{User: strconv.Itoa(i)}, now, &n) {
			logged++
		}
	}
	var n denials.Note
	now = now.Add(time.Minute)
	if ok := l.Admit(denials.Denial{User: "later"}, now, &n); !ok || logged != 4096 || n.Dropped != 5000-4096 {
		t.Errorf("%d are logged, then %t %+v", logged, ok, n)
	}
}
