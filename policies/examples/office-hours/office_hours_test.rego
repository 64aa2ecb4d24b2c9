package policies.scopes_test

import data.policies.scopes

denied(pattern, moment) := object.keys(rules) if {
	at := time.parse_rfc3339_ns(moment)
	rules := scopes.deny with input as {"route": {"pattern": pattern}} with time.now_ns as at
}

test_in_office_hours if {
	denied("GET /v1/export", "2026-03-03T08:00:00+01:00") == set()
	denied("POST /v1/export", "2026-03-03T17:59:59+01:00") == set()
}

test_at_night if {
	denied("GET /v1/export", "2026-03-03T07:59:59+01:00") == {"office-hours"}
	denied("POST /v1/export", "2026-03-03T18:00:00+01:00") == {"office-hours"}
}

test_at_the_weekend if {
	denied("GET /v1/export", "2026-03-07T12:00:00+01:00") == {"office-hours"}
	denied("GET /v1/export", "2026-03-08T12:00:00+01:00") == {"office-hours"}
}

test_in_summer_time if {
	denied("GET /v1/export", "2026-07-07T06:00:00Z") == set()
	denied("GET /v1/export", "2026-07-07T16:00:00Z") == {"office-hours"}
}

test_other_routes_never_close if denied("GET /v1/meetings", "2026-03-08T03:00:00+01:00") == set()
