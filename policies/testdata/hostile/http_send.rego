# want: undefined function http.send
# outcome: refused
# Reads the cloud's metadata service.
package policies.scopes

allow["x"] := "y" if http.send({"method": "GET", "url": "http://169.254.169.254/latest/meta-data"}).status_code == 200
