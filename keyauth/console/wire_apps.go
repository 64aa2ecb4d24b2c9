package console

import (
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// appJSON is an OAuth app.
type appJSON struct {
	ClientID          string          `json:"client_id"`
	Name              string          `json:"name"`
	Homepage          string          `json:"homepage,omitempty"`
	Public            bool            `json:"public" doc:"It runs where a secret can't be kept, and has none"`
	Scopes            []string        `json:"scopes" nullable:"false" doc:"The most that it may ask for"`
	RedirectURIs      []string        `json:"redirect_uris" nullable:"false"`
	Origins           []string        `json:"origins" nullable:"false" doc:"Of pages that may call the token endpoint"`
	ClientCredentials bool            `json:"client_credentials" doc:"It may act for its own organisation, with no user"`
	InsecureNoPKCE    bool            `json:"insecure_no_pkce" doc:"It may do without a code challenge"`
	Source            string          `json:"source,omitempty" enum:"registered,dynamic,document"`
	Own               bool            `json:"own" doc:"Your organisation registered it"`
	Creator           string          `json:"creator,omitempty"`
	Secrets           []appSecretJSON `json:"secrets" nullable:"false"`
	Created           time.Time       `json:"created"`
	Revoked           *time.Time      `json:"revoked,omitempty"`
	RevokedBecause    string          `json:"revoked_because,omitempty"`
	Version           int64           `json:"version" doc:"Rises with every change; the ETag has it"`
}

type appSecretJSON struct {
	Last4   string     `json:"last4"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires,omitempty" doc:"Absent: no end"`
}

func wireApp(actor storage.Actor, a storage.App) appJSON {
	j := appJSON{
		ClientID: a.ClientID, Name: a.Name, Homepage: a.Homepage, Public: a.Public, Scopes: filled(a.Scopes),
		RedirectURIs: filled(a.RedirectURIs), Origins: filled(a.Origins), ClientCredentials: a.ClientCredentials,
		InsecureNoPKCE: a.InsecureNoPKCE, Source: string(a.Source), Own: a.Organisation == actor.Organisation, Creator: a.Creator,
		Secrets: []appSecretJSON{}, Created: a.Created, Revoked: known(a.Revoked), RevokedBecause: a.RevokedBecause, Version: a.Version,
	}
	for _, secret := range a.Secrets {
		j.Secrets = append(j.Secrets, appSecretJSON{Last4: secret.Last4, Created: secret.Created, Expires: known(secret.Expires)})
	}
	return j
}

// registrationJSON says what a new app shall be.
type registrationJSON struct {
	Name              string   `json:"name" doc:"1 to 100 characters; people who are asked for consent see it"`
	Homepage          string   `json:"homepage,omitempty"`
	Public            bool     `json:"public,omitempty" doc:"It runs where a secret can't be kept; permanent"`
	Scopes            []string `json:"scopes,omitempty" nullable:"false" maxItems:"200"`
	RedirectURIs      []string `json:"redirect_uris,omitempty" nullable:"false" maxItems:"20" doc:"https, or loopback; compared byte for byte"`
	Origins           []string `json:"origins,omitempty" nullable:"false" maxItems:"20"`
	ClientCredentials bool     `json:"client_credentials,omitempty"`
	InsecureNoPKCE    bool     `json:"insecure_no_pkce,omitempty" doc:"Not recommended: then state is required, and redirect_uri at the token endpoint"`
}

func (j registrationJSON) app() storage.App {
	return storage.App{
		Name: j.Name, Homepage: j.Homepage, Public: j.Public, Scopes: j.Scopes, RedirectURIs: j.RedirectURIs, Origins: j.Origins,
		ClientCredentials: j.ClientCredentials, InsecureNoPKCE: j.InsecureNoPKCE,
	}
}

// appChangeJSON says what of an app to change; what is left out stays.
type appChangeJSON struct {
	Name              *string   `json:"name,omitempty"`
	Homepage          *string   `json:"homepage,omitempty"`
	Scopes            *[]string `json:"scopes,omitempty" maxItems:"200"`
	RedirectURIs      *[]string `json:"redirect_uris,omitempty" maxItems:"20"`
	Origins           *[]string `json:"origins,omitempty" maxItems:"20"`
	ClientCredentials *bool     `json:"client_credentials,omitempty"`
	InsecureNoPKCE    *bool     `json:"insecure_no_pkce,omitempty"`
}

func (j appChangeJSON) change(a *storage.App) {
	set(&a.Name, j.Name)
	set(&a.Homepage, j.Homepage)
	set(&a.Scopes, j.Scopes)
	set(&a.RedirectURIs, j.RedirectURIs)
	set(&a.Origins, j.Origins)
	set(&a.ClientCredentials, j.ClientCredentials)
	set(&a.InsecureNoPKCE, j.InsecureNoPKCE)
}

func set[T any](field, sent *T) {
	if sent != nil {
		*field = *sent
	}
}

// registeredJSON is an app with its new secret, which can't be had again.
type registeredJSON struct {
	App    appJSON `json:"app"`
	Secret string  `json:"client_secret,omitempty" doc:"Once; absent for public apps, and with the code secret_already_shown"`
	Code   string  `json:"code,omitempty" enum:"secret_already_shown" doc:"The request was carried out before, and its secret told then"`
}

// grantJSON is what one person let one app do, once.
type grantJSON struct {
	ID             string     `json:"id"`
	ClientID       string     `json:"client_id"`
	User           string     `json:"user,omitempty" doc:"Absent: the app acts for its own organisation"`
	Scopes         []string   `json:"scopes" nullable:"false"`
	Created        time.Time  `json:"created"`
	Expires        time.Time  `json:"expires"`
	Revoked        *time.Time `json:"revoked,omitempty"`
	RevokedBecause string     `json:"revoked_because,omitempty"`
}

// blockJSON is an app that the organisation keeps out.
type blockJSON struct {
	ClientID string    `json:"client_id"`
	By       string    `json:"by"`
	Because  string    `json:"because,omitempty"`
	At       time.Time `json:"at"`
}
