package policies.scopes_test

import data.policies.scopes

denied(pattern, plan) := object.keys(rules) if {
	rules := scopes.deny with input as {"route": {"pattern": pattern}, "principal": {"plan": plan}}
}

test_part_of_the_plan if {
	every plan in ["business", "enterprise"] { denied("GET /v1/export", plan) == set() }
	every plan in ["team", "business", "enterprise"] { denied("POST /v1/webhooks", plan) == set() }
}

test_not_part_of_the_plan if {
	denied("GET /v1/export", "team") == {"plan"}
	denied("GET /v1/export", "") == {"plan"}
	denied("POST /v1/webhooks", "free") == {"plan"}
}

test_routes_of_every_plan if {
	denied("GET /v1/meetings", "") == set()
	denied("GET /v1/meetings", "free") == set()
}
