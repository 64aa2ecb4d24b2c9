package strikeplate.resource_test

import data.strikeplate.resource

principal := {
	"kind": "key", "environment": "live", "access": "org-full", "credential": "key_1", "lineage": "key_1",
	"client_id": "", "organisation": "acme", "subject": "", "plan": "team", "expires": "", "settings": {},
	"scopes": [],
}

row := {"organisation": "acme", "environment": "live"}

levels := ["user-limited", "user-full", "org-limited", "org-full", "legacy"]

# walls returns the denials for a principal and a row that differ as given from
# ones that belong together.
walls(about_principal, about_row) := object.keys(denied) if {
	denied := resource.deny with input as {
		"principal": object.union(principal, about_principal), "kind": "anything",
		"resource": object.union(row, about_row), "client": {"address": ""},
	}
}

test_what_belongs_together_meets_no_wall if {
	every level in levels {
		walls({"access": level, "subject": "bob"}, {}) == set()
	}
	every environment in ["live", "test"] {
		walls({"environment": environment}, {"environment": environment}) == set()
	}
}

test_tenant if {
	walls({}, {"organisation": "globex"}) == {"tenant"}
	walls({"organisation": "Acme"}, {}) == {"tenant"}
	walls({}, {"organisation": "acme "}) == {"tenant"}
}

test_a_row_without_organisation if {
	walls({}, {"organisation": null}) == {"tenant"}
	walls({}, {"organisation": ""}) == {"tenant"}
}

test_a_credential_without_organisation if {
	walls({"organisation": ""}, {"organisation": ""}) == {"tenant"}
	walls({"organisation": ""}, {"organisation": null}) == {"tenant"}
	walls({"organisation": ""}, {}) == {"tenant"}
}

test_environments_never_mix if {
	walls({"environment": "test"}, {"environment": "live"}) == {"environment"}
	walls({"environment": "live"}, {"environment": "test"}) == {"environment"}
	walls({"environment": "live"}, {"environment": "Live"}) == {"environment"}
}

test_a_row_without_environment if {
	walls({}, {"environment": null}) == {"environment"}
	walls({}, {"environment": ""}) == {"environment"}
}

test_a_credential_without_environment if {
	walls({"environment": ""}, {"environment": ""}) == {"environment"}
	walls({"environment": "staging"}, {"environment": "staging"}) == {"environment"}
	walls({"environment": ""}, {"environment": null}) == {"environment"}
}

test_002_4_an_unknown_level_sees_nothing if {
	every level in ["", "root", "org", "ORG-FULL", "org-full ", "user-limited,org-full"] {
		walls({"access": level, "subject": "bob"}, {}) == {"level"}
	}
}

test_002_49_owner_required if {
	walls({"access": "user-limited", "subject": ""}, {}) == {"subject"}
	walls({"access": "user-limited", "subject": "bob"}, {}) == set()
}

test_002_54_owner_required if {
	walls({"access": "user-full", "subject": ""}, {}) == {"subject"}
	walls({"access": "user-full", "subject": "bob"}, {}) == set()
}

test_002_58b_organisation_levels_name_no_user if {
	every level in ["org-limited", "org-full", "legacy"] {
		walls({"access": level, "subject": ""}, {}) == set()
	}
}

test_every_wall_at_once if {
	walls({"access": "", "environment": "", "organisation": ""}, {}) == {"environment", "level", "tenant"}
	walls({"access": "user-full"}, {"organisation": null, "environment": null}) == {"environment", "subject", "tenant"}
}
