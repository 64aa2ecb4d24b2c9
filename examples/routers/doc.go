// Package routers protects the same API in four routers: net/http's own ServeMux,
// chi, gin and echo. Package grpcauth, below, does it for gRPC.
//
// What decides who calls stands around the router, whichever it is, because it is
// an http.Handler: [Service.Around]. Two things are the router's own, and each has
// its file here:
//
//   - what a route requires stands at the route, behind the router;
//   - the route's pattern is told to the request's Exchange, so that usage and
//     metrics count "GET /v1/meetings/{id}" and not the paths that clients send, and
//     policies know the route. strikeplate.Exchange.SetPattern is all it takes.
//
// None of these routers knows which routes nobody protected. Package scope's Routes,
// on a ServeMux, does, and refuses them; here a function that takes the requirement
// registers every route, and nothing else does.
package routers
