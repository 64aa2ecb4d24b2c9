# METADATA
# title: The walls around every resource
# description: |
#   What these rules deny stays denied, whatever a resource's own policy, the
#   bundled one or yours, allows or masks. A row with an unknown (null)
#   organisation or environment belongs to nobody.
package strikeplate.resource

# METADATA
# title: Organisations see their own data only
deny["tenant"] := "it does not belong to the credential's organisation" if {
	input.resource.organisation != input.principal.organisation
}

deny["tenant"] := "it does not belong to the credential's organisation" if input.principal.organisation == ""

# METADATA
# title: Live and test data never mix
deny["environment"] := "it does not belong to the credential's environment" if {
	input.resource.environment != input.principal.environment
}

deny["environment"] := "it does not belong to the credential's environment" if {
	not input.principal.environment in {"live", "test"}
}

# METADATA
# title: A credential without a known access level sees nothing
deny["level"] := "the credential has no known access level" if {
	not input.principal.access in {"user-limited", "user-full", "org-limited", "org-full", "legacy"}
}

# METADATA
# title: A credential that acts as a user names the user
deny["subject"] := "the credential acts as a user and names none" if {
	input.principal.access in {"user-limited", "user-full"}
	input.principal.subject == ""
}
