# METADATA
# title: Members manage the keys that act as themselves
# description: |
#   A list is about no one key; each key on it is asked about as key.view. The
#   library sees to it that nobody grants scopes that they don't have, and that
#   administrators alone hold keys that act for others.
package policies.manage

# METADATA
# title: Members manage their own keys
allow["own"] := "the key acts as the actor" if {
	input.actor.role == "member"
	input.key.owner == input.actor.user
	input.key.access in {"user-limited", "user-full"}
	input.action in {
		"key.create", "key.view", "key.rename", "key.update",
		"key.rotate", "key.regenerate", "key.revoke",
	}
}

# METADATA
# title: Members open the list
allow["own-list"] := "members see their own keys in the list" if {
	input.actor.role == "member"
	input.action == "key.list"
}
