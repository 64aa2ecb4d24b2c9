# METADATA
# title: Which meetings does a credential see?
# description: |
#   Five access levels, as published for Avoma's API keys. The walls of
#   strikeplate.resource (organisation, environment, level, user) hold besides.
#   A meeting whose privacy is unknown (null) counts as private.
package strikeplate.meetings

# METADATA
# title: user-limited, the user's own meetings that are not private
allow["user-limited"] := "the user owns or attends the meeting, and it is not private" if {
	input.principal.access == "user-limited"
	input.resource.private == false
	concerns_user
}

# METADATA
# title: user-full, the user's own meetings, private ones too
allow["user-full-own"] := "the user owns or attends the meeting" if {
	input.principal.access == "user-full"
	concerns_user
}

# METADATA
# title: user-full, what the organisation shares with the user
# description: |
#   Setting members_see_shared. Absent or true, members see the organisation's
#   meetings that are not private. Any other value: their own only.
allow["user-full-shared"] := "the meeting is shared in the user's organisation" if {
	input.principal.access == "user-full"
	input.resource.private == false
	not sharing_is_off
}

# METADATA
# title: org-limited, the organisation's meetings that are not private
allow["org-limited"] := "the meeting is not private" if {
	input.principal.access == "org-limited"
	input.resource.private == false
}

# METADATA
# title: org-full, the organisation's meetings
allow["org-full"] := "the meeting is not private" if {
	input.principal.access == "org-full"
	input.resource.private == false
}

# METADATA
# title: org-full, private meetings as far as settings and licences go
# description: |
#   Settings private_via_api and licensed_users. Private meetings are visible if
#   private_via_api is true (absent: they are not), and of those the ones whose
#   owner is licensed (licensed_users absent: everybody is).
allow["org-full-private"] := "the organisation opens private meetings to its API keys" if {
	input.principal.access == "org-full"
	input.principal.settings.private_via_api == true
	owner_is_licensed
}

# METADATA
# title: legacy, every meeting of the organisation
allow["legacy"] := "keys from before access levels see all meetings" if input.principal.access == "legacy"

# METADATA
# title: Limited levels never see private meetings
# description: A denial, so that no policy of your own opens them by mistake.
deny["private"] := "the meeting is private, and the credential's level excludes private ones" if {
	input.principal.access in {"user-limited", "org-limited"}
	input.resource.private != false
}

concerns_user if input.resource.owner == input.principal.subject

concerns_user if input.principal.subject in input.resource.participants

# True for each present value but true, and not for an absent one.
sharing_is_off if input.principal.settings.members_see_shared != true

owner_is_licensed if not licences_are_listed

owner_is_licensed if input.resource.owner in input.principal.settings.licensed_users

# Present, whatever it holds: a null or a mistyped list licenses nobody.
licences_are_listed if _ = input.principal.settings.licensed_users
