package strikeplate.meetings_test

import data.strikeplate.meetings
import data.strikeplate.resource

# The number in a test's name is the sentence of the published table of access
# levels that it holds the policy to.

# bob is asking; ada and eve are colleagues.
principal := {
	"kind": "key", "environment": "live", "access": "", "credential": "key_1", "lineage": "key_1",
	"client_id": "", "organisation": "acme", "subject": "", "plan": "team", "expires": "", "settings": {},
	"scopes": [],
}

meeting := {
	"organisation": "acme", "environment": "live", "owner": "ada",
	"private": false, "participants": ["ada", "eve"],
}

open_to_keys := {"private_via_api": true}

# Every kind of meeting that a rule tells apart.
shared := meeting

private := object.union(meeting, {"private": true})

owned := object.union(meeting, {"owner": "bob", "participants": []})

owned_private := object.union(owned, {"private": true})

attended := object.union(meeting, {"participants": ["eve", "bob"]})

attended_private := object.union(attended, {"private": true})

unowned := object.union(meeting, {"owner": null, "participants": []})

unowned_private := object.union(unowned, {"private": true})

everything := {
	"shared": shared, "private": private,
	"owned": owned, "owned_private": owned_private,
	"attended": attended, "attended_private": attended_private,
	"unowned": unowned, "unowned_private": unowned_private,
}

not_private := {"shared", "owned", "attended", "unowned"}

principal_of(level, subject, settings) := object.union(
	principal,
	{"access": level, "subject": subject, "settings": settings},
)

request(p, m) := {"principal": p, "kind": "meetings", "resource": m, "client": {"address": "192.0.2.1"}}

# rules returns what allows, unless something denies.
rules(p, m) := allowed if {
	count(meetings.deny) == 0 with input as request(p, m)
	count(resource.deny) == 0 with input as request(p, m)
	allowed := object.keys(meetings.allow) with input as request(p, m)
} else := set()

denials(p, m) := object.keys(denied) if denied := meetings.deny with input as request(p, m)

# seen returns the names of the meetings that a credential sees.
seen(p) := {name | some name, m in everything; count(rules(p, m)) > 0}

user_limited := principal_of("user-limited", "bob", {})

user_full := principal_of("user-full", "bob", {})

org_limited := principal_of("org-limited", "", {})

org_full := principal_of("org-full", "", open_to_keys)

legacy := principal_of("legacy", "", {})

# User, limited access.

test_002_27_user_limited_is_tied_to_one_user if {
	seen(user_limited) == {"owned", "attended"}
	seen(principal_of("user-limited", "ada", {})) == {"shared", "attended"}
	seen(principal_of("user-limited", "nobody", {})) == set()
}

test_002_29_user_limited_own_non_private if {
	rules(user_limited, owned) == {"user-limited"}
	rules(user_limited, attended) == {"user-limited"}
	rules(user_limited, shared) == set()
	rules(user_limited, unowned) == set()
}

test_002_30_user_limited_private_always_excluded if {
	denials(user_limited, owned_private) == {"private"}
	denials(user_limited, attended_private) == {"private"}
	rules(principal_of("user-limited", "bob", open_to_keys), owned_private) == set()
}

test_002_48a_user_limited_owner_is_one_designated_user if {
	every other in ["BOB", "bob ", "bo", "bob,ada", "*"] {
		seen(principal_of("user-limited", other, {})) == set()
	}
}

test_002_48b_user_limited_returns_only_that_users_meetings if seen(user_limited) == {"owned", "attended"}

test_002_48c_user_limited_private_always_excluded if {
	every name in ["private", "owned_private", "attended_private", "unowned_private"] {
		denials(user_limited, everything[name]) == {"private"}
	}
}

test_002_49_user_limited_without_an_owner_sees_nothing if {
	nobody := principal_of("user-limited", "", {})
	seen(nobody) == set()
	rules(nobody, object.union(owned, {"owner": ""})) == set()
	rules(nobody, object.union(owned, {"participants": [""]})) == set()
}

test_002_50_user_limited_never_sees_recordings_marked_private if {
	every settings in [{}, open_to_keys, {"members_see_shared": true}, {"private_via_api": true, "licensed_users": ["bob"]}] {
		seen(principal_of("user-limited", "bob", settings)) == {"owned", "attended"}
	}
}

# User, full access.

