// Package hooks delivers webhooks: signed, again where that fails, and to public
// addresses only.
//
// An event tells ids, never content: who wants the content asks the API with a
// credential of its own. Whom an event is told to is decided by the policies, so
// that a webhook hears of no meeting that its owner couldn't list.
//
// # Signatures
//
// Each request carries
//
//	Mavio-Signature: t=1767225600,v1=5f3b…
//
// where v1 is HMAC-SHA256, in hexadecimal, of t, a full stop and the body, under
// the webhook's secret as it was shown (with its prefix). [Verify] is what
// receivers do.
//
// # Security notes
//
// URLs come from strangers (server-side request forgery). They are https, and each
// address that a name leads to is checked when it is dialled, so that no name can
// change its mind in between. Redirects are not followed, no proxy is asked, an
// answer is read up to 4 KiB and within 5 seconds.
package hooks
