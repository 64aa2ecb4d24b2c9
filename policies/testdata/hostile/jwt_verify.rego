# want: undefined function io.jwt.decode_verify
# outcome: refused
# Reads the clock, and fetches keys.
package policies.scopes

allow["x"] := "y" if io.jwt.decode_verify(input.client.address, {"cert": "https://example.com/keys"})[0]
