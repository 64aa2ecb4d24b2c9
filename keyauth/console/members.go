package console

import (
	"context"

	"github.com/strikeplate/strikeplate/storage"
)

// mostMembers is how many the picker offers; beyond that an id is typed.
const mostMembers = 200

// members are whom the pages know by name.
func (s *Console) members(ctx context.Context, a storage.Actor) ([]storage.User, error) {
	if s.c.Members == nil {
		return nil, nil
	}
	return s.c.Members.Members(ctx, a.Organisation, mostMembers)
}

// names tells members by id. Pages do without names that can't be had.
type names map[string]string

func (s *Console) names(ctx context.Context, a storage.Actor) names {
	members, err := s.members(ctx, a)
	if err != nil {
		return nil
	}
	n := make(names, len(members))
	for _, m := range members {
		n[m.ID] = m.Name
	}
	return n
}

func (n names) of(id string) string {
	if name := n[id]; name != "" {
		return name
	}
	return id
}
