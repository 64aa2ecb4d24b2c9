package policies_test

import (
	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

func admin() storage.Actor { return storage.Actor{User: "root", Organisation: "acme", Role: "admin"} }

func managed() storage.Key {
	return storage.Key{ID: "key_1", Organisation: "acme", Name: "CI", Access: strikeplate.OrganisationFull, Environment: strikeplate.Live}
}
