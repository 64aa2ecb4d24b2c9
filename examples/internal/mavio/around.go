package mavio

import (
	"context"
	"net/http"
	"slices"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
	"github.com/strikeplate/strikeplate/examples/internal/rest"
	"github.com/strikeplate/strikeplate/policies"
)

// ListChannels answers with channels by name.
func (a *API) ListChannels(w http.ResponseWriter, r *http.Request) {
	list(a, w, r, "channels", a.Meetings.Channels)
}

// ListChannelMeetings answers with those of a channel's meetings that the caller
// sees anyway: a channel opens none.
func (a *API) ListChannelMeetings(w http.ResponseWriter, r *http.Request) {
	q, err := rest.Search(r.URL.Query())
	if err == nil {
		_, err = a.channel(r)
	}
	var found meetings.Page[meetings.Meeting]
	if err == nil {
		q.Channel = r.PathValue("id")
		found, err = seen(a, r, "meetings", func(ctx context.Context, visible policies.Filter) (meetings.Page[meetings.Meeting], error) {
			return a.Meetings.Meetings(ctx, visible, q)
		})
	}
	rest.Answer(w, r, http.StatusOK, found, err)
}

func (a *API) channel(r *http.Request) (meetings.Channel, error) {
	return seen(a, r, "channels", func(ctx context.Context, visible policies.Filter) (meetings.Channel, error) {
		return a.Meetings.Channel(ctx, visible, r.PathValue("id"))
	})
}

// CreateChannel makes a channel in the credential's environment.
func (a *API) CreateChannel(w http.ResponseWriter, r *http.Request) {
	principal, _ := strikeplate.FromContext(r.Context())
	c := meetings.Channel{ID: meetings.NewID("chn_"), Organisation: principal.Organisation, Environment: string(principal.Environment), Members: []string{}}
	o, err := rest.Read(w, r)
	if err == nil {
		o.Need("name")
		if name := o.Text("name", 100); name != nil {
			c.Name = *name
		}
		if members := o.Texts("members", isMember, 100, member(r)); members != nil {
			c.Members = slices.Sorted(slices.Values(*members))
		}
		err = o.Err()
	}
	if err == nil {
		err = a.Meetings.AddChannel(r.Context(), c)
	}
	created(w, r, "", c, err)
}

// AddToChannel adds meetings that the caller sees.
func (a *API) AddToChannel(w http.ResponseWriter, r *http.Request) {
	o, err := rest.Read(w, r)
	var ids []string
	if err == nil {
		o.Need("meeting_ids")
		if given := o.Texts("meeting_ids", "a meeting's id", 100, func(id string) bool { return id != "" && len(id) <= 100 }); given != nil {
			ids = *given
		}
		err = o.Err()
	}
	var visible, theirs policies.Filter
	if err == nil {
		visible, err = a.visible(r, "channels")
	}
	if err == nil {
		theirs, err = a.visible(r, "meetings")
	}
	if err == nil {
		err = a.Meetings.AddToChannel(r.Context(), visible, theirs, r.PathValue("id"), ids)
	}
	a.answerChannel(w, r, err)
}

// SetMembers puts other members in place of a channel's.
func (a *API) SetMembers(w http.ResponseWriter, r *http.Request) {
	o, err := rest.Read(w, r)
	var members []string
	if err == nil {
		o.Need("members")
		if given := o.Texts("members", isMember, 100, member(r)); given != nil {
			members = *given
		}
		err = o.Err()
	}
	if err == nil {
		_, err = seen(a, r, "channels", func(ctx context.Context, visible policies.Filter) (struct{}, error) {
			return struct{}{}, a.Meetings.SetMembers(ctx, visible, r.PathValue("id"), members)
		})
	}
	a.answerChannel(w, r, err)
}

func (a *API) answerChannel(w http.ResponseWriter, r *http.Request, err error) {
	var c meetings.Channel
	if err == nil {
		c, err = a.channel(r)
	}
	rest.Answer(w, r, http.StatusOK, c, err)
}

// ListSpeakers answers with the profiles of voices, by name.
func (a *API) ListSpeakers(w http.ResponseWriter, r *http.Request) {
	list(a, w, r, "speakers", a.Meetings.Speakers)
}

// CreateSpeaker makes a profile in the credential's environment.
func (a *API) CreateSpeaker(w http.ResponseWriter, r *http.Request) {
	principal, _ := strikeplate.FromContext(r.Context())
	k := meetings.Speaker{ID: meetings.NewID("spk_"), Organisation: principal.Organisation, Environment: string(principal.Environment)}
	o, err := rest.Read(w, r)
	if err == nil {
		o.Need("name")
		if name := o.Text("name", 100); name != nil {
			k.Name = *name
		}
		k.User, _ = o.OrNull("user_id", isMember, member(r))
		err = o.Err()
	}
	if err == nil {
		err = a.Meetings.AddSpeaker(r.Context(), k)
	}
	created(w, r, "", k, err)
}

// ChangeSpeaker changes what is given, and answers with the profile.
func (a *API) ChangeSpeaker(w http.ResponseWriter, r *http.Request) {
	o, err := rest.Read(w, r)
	var c meetings.SpeakerChange
	if err == nil {
		c.Name = o.Text("name", 100)
		c.User.Value, c.User.Given = o.OrNull("user_id", isMember, member(r))
		err = o.Err()
	}
	var k meetings.Speaker
	if err == nil {
		k, err = seen(a, r, "speakers", func(ctx context.Context, visible policies.Filter) (meetings.Speaker, error) {
			if err := a.Meetings.ChangeSpeaker(ctx, visible, r.PathValue("id"), c); err != nil {
				return meetings.Speaker{}, err
			}
			return a.Meetings.Speaker(ctx, visible, r.PathValue("id"))
		})
	}
	rest.Answer(w, r, http.StatusOK, k, err)
}

// DeleteSpeaker removes a profile.
func (a *API) DeleteSpeaker(w http.ResponseWriter, r *http.Request) {
	a.removed(w, r, "speakers", a.Meetings.RemoveSpeaker)
}

// GetTeam answers with who is in the organisation, and its settings.
func (a *API) GetTeam(w http.ResponseWriter, r *http.Request) {
	type person struct {
		ID     string `json:"id"`
		Name   string `json:"name"`
		Role   string `json:"role"`
		Active bool   `json:"active"`
	}
	principal, _ := strikeplate.FromContext(r.Context())
	var team struct {
		Members  []person `json:"members"`
		Settings struct {
			Plan          string `json:"plan"`
			PrivateViaAPI bool   `json:"private_via_api"`
		} `json:"settings"`
	}
	account, err := a.Directory.Account(r.Context(), principal.Organisation)
	if err == nil {
		team.Settings.Plan = account.Plan
		team.Settings.PrivateViaAPI, _ = account.Settings["private_via_api"].(bool)
		users, failed := a.Members(r.Context(), principal.Organisation, 1000)
		for _, u := range users {
			team.Members = append(team.Members, person{u.ID, u.Name, u.Role, u.Active})
		}
		err = failed
	}
	rest.Answer(w, r, http.StatusOK, team, err)
}
