package console

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

type (
	environment = strikeplate.Environment
	access      = strikeplate.Access
)

// etag names a key's version (RFC 9110 8.8.3). It tells changes of the record;
// a key that expires meanwhile, or is used, is still the same version.
func etag(k manage.Key) string { return versionTag(k.Version) }

func versionTag(version int64) string { return `"v` + strconv.FormatInt(version, 10) + `"` }

// matched returns the key's version if it is one of those that If-Match names
// (RFC 9110 13.1.1).
func (a *api) matched(ctx context.Context, actor storage.Actor, id, ifMatch string) (int64, error) {
	k, err := a.s.c.Manage.Get(ctx, actor, id)
	if err != nil {
		return 0, err
	}
	for tag := range strings.SplitSeq(ifMatch, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || tag == etag(k) {
			return k.Version, nil
		}
	}
	return 0, stale()
}

func stale() error {
	return refuse(http.StatusPreconditionFailed, CodeStale, "The key was changed by somebody else meanwhile. Look at it again.")
}

// staleKey tells a conflict of versions as what it is to a conditional request.
func staleKey(k manage.Key, err error) (manage.Key, error) {
	var e *strikeplate.Error
	if errors.As(err, &e) && e.Code == manage.CodeConflict {
		return k, stale()
	}
	return k, err
}

// invalid says what is wrong with a field, as package manage does.
func invalid(field, message string) *strikeplate.Error {
	e := refuse(http.StatusBadRequest, manage.CodeRequest, field+": "+message+".")
	e.Params = map[string]string{"field": field}
	return e
}