test_002_32_user_full_is_tied_to_one_user if {
	seen(user_full) == not_private | {"owned_private", "attended_private"}
	seen(principal_of("user-full", "ada", {})) == not_private | {"private", "attended_private"}
	seen(principal_of("user-full", "nobody", {})) == not_private
}

test_002_34_user_full_everything_that_user_sees_private_included if {
	rules(user_full, owned_private) == {"user-full-own"}
	rules(user_full, attended_private) == {"user-full-own"}
	rules(user_full, shared) == {"user-full-shared"}
	rules(user_full, unowned) == {"user-full-shared"}
	rules(user_full, owned) == {"user-full-own", "user-full-shared"}
}

test_002_34_user_full_not_what_that_user_does_not_see if {
	rules(user_full, private) == set()
	rules(user_full, unowned_private) == set()
	rules(principal_of("user-full", "bob", open_to_keys), private) == set()
}

test_002_34_user_full_sharing_is_the_organisations_choice if {
	seen(principal_of("user-full", "bob", {"members_see_shared": true})) == seen(user_full)
	every off in [false, null, "true", "", 1, 0, [], {}] {
		seen(principal_of("user-full", "bob", {"members_see_shared": off})) == {"owned", "owned_private", "attended", "attended_private"}
	}
}

test_002_53_user_full_returns_everything_private_included if {
	seen(user_full) == not_private | {"owned_private", "attended_private"}
}

test_002_54_user_full_without_an_owner_sees_nothing if {
	nobody := principal_of("user-full", "", {})
	seen(nobody) == set()
	rules(nobody, object.union(owned_private, {"owner": ""})) == set()
	rules(nobody, object.union(owned_private, {"participants": [""]})) == set()
}

test_002_55_user_full_all_meetings_the_user_may_view if {
	rules(user_full, attended_private) == {"user-full-own"}
	rules(user_full, owned_private) == {"user-full-own"}
	rules(user_full, shared) == {"user-full-shared"}
	rules(user_full, private) == set()
}

# Organisation, limited access.

test_002_37_org_limited_is_organisation_wide if seen(org_limited) == not_private

test_002_39_org_limited_all_non_private_private_excluded if {
	rules(org_limited, shared) == {"org-limited"}
	rules(org_limited, unowned) == {"org-limited"}
	denials(org_limited, private) == {"private"}
	denials(org_limited, unowned_private) == {"private"}
}

test_002_58a_org_limited_organisation_wide_and_non_private if seen(org_limited) == not_private

test_002_58b_org_limited_is_not_tied_to_a_user if {
	every subject in ["", "bob", "ada", "nobody"] {
		seen(principal_of("org-limited", subject, {})) == not_private
	}
}

test_002_59_org_limited_the_creator_carries_no_rights if {
	denials(principal_of("org-limited", "bob", {}), owned_private) == {"private"}
	denials(principal_of("org-limited", "bob", {}), attended_private) == {"private"}
}

test_002_60_org_limited_private_excluded if {
	every settings in [{}, open_to_keys, {"private_via_api": true, "licensed_users": ["ada", "bob"]}] {
		seen(principal_of("org-limited", "", settings)) == not_private
	}
}

# Organisation, full access.

test_002_42_org_full_is_organisation_wide if seen(org_full) == object.keys(everything)

test_002_44_org_full_private_as_settings_allow if {
	rules(org_full, private) == {"org-full-private"}
	rules(org_full, shared) == {"org-full", "org-full-private"}
	seen(principal_of("org-full", "", {"private_via_api": false})) == not_private
}

test_002_44_org_full_private_closed_while_nobody_has_said if {
	every unclear in [{}, {"private_via_api": null}, {"private_via_api": "true"}, {"private_via_api": 1}] {
		seen(principal_of("org-full", "", unclear)) == not_private
	}
}

test_002_44_org_full_private_as_licences_allow if {
	licensed := principal_of("org-full", "", {"private_via_api": true, "licensed_users": ["bob", "eve"]})
	seen(licensed) == not_private | {"owned_private"}
	closed := principal_of("org-full", "", {"private_via_api": false, "licensed_users": ["bob", "ada"]})
	seen(closed) == not_private
}

test_002_44_org_full_a_list_of_nobody_licenses_nobody if {
	every nobody in [[], null, "ada", false, {}, 0, [null, "ad", "adaa"]] {
		settings := {"private_via_api": true, "licensed_users": nobody}
		rules(principal_of("org-full", "", settings), private) == set()
	}
}

