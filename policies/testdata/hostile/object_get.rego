# want: 
# outcome: harmless
# Reads a document by a path that is data: such decisions are not remembered.
package policies.scopes

deny["x"] := "y" if object.get(input, ["principal", "subject"], "") == "never"
