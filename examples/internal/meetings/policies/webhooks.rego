# METADATA
# title: Webhooks, of the organisation's keys and of users' apps
# description: An app that acts for a user sees the webhooks that were made for that user.
package policies.webhooks

allow["organisation"] := "the credential stands for the organisation" if input.principal.access == "org-full"

allow["own"] := "the webhook was made for the user" if {
	input.principal.access == "user-full"
	input.resource.owner == input.principal.subject
}
