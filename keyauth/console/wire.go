package console

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

// keyJSON is a key as the API tells it: everything but what proves it.
type keyJSON struct {
	ID             string            `json:"id" doc:"Names the key for ever" example:"key_5Q3VJ2KCUTXKX6VYGBE7FJBXIE"`
	Lineage        string            `json:"lineage" doc:"Shared by a key and its rotated successors"`
	Name           string            `json:"name"`
	Last4          string            `json:"last4" doc:"The secret's last characters, to recognise it by"`
	Format         string            `json:"format" doc:"What the format's keys begin with"`
	Environment    string            `json:"environment" example:"live"`
	Access         string            `json:"access,omitempty" doc:"user-limited, user-full, org-limited, org-full or legacy"`
	Scopes         []string          `json:"scopes" nullable:"false"`
	Owner          string            `json:"owner,omitempty" doc:"The user that a user-level key acts as"`
	Creator        string            `json:"creator"`
	Allow          []string          `json:"allow" nullable:"false" doc:"Networks that the key may be used from; none: any"`
	Metadata       map[string]string `json:"metadata,omitempty"`
	Status         string            `json:"status" enum:"active,expired,revoked"`
	Created        time.Time         `json:"created"`
	Regenerated    *time.Time        `json:"regenerated,omitempty"`
	Expires        *time.Time        `json:"expires,omitempty" doc:"The first moment at which the key no longer works; absent: never"`
	Revoked        *time.Time        `json:"revoked,omitempty"`
	RevokedBecause string            `json:"revoked_because,omitempty"`
	LastUsed       *time.Time        `json:"last_used,omitempty" doc:"The last successful request; absent: none is known"`
	Version        int64             `json:"version" doc:"Rises with every change; the ETag has it"`
	SecretVersion  int64             `json:"secret_version" doc:"Rises when the secret changes"`

	Legacy            bool `json:"legacy,omitempty" doc:"Can be viewed and revoked only"`
	OwnerInactive     bool `json:"owner_inactive,omitempty" doc:"The owner is deactivated, so the key answers 401"`
	RotateRecommended bool `json:"rotate_recommended,omitempty"`
	Revealable        bool `json:"revealable,omitempty" doc:"The secret was kept and can be copied"`
}

func wireKey(k manage.Key) keyJSON {
	return keyJSON{
		ID: k.ID, Lineage: k.Lineage, Name: k.Name, Last4: k.Last4, Format: k.Format,
		Environment: string(k.Environment), Access: string(k.Access), Scopes: filled(k.Scopes),
		Owner: k.Owner, Creator: k.Creator, Allow: prefixTexts(k.Allow), Metadata: k.Metadata,
		Status: string(k.Status), Created: k.Created, Regenerated: known(k.Regenerated), Expires: known(k.Expires),
		Revoked: known(k.Revoked), RevokedBecause: k.RevokedBecause, LastUsed: known(k.LastUsed),
		Version: k.Version, SecretVersion: k.SecretVersion,
		Legacy: k.Legacy, OwnerInactive: k.OwnerInactive, RotateRecommended: k.RotateRecommended, Revealable: k.Revealable,
	}
}

