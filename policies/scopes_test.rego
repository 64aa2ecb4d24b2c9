package strikeplate.scopes_test

import data.strikeplate.scopes

# The tests that carry a number after "test" are sentences of the pages whose
# promises these policies keep; the number is the sentence's.

principal := {
	"kind": "key", "environment": "live", "access": "org-full", "credential": "key_1", "lineage": "key_1",
	"client_id": "", "organisation": "acme", "subject": "", "plan": "team", "expires": "", "settings": {},
	"scopes": ["meetings:read", "summaries:read"],
}

route := {
	"method": "GET", "pattern": "GET /v1/meetings",
	"all_of": [], "any_of": [], "access": [], "environment": "",
}

# decision merges what differs into a request that asks for nothing, and returns
# every rule that holds: the denials, else the permissions.
decision(about_principal, about_route) := rules if {
	request := {
		"principal": object.union(principal, about_principal),
		"route": object.union(route, about_route),
		"client": {"address": "192.0.2.1"},
	}
	allowed := object.keys(scopes.allow) with input as request
	denied := object.keys(scopes.deny) with input as request
	rules := {sprintf("allow %s", [id]) | some id in allowed} | {sprintf("deny %s", [id]) | some id in denied}
}

granted := {"allow granted"}

test_route_without_requirements if {
	decision({}, {}) == granted
	decision({"scopes": [], "access": "", "environment": ""}, {}) == granted
}

test_all_of if {
	decision({}, {"all_of": ["meetings:read"]}) == granted
	decision({}, {"all_of": ["meetings:read", "summaries:read"]}) == granted
	decision({}, {"all_of": ["meetings:read", "meetings:write"]}) == {"deny missing"}
	decision({"scopes": []}, {"all_of": ["meetings:read"]}) == {"deny missing"}
}

test_any_of if {
	decision({}, {"any_of": ["transcripts:read", "meetings:read"]}) == granted
	decision({}, {"any_of": ["transcripts:read", "meetings:write"]}) == {"deny missing"}
	decision({"scopes": []}, {"any_of": ["meetings:read"]}) == {"deny missing"}
}

test_all_of_and_any_of if {
	decision({}, {"all_of": ["meetings:read"], "any_of": ["summaries:read", "notes:read"]}) == granted
	decision({}, {"all_of": ["meetings:read"], "any_of": ["notes:read"]}) == {"deny missing"}
	decision({}, {"all_of": ["notes:read"], "any_of": ["meetings:read"]}) == {"deny missing"}
}

test_scopes_are_compared_whole if {
	every near in ["meetings:*", "*", "meetings", "meetings:READ", "meetings:read ", "meetings:readall", ""] {
		decision({"scopes": [near]}, {"all_of": ["meetings:read"]}) == {"deny missing"}
		decision({"scopes": [near]}, {"any_of": ["meetings:read"]}) == {"deny missing"}
	}
}

test_environment if {
	decision({"environment": "test"}, {"environment": "test"}) == granted
	decision({"environment": "live"}, {"environment": "live"}) == granted
	decision({"environment": "test"}, {"environment": "live"}) == {"deny environment"}
	decision({"environment": "live"}, {"environment": "test"}) == {"deny environment"}
	decision({"environment": ""}, {"environment": "live"}) == {"deny environment"}
	decision({"environment": "test"}, {"environment": ""}) == granted
}

test_access if {
	decision({}, {"access": ["org-full"]}) == granted
	decision({}, {"access": ["legacy", "org-full"]}) == granted
	decision({}, {"access": ["org-limited", "legacy"]}) == {"deny access"}
	decision({"access": "root"}, {"access": ["org-full"]}) == {"deny access"}
}

test_4_an_empty_level_never_passes if {
	decision({"access": ""}, {"access": ["org-full"]}) == {"deny access"}
	decision({"access": ""}, {"access": [""]}) == {"deny access"}
}

# Avoma's keys have no scopes: its routes require a level, and none is implied.
test_002_72b_routes_that_require_a_level if {
	levels := ["user-limited", "user-full", "org-limited", "org-full", "legacy"]
	every level in levels {
		decision({"scopes": [], "access": level}, {"access": levels}) == granted
	}
	every scopes in [[], ["meetings:read"], ["org-full"]] {
		decision({"scopes": scopes, "access": ""}, {"access": levels}) == {"deny access"}
	}
}

# Of several things that are wrong the first is told: environment, access, scopes.
test_one_reason_at_a_time if {
	all := {"environment": "test", "access": ["legacy"], "all_of": ["notes:read"], "any_of": ["notes:write"]}
	decision({}, all) == {"deny environment"}
	decision({"access": "legacy"}, all) == {"deny environment"}
	decision({"environment": "test"}, all) == {"deny access"}
	decision({"environment": "test", "access": "legacy"}, all) == {"deny missing"}
	decision({"environment": "test", "access": "legacy", "scopes": ["notes:read"]}, all) == {"deny missing"}
	decision({"environment": "test", "access": "legacy", "scopes": ["notes:read", "notes:write"]}, all) == granted
}

# An incomplete document, which the engine never makes, is not allowed.
test_incomplete_input if {
	needs := object.union(route, {"all_of": ["meetings:read"]})
	every broken in [{}, {"principal": principal}, {"route": needs}, {"principal": {}, "route": needs}] {
		count(scopes.allow) == 0 with input as broken
	}
}
