# want: 
# outcome: harmless
# Odd white space, which means nothing.
package	policies.scopes


deny["x"]	:=	"y"   if	{
	 	input.route.method == "never"
}
