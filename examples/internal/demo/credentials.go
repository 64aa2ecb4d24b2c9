package demo

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
)

// file is what -credentials writes, for scripts.
type file struct {
	BaseURL       string                    `json:"base_url"`
	Keys          map[string]fileKey        `json:"keys"`
	Users         map[string]userState      `json:"users"`
	Organisations map[string]organisationOf `json:"organisations"`
	OAuth         map[string]fileClient     `json:"oauth"`
}

type fileKey struct {
	Key   string `json:"key"`
	ID    string `json:"id"`
	About string `json:"about"`
}

type fileClient struct {
	ClientID     string   `json:"client_id"`
	ClientSecret string   `json:"client_secret"`
	RedirectURIs []string `json:"redirect_uris"`
}

type userState struct {
	ID           string `json:"id"`
	Organisation string `json:"organisation"`
	Role         string `json:"role"`
	Active       bool   `json:"active"`
}

type organisationOf struct {
	ID           string `json:"id"`
	Plan         string `json:"plan"`
	Subscription string `json:"subscription"`
}

// writeCredentials makes the file appear at once and complete.
func (s *Site) writeCredentials(ctx context.Context) error {
	f := file{BaseURL: s.Base, Keys: map[string]fileKey{}, Users: map[string]userState{}, Organisations: map[string]organisationOf{}, OAuth: map[string]fileClient{}}
	for _, k := range s.minted.Keys {
		f.Keys[k.Name] = fileKey{Key: k.Secret.Reveal(), ID: k.ID, About: k.About}
	}
	for _, c := range s.minted.Clients {
		f.OAuth[c.Name] = fileClient{ClientID: c.ID, ClientSecret: c.Secret.Reveal(), RedirectURIs: c.RedirectURIs}
	}
	for _, u := range meetings.Users {
		now, err := s.Store.User(ctx, u.Organisation, u.ID)
		if err != nil {
			return err
		}
		f.Users[u.Name] = userState{ID: now.ID, Organisation: now.Organisation, Role: now.Role, Active: now.Active}
	}
	for _, o := range meetings.Organisations {
		now, err := s.Store.Account(ctx, o.ID)
		if err != nil {
			return err
		}
		f.Organisations[o.Name] = organisationState(now)
	}
	content, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return replace(s.Credentials, append(content, '\n'))
}

// replace writes a file for its owner only, and then puts it in place.
func replace(name string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(name), ".credentials-*") // created 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	if _, err := temporary.Write(content); err != nil {
		return err
	}
	if err := temporary.Close(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), name)
}

// recall takes the secrets of keys that were made earlier from the file that was
// written then: nothing else has them.
func (s *Site) recall() {
	content, err := os.ReadFile(s.Credentials)
	var before file
	if err != nil || json.Unmarshal(content, &before) != nil {
		return
	}
	for i, k := range s.minted.Keys {
		if was := before.Keys[k.Name]; was.ID == k.ID {
			s.minted.Keys[i].Secret = strikeplate.NewSecret(was.Key)
		}
	}
	for i, c := range s.minted.Clients {
		if was := before.OAuth[c.Name]; was.ClientID == c.ID {
			s.minted.Clients[i].Secret = strikeplate.NewSecret(was.ClientSecret)
		}
	}
}

// forgotten says that a secret isn't known.
func (m Minted) forgotten() bool {
	for _, k := range m.Keys {
		if k.Secret.Reveal() == "" {
			return true
		}
	}
	return false
}
