package policies.meetings_test

import data.policies.meetings
import data.strikeplate.meetings as bundled

# eve's organisation shares by channel and team only.
eve := {
	"kind": "key", "environment": "live", "access": "user-full", "credential": "key_1", "lineage": "key_1",
	"client_id": "", "organisation": "acme", "subject": "eve", "plan": "", "expires": "", "scopes": [],
	"settings": {"members_see_shared": false, "open_teams": ["support"]},
}

meeting := {
	"organisation": "acme", "environment": "live", "owner": "ada", "private": false, "participants": ["ada"],
	"viewers": ["ada", "eve"], "teams": ["sales"],
}

rules(p, changes) := object.keys(allowed) if {
	allowed := meetings.allow with input as {"principal": p, "resource": object.union(meeting, changes)}
}

test_a_channel_shares if rules(eve, {}) == {"channel"}

test_an_open_team_shares if rules(eve, {"viewers": [], "teams": ["sales", "support"]}) == {"open-team"}

test_others_do_not if rules(eve, {"viewers": ["ada"], "teams": ["sales"]}) == set()

test_private_meetings_stay_private if {
	rules(eve, {"private": true, "teams": ["support"]}) == set()
	rules(eve, {"private": null, "teams": ["support"]}) == set()
}

test_without_the_setting_no_team_is_open if {
	bare := json.remove(eve, ["settings/open_teams"])
	rules(bare, {"viewers": [], "teams": ["support"]}) == set()
}

test_other_levels_are_not_widened if {
	every level in ["user-limited", "org-limited", "org-full", "legacy", ""] {
		rules(object.union(eve, {"access": level}), {"teams": ["support"]}) == set()
	}
}

# What the bundled policy says of the same meeting: nothing, since sharing is off.
test_the_bundled_policy_alone if {
	count(bundled.allow) == 0 with input as {"principal": eve, "resource": meeting}
}
