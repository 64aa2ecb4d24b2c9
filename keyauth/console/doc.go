// Package console is the Developer page, where people manage their
// organisation's API keys and see what the keys do, and the JSON API below it:
// one http.Handler, to be mounted behind the service's own sign-in.
//
//	page, err := console.New(console.Config{
//		Manage: keys, Scheme: scheme, Catalog: catalog, Usage: counter, Replays: store,
//		SignedIn: func(r *http.Request) (storage.Actor, error) { … }, // the service's session
//		Product:  console.Product{Name: "Mavio", Base: "/settings/developer", EnvironmentVariable: "MAVIO_API_KEY"},
//	})
//	...
//	mux.Handle("/settings/developer/", page)
//
// Pages are rendered here and work without JavaScript; a small script adds
// comfort. The JSON API is below <base>/api, described by the OpenAPI document
// at <base>/api/openapi.json, which is generated from the handlers.
//
// # Idempotency
//
// A creation or a rotation that carries an Idempotency-Key is carried out once,
// on however many instances it arrives. A repetition is answered with the
// record and the code secret_already_shown, because nobody kept the secret; the
// same key with another body is refused with 422 idempotency_key_reused. Pages
// do the same for a form that is sent twice.
//
// The request is noted before the key is made and settled afterwards
// ([storage.Replays]). If the process dies in between, repetitions are refused
// with 409 idempotency_outcome_unknown, until the note expires after a day: the
// key may exist, and making a second one is what must not happen. Its creator
// finds it in the list, and uses a new Idempotency-Key.
//
// # Security notes
//
// Every action is decided by package manage, for the actor that
// [Config.SignedIn] returns; the console adds no rights. Writes from other
// origins are refused ([http.CrossOriginProtection]), and JSON writes must say
// so in Content-Type. No response may be framed or, but for the two static
// files, stored. Scripts and styles come from those files only: there is no
// inline code. A secret is in the body of the response to a POST, never in a
// URL, and no copy of it is kept.
//
// Mount it inside of a [strikeplate.Edge] that names your proxies: the
// addresses in the audit log and in "your address is …" come from there,
// unless SignedIn sets the actor's.
package console