test_002_63_org_full_licences_and_policy_private_included if {
	seen(org_full) == object.keys(everything)
	seen(principal_of("org-full", "", {"private_via_api": true, "licensed_users": ["ada"]})) == not_private | {"private", "attended_private"}
}

test_002_64_org_full_the_creator_carries_no_rights if {
	closed := principal_of("org-full", "bob", {"private_via_api": false})
	rules(closed, owned_private) == set()
	rules(closed, attended_private) == set()
}

test_002_65_org_full_private_subject_to_licence_and_settings if {
	licensed := {"licensed_users": ["ada"]}
	rules(principal_of("org-full", "", object.union(open_to_keys, licensed)), private) == {"org-full-private"}
	rules(principal_of("org-full", "", object.union(open_to_keys, licensed)), owned_private) == set()
	rules(principal_of("org-full", "", licensed), private) == set()
}

test_002_67_org_full_is_the_widest_of_the_four if {
	every narrower in [user_limited, user_full, org_limited] {
		count(seen(narrower) - seen(org_full)) == 0
		count(seen(org_full) - seen(narrower)) > 0
	}
	count(seen(org_limited) - seen(principal_of("org-full", "", {}))) == 0
}

# Legacy.

test_002_69_legacy_is_a_level_of_its_own if {
	rules(legacy, shared) == {"legacy"}
	rules(legacy, private) == {"legacy"}
}

test_002_70_legacy_keys_keep_working_without_changes if {
	every settings in [{}, {"private_via_api": false}, {"licensed_users": []}, {"members_see_shared": false}] {
		seen(principal_of("legacy", "", settings)) == object.keys(everything)
	}
}

test_002_71b_legacy_an_owner_would_change_nothing if {
	every subject in ["", "bob", "nobody"] {
		seen(principal_of("legacy", subject, {})) == object.keys(everything)
	}
}

test_002_72_legacy_reads_all_meetings_of_its_organisation if {
	seen(legacy) == object.keys(everything)
	every m in everything {
		rules(legacy, object.union(m, {"organisation": "globex"})) == set()
		rules(legacy, object.union(m, {"environment": "test"})) == set()
	}
}

# What no level changes.

all_levels := [user_limited, user_full, org_limited, org_full, legacy]

test_no_level_sees_another_organisation if {
	every p in all_levels {
		every m in everything {
			rules(p, object.union(m, {"organisation": "globex"})) == set()
			rules(p, object.union(m, {"organisation": null})) == set()
			rules(object.union(p, {"organisation": ""}), object.union(m, {"organisation": ""})) == set()
		}
	}
}

test_sandbox_and_live_never_mix if {
	every p in all_levels {
		every m in everything {
			rules(p, object.union(m, {"environment": "test"})) == set()
			rules(p, object.union(m, {"environment": null})) == set()
			rules(object.union(p, {"environment": "test"}), m) == set()
		}
	}
	test_bob := object.union(user_full, {"environment": "test"})
	rules(test_bob, object.union(owned, {"environment": "test"})) == {"user-full-own", "user-full-shared"}
}

test_002_4_no_level_sees_nothing if {
	every level in ["", "root", "org-fuller"] {
		seen(principal_of(level, "bob", open_to_keys)) == set()
	}
}

# Twice: nothing allows them, and a denial would hold if something did.
test_limited_levels_are_locked_twice if {
	every p in [user_limited, org_limited] {
		every name in {"private", "owned_private", "attended_private", "unowned_private"} {
			count(meetings.allow) == 0 with input as request(p, everything[name])
			denials(p, everything[name]) == {"private"}
		}
	}
}

# Unknown privacy is private: only those who see private meetings see it.
test_unknown_privacy_counts_as_private if {
	unclear := object.union(meeting, {"private": null})
	denials(user_limited, object.union(owned, {"private": null})) == {"private"}
	denials(org_limited, unclear) == {"private"}
	rules(user_full, unclear) == set()
	rules(user_full, object.union(attended, {"private": null})) == {"user-full-own"}
	rules(principal_of("org-full", "", {}), unclear) == set()
	rules(org_full, unclear) == {"org-full-private"}
	rules(legacy, unclear) == {"legacy"}
}

test_a_meeting_without_owner_is_nobodys if {
	rules(user_limited, unowned) == set()
	rules(user_full, unowned_private) == set()
	listed := principal_of("org-full", "", {"private_via_api": true, "licensed_users": ["ada"]})
	rules(listed, unowned_private) == set()
}
