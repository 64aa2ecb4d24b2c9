package policies.manage_test

import data.policies.manage
import data.strikeplate.manage as bundled

request(role, action, key) := {
	"actor": {"user": "bob", "organisation": "acme", "role": role, "scopes": []},
	"action": action,
	"key": object.union(
		{
			"id": "key_1", "organisation": "acme", "owner": "bob", "creator": "ada", "access": "user-full",
			"environment": "live", "scopes": [], "format": "mvo", "name": "Zapier",
		},
		key,
	),
	"client": {"address": ""},
}

allowed(role, action, key) := object.keys(rules) if {
	rules := manage.allow with input as request(role, action, key)
}

test_members_manage_their_own if {
	every action in [
		"key.create", "key.view", "key.rename", "key.update",
		"key.rotate", "key.regenerate", "key.revoke",
	] {
		allowed("member", action, {}) == {"own"}
		allowed("member", action, {"access": "user-limited"}) == {"own"}
	}
}

test_members_open_the_list if allowed("member", "key.list", {"id": "", "owner": "", "access": ""}) == {"own-list"}

test_not_those_of_others if {
	every key in [{"owner": "ada"}, {"owner": ""}, {"owner": "", "creator": "bob"}] {
		allowed("member", "key.revoke", key) == set()
	}
}

test_not_keys_of_the_whole_organisation if {
	every level in ["org-limited", "org-full", "legacy", ""] {
		allowed("member", "key.create", {"access": level}) == set()
	}
}

test_not_every_action if {
	every action in ["key.reveal", "key.revoke_all", "audit.read", "app.register", ""] {
		allowed("member", action, {}) == set()
	}
}

test_guests_manage_nothing if {
	every action in ["key.list", "key.view", "key.create"] { allowed("guest", action, {}) == set() }
}

# The bundled denials stand over these permissions.
test_another_organisation_stays_closed if {
	object.keys(bundled.deny) == {"organisation"} with input as request("member", "key.view", {"organisation": "globex"})
}
