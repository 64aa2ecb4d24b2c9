// Package demo is what the example servers share besides their data: flags, a
// file of credentials, people who sign in, and controls for scripts that move the
// clock, end a subscription or deactivate a user.
//
// None of it belongs into a real service, which has accounts, sessions and
// secrets of its own already. What a real service does is in each example's
// main.go.
//
//	func main() { demo.Main(demo.Product{Name: "avoma", Run: run}) }
//
//	func run(ctx context.Context, site *demo.Site) error {
//		… // formats, keys, policies, limits
//		err := site.Seed(ctx, func(ctx context.Context) (demo.Minted, error) { … })
//		…
//		return site.Serve(ctx, handler)
//	}
//
// # Security notes
//
// Whoever reaches the demo's pages can sign in as anybody, without a password. So
// a server refuses to listen on anything but loopback unless -insecure-demo says
// that it may. The controls answer loopback alone even then, and only JSON that
// no page of another site can send. No credential is in the program: secrets are
// made when a database is filled, and written to a file that its owner alone reads.
package demo
