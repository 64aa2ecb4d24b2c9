package storage

import (
	"context"
	"time"
)

// MaxApps is how many apps an organisation may have registered and not revoked.
const MaxApps = 100

// MaxBlocks is how many blocks [Apps.Blocks] returns.
const MaxBlocks = 1000

// App is an OAuth client: a program of somebody else's that people let act for
// them.
//
// ClientID, Organisation, Creator, Source, Public and Created are permanent
// ([ErrPermanent]). Once Revoked is set, nothing changes any more ([ErrRevoked]).
// Times, empty slices and texts are kept as those of a [Key].
type App struct {
	// ClientID names the app for ever, across organisations. For an app that is
	// described by a document it is the document's URL.
	ClientID string
	// Organisation registered it, and manages it. Users of other organisations may
	// let it in too. Empty: nobody did; it registered itself, or is described by a
	// document.
	Organisation string
	Name         string
	// Homepage is an https URL to show people, or empty.
	Homepage string
	// Creator is the user who registered it, for the record.
	Creator string
	Source  AppSource
	// Public apps run where a secret can't be kept, and have none.
	Public bool
	// Secrets are the confidential app's, the newest last; at most two, so that one
	// can be replaced while the other still works.
	Secrets []AppSecret
	// RedirectURIs are compared byte for byte, but for the port of loopback ones.
	RedirectURIs []string
	// Origins are those of a public app's pages, which may call the token endpoint
	// from a browser.
	Origins []string
	// Scopes are the most that it may ask for.
	Scopes []string
	// ClientCredentials lets the app act for its own organisation, with no user.
	ClientCredentials bool
	// InsecureNoPKCE lets a confidential app do without a code challenge.
	InsecureNoPKCE bool
	// Version rises with every change; the backend sets it.
	Version int64
	Created time.Time
	// Revoked is when the app was shut out; zero: it was not.
	Revoked        time.Time
	RevokedBecause string
}

// AppSource says how an app became known.
type AppSource string

// The ways in which an app becomes known.
const (
	AppRegistered AppSource = "registered" // by people of its Organisation
	AppDynamic    AppSource = "dynamic"    // by itself (RFC 7591)
	AppDocument   AppSource = "document"   // by a client ID metadata document
)

// AppSecret is what is kept of a client secret. Secrets are random, 256 bits, so
// an unsalted digest protects them.
type AppSecret struct {
	Hash  [32]byte // SHA-256
	Last4 string
	// Created and Expires bound its life; a zero Expires is no end.
	Created, Expires time.Time
}

// AppMutation is one transaction: the app is written and the log, or neither.
type AppMutation struct {
	// Now is the caller's clock.
	Now time.Time
	// Put is created if its Version is 0, else compared with the stored Version and
	// replaced, which makes it Put's plus one. An app that is put as Revoked takes
	// all of its grants with it, in every organisation: they are revoked at the same
	// moment for the same reason, and what users agreed to is forgotten.
	Put App
	// Audit is required where the app has an Organisation; each entry names one.
	Audit []Entry
}

// Block keeps an app out of an organisation, whoever of its users let it in.
type Block struct {
	Organisation, ClientID string
	// By is the user who blocked it, Because why.
	By, Because string
	At          time.Time
}

// Apps stores OAuth clients. Every method is safe for concurrent use.
type Apps interface {
	// App finds a client by the id that it presents, from the primary. Failures:
	// ErrNotFound. A revoked app is found.
	App(ctx context.Context, clientID string) (App, error)

	// ListApps returns a page of the organisation's apps, newest first, in the
	// manner of [Keys.ListKeys]. Status: [Active], [Revoked] or [AnyStatus].
	ListApps(ctx context.Context, q Query) (page []App, next string, err error)

	// CommitApp applies m, as [Keys.Commit] does. Every watcher of this store value
	// has been told AppChanged when it returns, and GrantChanged of each grant that
	// went with the app.
	//
	// Failures, in this order: ErrNoAudit; ErrNotFound (an update of an app that
	// isn't in that organisation); ErrRevoked; ErrConflict; ErrPermanent; ErrLimit
	// (more than MaxApps that are not revoked, of one organisation). Nothing is
	// written then, nor when [AppMutation.Check] refuses m with another error;
	// [App.Replaces] decides about an update.
	CommitApp(ctx context.Context, m AppMutation) error

	// BlockApp keeps an app out of an organisation, revokes all of its grants there
	// and forgets what users agreed to, in one transaction with the log. Nobody need
	// know the app yet. Blocking a blocked app changes nothing, nor the log. Watchers
	// are told AppChanged with the blocking organisation, and GrantChanged. Failures:
	// ErrNoAudit; what [Block.Check] says.
	BlockApp(ctx context.Context, b Block, audit []Entry) error
	// UnblockApp lets people let the app in again; what was revoked stays so.
	// Failures: ErrNoAudit; ErrNotFound, if it isn't blocked.
	UnblockApp(ctx context.Context, organisation, clientID string, audit []Entry) error
	// Blocks returns the organisation's blocks, newest first, at most MaxBlocks.
	Blocks(ctx context.Context, organisation string) ([]Block, error)

	// PruneApps removes up to limit apps without an Organisation that were created
	// before a moment and that no grant names, with what users agreed to, and
	// returns how many; limit counts as [BatchSize] says. Anybody may make such
	// apps, so something has to remove them. A revoked one stays, since it could
	// come back otherwise. Watchers are told AppChanged.
	PruneApps(ctx context.Context, before time.Time, limit int) (int, error)
}
