# want: undefined function strings.render_template
# outcome: refused
# Loops in a template; no deadline reaches into them.
package policies.scopes

deny["x"] := "y" if strings.render_template("{{range .a}}{{range $.a}}{{range $.a}}x{{end}}{{end}}{{end}}", {"a": numbers.range(1, 600)}) == ""
