package strikeplate.manage_test

import data.strikeplate.manage

admin := {"user": "ada", "organisation": "acme", "role": "admin", "scopes": []}

member := object.union(admin, {"user": "bob", "role": "member", "scopes": ["meetings:read"]})

key := {
	"id": "key_1", "organisation": "acme", "owner": "bob", "creator": "ada", "access": "user-full",
	"environment": "live", "scopes": ["meetings:read"], "format": "mvo", "name": "Zapier",
}

# What an action about no one key is asked with.
no_key := {
	"id": "", "organisation": "acme", "owner": "", "creator": "", "access": "",
	"environment": "", "scopes": [], "format": "", "name": "",
}

key_actions := {
	"key.list", "key.view", "key.create", "key.rename", "key.update", "key.rotate",
	"key.regenerate", "key.revoke", "key.revoke_all", "key.reveal", "audit.read",
}

decision(actor, action, about) := rules if {
	request := {"actor": actor, "action": action, "key": about, "client": {"address": ""}}
	allowed := object.keys(manage.allow) with input as request
	denied := object.keys(manage.deny) with input as request
	rules := {sprintf("allow %s", [id]) | some id in allowed} | {sprintf("deny %s", [id]) | some id in denied}
}

test_002_90a_administrators_create_view_and_revoke if {
	every action in key_actions {
		decision(admin, action, key) == {"allow keys"}
		decision(admin, action, no_key) == {"allow keys"}
	}
}

test_002_90a_others_do_not if {
	every action in key_actions | {"app.register"} {
		every role in ["member", "", "Admin", "admin ", "owner", "administrator"] {
			decision(object.union(member, {"role": role}), action, key) == set()
		}
	}
}

test_002_59_the_creator_has_no_rights if {
	created := object.union(key, {"creator": "bob", "owner": "", "access": "org-limited"})
	decision(member, "key.view", created) == set()
	decision(member, "key.revoke", created) == set()
}

test_002_64_the_creator_has_no_rights if {
	created := object.union(key, {"creator": "bob", "owner": "", "access": "org-full"})
	decision(member, "key.view", created) == set()
	decision(member, "key.reveal", created) == set()
}

test_002_71a_legacy_keys_are_viewed_and_revoked if {
	legacy := object.union(key, {"access": "legacy", "owner": ""})
	every action in ["key.list", "key.view", "key.revoke", "key.revoke_all"] {
		decision(admin, action, legacy) == {"allow keys"}
		decision(member, action, legacy) == set()
	}
}

test_000_26_administrators_register_oauth_apps if {
	every action in ["app.register", "app.list", "app.revoke"] {
		decision(admin, action, no_key) == {"allow apps"}
		decision(member, action, no_key) == set()
	}
}

test_actions_of_another_family_are_nobodys if {
	every action in ["", "key", "keys.list", "app", "billing.read", "KEY.LIST", " key.list"] {
		decision(admin, action, key) == set()
	}
}

test_nobody_is_named if {
	decision(object.union(admin, {"user": ""}), "key.list", key) == {"allow keys", "deny actor"}
	decision(object.union(admin, {"organisation": ""}), "key.list", object.union(key, {"organisation": ""})) == {"allow keys", "deny actor"}
}

test_another_organisation if {
	decision(object.union(admin, {"organisation": "globex"}), "key.view", key) == {"allow keys", "deny organisation"}
	decision(admin, "key.create", object.union(key, {"organisation": ""})) == {"allow keys", "deny organisation"}
	decision(admin, "app.register", object.union(no_key, {"organisation": "globex"})) == {"allow apps", "deny organisation"}
}

test_incomplete_input if {
	every broken in [{}, {"actor": admin}, {"action": "key.list"}, {"actor": {}, "action": "key.list", "key": key}] {
		count(manage.allow) == 0 with input as broken
	}
}
