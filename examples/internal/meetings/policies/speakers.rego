# METADATA
# title: Speakers, whom everybody in the organisation knows
package policies.speakers

allow["organisation"] := "speakers are the whole organisation's" if {
	input.principal.access in {"user-limited", "user-full", "org-limited", "org-full"}
}
