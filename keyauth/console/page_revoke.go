package console

import (
	"strings"
	"time"

	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

// revokeForm wants the key's last characters typed: a name may be one that
// nobody can type.
type revokeForm struct {
	Key           row
	Typed, Reason string
}

func (s *Console) showRevoke(v *visit) error {
	k, _, err := v.line()
	if err != nil {
		return err
	}
	return v.show("revoke.html", "Revoke "+k.Name, "keys", revokeForm{Key: k})
}

func (s *Console) postRevoke(v *visit) error {
	k, _, err := v.line()
	if err != nil {
		return err
	}
	form := revokeForm{Key: k, Typed: v.r.PostFormValue("confirm"), Reason: v.r.PostFormValue("reason")}
	if strings.TrimSpace(form.Typed) != k.Last4 {
		return v.again(invalid("confirm", "type the key's last four characters, "+k.Last4), "revoke.html", "Revoke "+k.Name, form)
	}
	if _, err := s.c.Manage.Revoke(v.r.Context(), v.actor, k.ID, form.Reason); err != nil {
		return v.again(err, "revoke.html", "Revoke "+k.Name, form)
	}
	return v.leave("/", "revoked")
}

// manyForm selects keys to revoke.
type manyForm struct {
	Members               []storage.User
	Which, Member, Before string
	Reason, Typed         string
	Slots                 slotsView
}

func (v *visit) manyForm() (manyForm, error) {
	page, err := v.s.c.Manage.List(v.r.Context(), v.actor, manage.Filter{Limit: 1})
	if err != nil {
		return manyForm{}, err
	}
	members, _ := v.s.members(v.r.Context(), v.actor) // without them an id is typed
	sent := v.r.PostForm
	return manyForm{
		Members: members, Which: sent.Get("which"), Member: sent.Get("member"), Before: sent.Get("before"),
		Reason: sent.Get("reason"), Typed: sent.Get("confirm"), Slots: viewSlots(page.Slots),
	}, nil
}

func (s *Console) showRevokeMany(v *visit) error {
	f, err := v.manyForm()
	if err != nil {
		return err
	}
	return v.show("revoke-many.html", "Revoke many keys", "keys", f)
}

func (s *Console) postRevokeMany(v *visit) error {
	f, err := v.manyForm()
	if err != nil {
		return err
	}
	sel, err := v.selection(f)
	if err == nil && !strings.EqualFold(strings.TrimSpace(f.Typed), confirmed) {
		err = invalid("confirm", "type "+confirmed)
	}
	if err == nil {
		_, err = s.c.Manage.RevokeAll(v.r.Context(), v.actor, sel, f.Reason, nil)
	}
	if err != nil {
		return v.again(err, "revoke-many.html", "Revoke many keys", f)
	}
	return v.leave("/", "revoked-all")
}

func (v *visit) selection(f manyForm) (manage.Selection, error) {
	member := strings.TrimSpace(f.Member)
	switch f.Which {
	case "all":
		return manage.Selection{All: true}, nil
	case "before":
		before, err := time.ParseInLocation(dayForm, f.Before, v.s.c.Product.Location)
		if err != nil {
			return manage.Selection{}, invalid("before", "choose a date")
		}
		return manage.Selection{CreatedBefore: before}, nil
	case "creator", "owner":
		switch {
		case member == "":
			return manage.Selection{}, invalid("member", "choose a member")
		case f.Which == "creator":
			return manage.Selection{Creator: member}, nil
		}
		return manage.Selection{Owner: member}, nil
	}
	return manage.Selection{}, invalid("which", "choose which keys to revoke")
}
