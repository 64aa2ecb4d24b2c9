# METADATA
# title: Who may manage API keys and OAuth apps?
# description: |
#   Administrators, in their own organisation. Others may do what a policy of
#   your own allows them. Actions have dotted names: key.create, key.revoke,
#   audit.read, app.register and so on; those of another family are nobody's.
package strikeplate.manage

# METADATA
# title: Administrators manage keys and read the audit log
allow["keys"] := "administrators manage the organisation's keys" if {
	input.actor.role == "admin"
	strings.any_prefix_match(input.action, ["key.", "audit."])
}

# METADATA
# title: Administrators manage OAuth apps
allow["apps"] := "administrators manage the organisation's OAuth apps" if {
	input.actor.role == "admin"
	startswith(input.action, "app.")
}

# METADATA
# title: Somebody must be signed in
deny["actor"] := "nobody is named who asks" if "" in {input.actor.user, input.actor.organisation}

# METADATA
# title: Organisations manage their own keys only
deny["organisation"] := "it does not belong to the actor's organisation" if {
	input.key.organisation != input.actor.organisation
}
