# want: undefined function net.lookup_ip_addr
# outcome: refused
# Tells a name server who asks.
package policies.scopes

allow["x"] := "y" if count(net.lookup_ip_addr("example.com")) > 0
