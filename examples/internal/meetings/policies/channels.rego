# METADATA
# title: Channels, of the organisation's keys and of their members
package policies.channels

allow["organisation"] := "the credential stands for the organisation" if {
	input.principal.access in {"org-limited", "org-full"}
}

allow["member"] := "the user is a member of the channel" if {
	input.principal.access in {"user-limited", "user-full"}
	input.principal.subject in input.resource.members
}
