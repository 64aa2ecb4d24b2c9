# METADATA
# title: Meetings shared by a channel or a team
# description: |
#   For organisations that switch members_see_shared off: a user then sees their
#   own meetings, and by these rules those of their channels and of open teams.
#   Register the relations viewers (the users of the channels that a meeting is
#   in) and teams (the teams that a meeting belongs to) besides the bundled
#   columns. open_teams is a setting: a list of teams.
package policies.meetings

# METADATA
# title: Members of a channel see its meetings
allow["channel"] := "the meeting is in one of the user's channels" if {
	input.principal.access == "user-full"
	input.resource.private == false
	input.principal.subject in input.resource.viewers
}

# METADATA
# title: Everybody sees the meetings of open teams
allow["open-team"] := "the meeting belongs to an open team" if {
	input.principal.access == "user-full"
	input.resource.private == false
	some team in input.principal.settings.open_teams
	team in input.resource.teams
}
