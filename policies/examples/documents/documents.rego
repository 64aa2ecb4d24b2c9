# METADATA
# title: Documents, a resource of your own
# description: |
#   Register the columns organisation, environment, owner, state (draft or
#   published) and confidential, and the relation readers. The walls of
#   strikeplate.resource hold for documents as for all resources.
package policies.documents

# METADATA
# title: Writers see what they wrote
allow["own"] := "the user wrote the document" if {
	input.principal.access in {"user-limited", "user-full"}
	input.resource.owner == input.principal.subject
	visible_to_level
}

# METADATA
# title: Readers see what was published to them
allow["reader"] := "the document was published to the user" if {
	input.principal.access in {"user-limited", "user-full"}
	input.resource.state == "published"
	input.principal.subject in input.resource.readers
	visible_to_level
}

# METADATA
# title: Organisation-wide credentials see what was published
allow["published"] := "the document is published" if {
	input.principal.access in {"org-limited", "org-full", "legacy"}
	input.resource.state == "published"
	visible_to_level
}

# METADATA
# title: Free plans see no drafts
deny["draft"] := "drafts are not part of the plan" if {
	input.principal.plan == "free"
	input.resource.state != "published"
}

# Limited levels see nothing confidential, and nothing that might be.
visible_to_level if input.resource.confidential == false

visible_to_level if input.principal.access in {"user-full", "org-full", "legacy"}
