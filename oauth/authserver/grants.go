package authserver

import (
	"context"
	"errors"

	"github.com/strikeplate/strikeplate/storage"
)

// ListGrants returns a page of what people of the actor's organisation let apps
// do, newest first, as [storage.Grants] does. Of q, Subject, ClientID, Status,
// Cursor and Limit count. Everybody may see their own; for another Subject, or
// none, the rule is asked for [ActionListGrants]. It refuses with 403 forbidden.
func (s *Server) ListGrants(ctx context.Context, a storage.Actor, q storage.GrantQuery) (page []storage.Grant, next string, err error) {
	if err := signedIn(ctx, a); err != nil {
		return nil, "", err
	}
	if q.Subject != a.User {
		if err := s.may(ctx, a, ActionListGrants, storage.App{ClientID: q.ClientID}); err != nil {
			return nil, "", err
		}
	}
	q.Organisation, q.Now = a.Organisation, s.now()
	page, next, err = s.c.Store.ListGrants(ctx, q)
	if err != nil {
		return nil, "", cursored(err, "listing grants")
	}
	return page, next, nil
}

// RevokeGrants ends everything that the user of the actor's organisation let the
// app do, and forgets that they agreed to it. Without a subject it does so for
// everybody of the organisation, and for the app itself. It returns how many grants
// it ended. Everybody may do it for themselves; otherwise the rule is asked for
// [ActionRevokeGrants]. It refuses with 403 forbidden and 400 invalid_request.
func (s *Server) RevokeGrants(ctx context.Context, a storage.Actor, subject, clientID, reason string) (int, error) {
	if err := signedIn(ctx, a); err != nil {
		return 0, err
	}
	action := ActionRevokeGrant
	if subject != a.User {
		action = ActionRevokeGrants
		if err := s.may(ctx, a, action, storage.App{ClientID: clientID}); err != nil {
			return 0, err
		}
	}
	if clientID == "" || !storage.ValidText(clientID+subject) {
		return 0, invalid("client_id", "say which app it is about")
	}
	if err := checkReason(reason); err != nil {
		return 0, err
	}
	now := s.now()
	n, err := s.c.Store.RevokeGrants(ctx, storage.GrantRevocation{
		Now: now, Organisation: a.Organisation, Subject: subject, ClientID: clientID, Because: reason,
		Audit: []storage.Entry{note(a, action, clientID, now, map[string]string{"subject": subject, "reason": reason})},
	})
	if err != nil {
		return 0, unsure("revoking grants", err)
	}
	return n, nil
}

// revokeGrant ends one grant on behalf of an app, or because of what it did.
func (s *Server) revokeGrant(ctx context.Context, a storage.Actor, g storage.Grant, why string) error {
	now := s.now()
	_, err := s.c.Store.RevokeGrants(ctx, storage.GrantRevocation{
		Now: now, Organisation: g.Organisation, ID: g.ID, Because: why,
		Audit: []storage.Entry{note(a, ActionRevokeGrant, g.ID, now, map[string]string{"client_id": g.ClientID, "reason": why})},
	})
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return unsure("revoking a grant", err)
	}
	return nil
}

// Blocks lists the apps that the actor's organisation keeps out, newest first. It
// refuses with 403 forbidden.
func (s *Server) Blocks(ctx context.Context, a storage.Actor) ([]storage.Block, error) {
	if err := s.may(ctx, a, ActionList, storage.App{}); err != nil {
		return nil, err
	}
	blocks, err := s.c.Store.Blocks(ctx, a.Organisation)
	if err != nil {
		return nil, unsure("listing blocks", err)
	}
	return blocks, nil
}

// BlockApp keeps an app out of the actor's organisation, whoever registered it, and
// ends everything that its people let it do. It refuses with 403 forbidden, 404
// app_not_found and 400 invalid_request.
func (s *Server) BlockApp(ctx context.Context, a storage.Actor, clientID, reason string) error {
	if err := s.may(ctx, a, ActionBlock, storage.App{ClientID: clientID}); err != nil {
		return err
	}
	if err := checkReason(reason); err != nil {
		return err
	}
	// An app that is described by a document can be kept out before it ever came.
	if _, err := s.known(ctx, clientID); err != nil && (!errors.Is(err, storage.ErrNotFound) || !isDocumentID(clientID)) {
		if errors.Is(err, storage.ErrNotFound) {
			return appNotFound()
		}
		return err
	}
	now := s.now()
	err := s.c.Store.BlockApp(ctx, storage.Block{Organisation: a.Organisation, ClientID: clientID, By: a.User, Because: reason, At: now},
		[]storage.Entry{note(a, ActionBlock, clientID, now, map[string]string{"reason": reason})})
	if err != nil {
		return unsure("blocking the app", err)
	}
	return nil
}

// UnblockApp lets people let the app in again; what was revoked stays so. It
// refuses with 403 forbidden and 404 app_not_found.
func (s *Server) UnblockApp(ctx context.Context, a storage.Actor, clientID string) error {
	if err := s.may(ctx, a, ActionUnblock, storage.App{ClientID: clientID}); err != nil {
		return err
	}
	now := s.now()
	err := s.c.Store.UnblockApp(ctx, a.Organisation, clientID, []storage.Entry{note(a, ActionUnblock, clientID, now, nil)})
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return appNotFound()
	case err != nil:
		return unsure("unblocking the app", err)
	}
	return nil
}
