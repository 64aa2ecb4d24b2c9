package policies.scopes_test

import data.policies.scopes

denied(pattern, address) := object.keys(rules) if {
	rules := scopes.deny with input as {"route": {"pattern": pattern}, "client": {"address": address}}
}

test_inside if {
	denied("GET /v1/export", "203.0.113.7") == set()
	denied("GET /v1/export", "2001:db8:1::7") == set()
}

test_outside if {
	every address in ["203.0.114.7", "2001:db8:2::7", "10.0.0.1", "::1", ""] {
		denied("GET /v1/export", address) == {"network"}
		denied("GET /v1/export/{id}", address) == {"network"}
	}
}

test_other_routes if denied("GET /v1/meetings", "198.51.100.1") == set()
