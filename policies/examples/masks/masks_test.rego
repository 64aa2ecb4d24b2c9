package policies.meetings_test

import data.policies.meetings

masks(level, private) := rules if {
	rules := meetings.mask with input as {"principal": {"access": level}, "resource": {"private": private}}
}

test_private_meetings_are_masked if {
	masks("user-full", true) == {"private": ["owner", "participants"]}
	masks("org-full", true) == {"private": ["owner", "participants"]}
}

test_other_meetings_need_no_mask if {
	masks("user-full", false) == {}
	masks("org-full", null) == {}
}

test_limited_levels_get_none if {
	every level in ["user-limited", "org-limited", "legacy", ""] { masks(level, true) == {} }
}
