# METADATA
# title: Exports run in office hours
# description: |
#   Needs time.now_ns, which reads the clock: your service has to allow it by
#   name, and no decision on a route is remembered then. The zone comes from the
#   machine's time zone database; without one exports are answered 503.
package policies.scopes

# METADATA
# title: Exports run in office hours
deny["office-hours"] := "exports run on weekdays from 08:00 to 18:00, Berlin time" if {
	input.route.pattern in {"GET /v1/export", "POST /v1/export"}
	not open
}

open if {
	here := [time.now_ns(), "Europe/Berlin"]
	not time.weekday(here) in {"Saturday", "Sunday"}
	[hour, _, _] := time.clock(here)
	hour >= 8
	hour < 18
}
