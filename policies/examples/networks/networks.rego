# METADATA
# title: Exports come from the company's networks
# description: |
#   The address is the one that your service takes for the client's: behind a
#   proxy it has to name the proxies that it trusts. Unknown addresses are
#   outside.
package policies.scopes

# METADATA
# title: Exports come from the company's networks
deny["network"] := "exports are for the company's networks" if {
	startswith(input.route.pattern, "GET /v1/export")
	not inside
}

inside if {
	input.client.address != ""
	some network in ["203.0.113.0/24", "2001:db8:1::/48"]
	net.cidr_contains(network, input.client.address)
}
