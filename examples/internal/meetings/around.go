package meetings

import (
	"context"
	"slices"
	"strings"

	"github.com/strikeplate/strikeplate/policies"
	"github.com/strikeplate/strikeplate/storage"
)

// What an organisation has besides meetings is asked for with the filter of its
// own resource, whose rules are in policies: take it with AsOf and the alias that
// stands here.

// AsOf says how the queries for channels ("c"), speakers ("k") and webhooks ("w")
// want their filters.
func (s *Store) AsOf(alias string) policies.As {
	return policies.As{Dialect: s.Dialect, Alias: alias}
}

const channelColumns = "c.id, c.organisation_id, c.environment, c.name FROM demo_channels AS c"

func scanChannel(scan func(...any) error) (c Channel, err error) {
	err = scan(&c.ID, &c.Organisation, &c.Environment, &c.Name)
	return c, err
}

// Channels lists channels by name. Failures: ErrSearch.
func (s *Store) Channels(ctx context.Context, visible policies.Filter, at Place) (Page[Channel], error) {
	found, err := page(ctx, s, channelColumns, s.where(visible), order{columns: []string{"c.name", "c.id"}}, at, scanChannel,
		func(c Channel) []string { return []string{c.Name, c.ID} })
	if err != nil {
		return found, err
	}
	return found, s.fillMembers(ctx, found.Data)
}

// Channel returns one channel. Failures: ErrNotFound.
func (s *Store) Channel(ctx context.Context, visible policies.Filter, id string) (Channel, error) {
	c, err := one(ctx, s, channelColumns, s.where(visible), "c.id", id, scanChannel)
	if err != nil {
		return c, err
	}
	found := []Channel{c}
	err = s.fillMembers(ctx, found)
	return found[0], err
}

func (s *Store) fillMembers(ctx context.Context, channels []Channel) error {
	for i := range channels {
		members, err := all(ctx, s, s.Bind("SELECT user_id FROM demo_channel_members WHERE channel_id = ? ORDER BY user_id"), []any{channels[i].ID},
			func(scan func(...any) error) (user string, err error) {
				err = scan(&user)
				return user, err
			})
		if err != nil {
			return err
		}
		channels[i].Members = members
	}
	return nil
}

// AddChannel adds a channel. Failures: ErrFull.
func (s *Store) AddChannel(ctx context.Context, c Channel) error {
	return s.change(ctx, nil, func(w *change) {
		w.room(maxChannels, "demo_channels WHERE organisation_id = ? AND environment = ?", c.Organisation, c.Environment)
		w.do("INSERT INTO demo_channels (id, organisation_id, environment, name) VALUES (?, ?, ?, ?)", c.ID, c.Organisation, c.Environment, c.Name)
		w.members(c.ID, c.Members)
	})
}

func (w *change) members(channel string, users []string) {
	w.do("DELETE FROM demo_channel_members WHERE channel_id = ?", channel)
	for _, u := range users {
		w.do("INSERT INTO demo_channel_members (channel_id, user_id) VALUES (?, ?) ON CONFLICT DO NOTHING", channel, u)
	}
}

// SetMembers puts other members in place of a channel's. Failures: ErrNotFound.
func (s *Store) SetMembers(ctx context.Context, visible policies.Filter, id string, users []string) error {
	return s.onChannel(ctx, visible, id, func(w *change) { w.members(id, users) })
}

// AddToChannel adds meetings to a channel, all or none: each must be one that the
// caller sees, in the channel's environment. It makes nobody see a meeting.
// Failures: ErrNotFound.
func (s *Store) AddToChannel(ctx context.Context, visible, visibleMeetings policies.Filter, id string, meetings []string) error {
	return s.onChannel(ctx, visible, id, func(w *change) {
		for _, m := range meetings {
			if !storage.ValidText(m) {
				w.err = ErrNotFound
				return
			}
			c := s.where(visibleMeetings)
			c.and("m.id = ?", m)
			w.lock("SELECT 1 FROM demo_meetings AS m WHERE "+c.String(), c.args)
			w.do("INSERT INTO demo_channel_meetings (channel_id, meeting_id) VALUES (?, ?) ON CONFLICT DO NOTHING", id, m)
		}
	})
}

func (s *Store) onChannel(ctx context.Context, visible policies.Filter, id string, do func(w *change)) error {
	return s.onOne(ctx, visible, "demo_channels AS c", "c.id", id, do)
}

// onOne changes a row that the caller sees, and what belongs to it.
func (s *Store) onOne(ctx context.Context, visible policies.Filter, table, column, id string, do func(w *change)) error {
	if !storage.ValidText(id) {
		return ErrNotFound
	}
	return s.change(ctx, nil, func(w *change) {
		c := s.where(visible)
		c.and(column+" = ?", id)
		w.lock("SELECT 1 FROM "+table+" WHERE "+c.String(), c.args)
		if w.err == nil {
			do(w)
		}
	})
}

const speakerColumns = "k.id, k.organisation_id, k.environment, k.name, k.user_id FROM demo_speakers AS k"

func scanSpeaker(scan func(...any) error) (k Speaker, err error) {
	err = scan(&k.ID, &k.Organisation, &k.Environment, &k.Name, &k.User)
	return k, err
}

// Speakers lists speakers by name. Failures: ErrSearch.
func (s *Store) Speakers(ctx context.Context, visible policies.Filter, at Place) (Page[Speaker], error) {
	return page(ctx, s, speakerColumns, s.where(visible), order{columns: []string{"k.name", "k.id"}}, at, scanSpeaker,
		func(k Speaker) []string { return []string{k.Name, k.ID} })
}

// Speaker returns one speaker. Failures: ErrNotFound.
func (s *Store) Speaker(ctx context.Context, visible policies.Filter, id string) (Speaker, error) {
	return one(ctx, s, speakerColumns, s.where(visible), "k.id", id, scanSpeaker)
}

// AddSpeaker adds a speaker. Failures: ErrFull.
func (s *Store) AddSpeaker(ctx context.Context, k Speaker) error {
	return s.change(ctx, nil, func(w *change) {
		w.room(maxSpeakers, "demo_speakers WHERE organisation_id = ? AND environment = ?", k.Organisation, k.Environment)
		w.do("INSERT INTO demo_speakers (id, organisation_id, environment, name, user_id) VALUES (?, ?, ?, ?, ?)", k.ID, k.Organisation, k.Environment, k.Name, k.User)
	})
}

// SpeakerChange says what is to be different.
type SpeakerChange struct {
	Name *string
	User Optional[string]
}

// ChangeSpeaker changes a speaker. Failures: ErrNotFound.
func (s *Store) ChangeSpeaker(ctx context.Context, visible policies.Filter, id string, c SpeakerChange) error {
	return s.onOne(ctx, visible, "demo_speakers AS k", "k.id", id, func(w *change) {
		var to set
		assign(&to, "name", c.Name)
		if c.User.Given {
			to.to("user_id", c.User.Value)
		}
		w.update("demo_speakers", to, id)
	})
}

// RemoveSpeaker removes a speaker. Failures: ErrNotFound.
func (s *Store) RemoveSpeaker(ctx context.Context, visible policies.Filter, id string) error {
	return s.onOne(ctx, visible, "demo_speakers AS k", "k.id", id, func(w *change) {
		w.one("DELETE FROM demo_speakers WHERE id = ?", id)
	})
}

// fields is strings.Fields, and an empty list for an empty text.
func fields(text string) []string { return slices.Clip(strings.Fields(text)) }
