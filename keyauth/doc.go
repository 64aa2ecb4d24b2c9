// Package keyauth turns a presented API key into a [strikeplate.Principal]:
// fast when the key was seen before, slow and bounded when it wasn't, and
// revocable at once.
//
// The common case:
//
//	scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{
//		Formats: []keyauth.Format{{
//			Prefix:       "mvo_",
//			Environments: []strikeplate.Environment{strikeplate.Live, strikeplate.Test},
//		}},
//		TagKeys: [][]byte{tagKey}, // 32 random bytes from your secrets manager
//	})
//	...
//	keys, err := keyauth.New(keyauth.Config{
//		Scheme: scheme, Keys: store, Directory: store, Feed: store,
//	})
//	...
//	handler := strikeplate.Edge{}.Handler(strikeplate.Require(keys)(mux))
//
// Package manage creates and revokes keys.
//
// # What a key looks like
//
//	mvo_live_ 4fK2…  (11)  S0me…  (27)   a  Xy12Zq
//	prefix    look-up id   secret        |  checksum
//	                                     names the tag key
//
// All base62. The look-up id is public and carries 65 bits, the secret 160. The
// checksum is a MAC under a tag key, so a mistyped or made-up key is refused
// without a look-up or a hash, and one regular expression finds leaked keys.
//
// # Security notes
//
// Only an argon2id hash of the secret is stored. Hashing is paid once for a
// key: the proof that a text is the key at a given hash version is remembered
// by a keyed digest, never by its text. The key's state (revoked, expired,
// renamed, lapsed) is remembered apart from the proof; the store's change feed
// drops it, and while the feed is not known to be healthy each request asks the
// store. All hashing goes through one slot with an ordered, bounded queue, so
// that a flood of wrong secrets costs holders of valid keys next to nothing.
//
// Telling known look-up ids from unknown ones by timing is possible and
// accepted: ids are public. What can't be told without the secret is a key's
// state.
package keyauth