func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// filled is never nil: lists are [] in JSON.
func filled[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func prefixTexts(allow []netip.Prefix) []string {
	texts := make([]string, 0, len(allow))
	for _, p := range allow {
		if p.IsSingleIP() {
			texts = append(texts, p.Addr().String())
		} else {
			texts = append(texts, p.String())
		}
	}
	return texts
}

// slotsJSON says how many active keys there are and may be.
type slotsJSON struct {
	Used int `json:"used"`
	Max  int `json:"max" doc:"-1: no limit"`
}

// keyPageJSON is a page of keys, newest first.
type keyPageJSON struct {
	Data    []keyJSON `json:"data" nullable:"false"`
	Next    *string   `json:"next" doc:"The cursor of the next page; null at the end"`
	Slots   slotsJSON `json:"slots" doc:"The whole organisation's"`
	Missing []string  `json:"missing" nullable:"false" doc:"What could not be asked and is left out: owners, last_used"`
}

func cursor(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// createdJSON is a new key. Its secret can't be had again.
type createdJSON struct {
	Key         keyJSON  `json:"key"`
	Secret      string   `json:"secret,omitempty" doc:"The whole key, once; absent with the code secret_already_shown"`
	Predecessor *keyJSON `json:"predecessor,omitempty" doc:"After a rotation: the key that this one takes the place of"`
	Code        string   `json:"code,omitempty" enum:"secret_already_shown" doc:"The request was carried out before, and its secret told then"`
}

// creationJSON says what a new key shall be. Scopes, access, owner and
// environment are permanent.
type creationJSON struct {
	Name        string            `json:"name" doc:"1 to 100 characters"`
	Format      string            `json:"format,omitempty" doc:"What the key begins with, as options tells; may be left out where there is one format"`
	Environment string            `json:"environment,omitempty" doc:"Left out: live"`
	Access      string            `json:"access,omitempty" enum:"user-limited,user-full,org-limited,org-full" doc:"Required, unless the service sets it"`
	Owner       string            `json:"owner,omitempty" doc:"For user levels: the active member whom the key acts as"`
	Scopes      []string          `json:"scopes,omitempty" nullable:"false" maxItems:"200"`
	Expires     *time.Time        `json:"expires,omitempty" doc:"Left out: as the service has it"`
	NoExpiry    bool              `json:"no_expiry,omitempty" doc:"The key never expires, where the service allows that"`
	Allow       []string          `json:"allow,omitempty" nullable:"false" maxItems:"100" doc:"Addresses or networks, such as 192.0.2.0/24"`
	Metadata    map[string]string `json:"metadata,omitempty"`
}

// changeJSON says what of a key to change; what is left out stays. The name is
// changed apart from the rest.
type changeJSON struct {
	Name     *string            `json:"name,omitempty"`
	Allow    *[]string          `json:"allow,omitempty" maxItems:"100" doc:"Replaces the allowlist; an empty one admits every address"`
	Expires  maybeTime          `json:"expires,omitempty" doc:"null: never, where the service allows that"`
	Metadata *map[string]string `json:"metadata,omitempty" doc:"Replaces all entries"`
}

// maybeTime tells null from a member that was left out.
type maybeTime struct {
	Sent bool
	Time time.Time // zero: null
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *maybeTime) UnmarshalJSON(text []byte) error {
	m.Sent = true
	if string(text) == "null" {
		m.Time = time.Time{}
		return nil
	}
	return json.Unmarshal(text, &m.Time)
}

// Schema implements huma.SchemaProvider.
func (maybeTime) Schema(r huma.Registry) *huma.Schema {
	plain := *r.Schema(reflect.TypeFor[time.Time](), false, "")
	plain.Nullable = true
	return &plain
}

// entryJSON is one line of the audit log.
type entryJSON struct {
	Position int64           `json:"position"`
	At       time.Time       `json:"at"`
	Actor    auditActorJSON  `json:"actor"`
	Action   string          `json:"action" example:"key.create"`
	Target   string          `json:"target,omitempty" doc:"The key's id; absent where the action was about no one key"`
	Before   json.RawMessage `json:"before,omitempty" doc:"The key before the change"`
	After    json.RawMessage `json:"after,omitempty" doc:"The key after it; after a denial, what was denied"`
}

type auditActorJSON struct {
	User   string `json:"user,omitempty"`
	Role   string `json:"role,omitempty"`
	Client string `json:"client,omitempty" doc:"The address, if it is known and was not erased"`
}

func wireEntry(e manage.Entry) entryJSON {
	return entryJSON{
		Position: e.Position, At: e.At, Action: e.Action, Target: e.Target, Before: e.Before, After: e.After,
		Actor: auditActorJSON{User: e.Actor.User, Role: e.Actor.Role, Client: addressText(e.Actor.Client)},
	}
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// entryPageJSON is a page of the audit log, oldest first.
type entryPageJSON struct {
	Data []entryJSON `json:"data" nullable:"false"`
	Next string      `json:"next" doc:"Oldest first it is never empty: it continues the log, later too. Newest first it is empty where the log begins"`
}

// optionsJSON is what a dialog for new keys needs.
type optionsJSON struct {
	Formats []formatJSON `json:"formats" nullable:"false"`
	Access  []accessJSON `json:"access" nullable:"false" doc:"The levels to choose from; empty: the service sets it"`
	Scopes  []scopeJSON  `json:"scopes" nullable:"false" doc:"Empty: the product has no scopes"`
	Expiry  expiryJSON   `json:"expiry"`
	Members []memberJSON `json:"members" nullable:"false" doc:"Whom a key may be issued to, at most 200"`
	Slots   slotsJSON    `json:"slots"`
	Address string       `json:"address,omitempty" doc:"Where this request came from"`
	Overlap overlapJSON  `json:"overlap"`
}

type formatJSON struct {
	Format       string   `json:"format"`
	Environments []string `json:"environments" nullable:"false" doc:"Empty: every key is live"`
}

type accessJSON struct {
	Access   string `json:"access"`
	Title    string `json:"title"`
	Reaches  string `json:"reaches"`
	BestFor  string `json:"best_for"`
	ForUser  bool   `json:"for_user" doc:"An owner is required"`
	Cautions string `json:"caution,omitempty"`
}

type scopeJSON struct {
	Scope       string `json:"scope"`
	Resource    string `json:"resource"`
	Description string `json:"description"`
}

type expiryJSON struct {
	DefaultSeconds int64 `json:"default_seconds,omitempty" doc:"Of keys whose creator names no end; absent: never"`
	MaxSeconds     int64 `json:"max_seconds,omitempty" doc:"Absent: no bound"`
}

type overlapJSON struct {
	MaxSeconds int64 `json:"max_seconds"`
}

type memberJSON struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// usageJSON is what a key, or its lineage, was used for.
type usageJSON struct {
	Counted       bool           `json:"counted" doc:"False: the service doesn't count usage, and the rest is empty"`
	From          time.Time      `json:"from"`
	To            time.Time      `json:"to"`
	StepSeconds   int64          `json:"step_seconds"`
	Total         countsJSON     `json:"total"`
	Series        []bucketJSON   `json:"series" nullable:"false" doc:"Every bucket of the range, the oldest first"`
	Endpoints     []endpointJSON `json:"endpoints" nullable:"false" doc:"The busiest first"`
	Addresses     []addressJSON  `json:"addresses" nullable:"false" doc:"The most recent first; not only of the range"`
	Refusals      []refusalJSON  `json:"refusals" nullable:"false"`
	LastUsed      *time.Time     `json:"last_used,omitempty" doc:"The most recent successful request"`
	BrowserOrigin string         `json:"browser_origin,omitempty" doc:"The key was seen in a web page of this origin, where it can be stolen"`
	Unusual       []unusualJSON  `json:"unusual" nullable:"false" doc:"What the key and those of its lineage do that they never did"`
	Missing       []string       `json:"missing" nullable:"false" doc:"What could not be asked"`
}

type unusualJSON struct {
	Kind     string    `json:"kind" doc:"usage.volume or usage.endpoint; there may be more"`
	Since    time.Time `json:"since" doc:"The beginning of the hour or day that it is about"`
	Requests int64     `json:"requests"`
	Usual    int64     `json:"usual,omitempty" doc:"The most in an hour of the week before"`
	Patterns []string  `json:"patterns,omitempty" nullable:"false" doc:"Routes that were not used before"`
}

type countsJSON struct {
	Requests       int64   `json:"requests"`
	Errors         int64   `json:"errors" doc:"Answered 400 or above"`
	ErrorRate      float64 `json:"error_rate" doc:"0 to 1"`
	LatencySeconds float64 `json:"mean_latency_seconds"`
}

func wireCounts(c storage.UsageCounts) countsJSON {
	return countsJSON{Requests: c.Requests(), Errors: c.Errors(), ErrorRate: c.ErrorRate(), LatencySeconds: c.MeanLatency().Seconds()}
}

type bucketJSON struct {
	Start    time.Time `json:"start"`
	Requests int64     `json:"requests"`
	Errors   int64     `json:"errors"`
}

type endpointJSON struct {
	Pattern string     `json:"pattern"`
	Counts  countsJSON `json:"counts"`
}

type addressJSON struct {
	Address  string    `json:"address" doc:"Empty: all that are not kept singly"`
	Requests int64     `json:"requests"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
}

type refusalJSON struct {
	Code   string    `json:"code"`
	Proven bool      `json:"proven" doc:"False: the secret was wrong, so anybody may have sent them"`
	Count  int64     `json:"count"`
	Last   time.Time `json:"last"`
}
