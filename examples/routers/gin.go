package routers

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/strikeplate/strikeplate/scope"
)

// Gin serves the API by gin, whose engine is an http.Handler like any other.
func (s *Service) Gin() http.Handler {
	gin.SetMode(gin.ReleaseMode) // else it prints every route
	router := gin.New()
	router.HandleMethodNotAllowed = true
	route := func(method, pattern string, need scope.Requirement, serve func(w http.ResponseWriter, r *http.Request, id string)) {
		router.Handle(method, pattern, ginRequire(s.authorizer, need), func(c *gin.Context) { serve(c.Writer, c.Request, c.Param("id")) })
	}
	route(http.MethodGet, "/v1/meetings/:id", read, meeting)
	route(http.MethodDelete, "/v1/meetings/:id", write, nothing)
	router.NoRoute(func(c *gin.Context) { notFound(c.Writer, c.Request) })
	router.NoMethod(func(c *gin.Context) { notAllowed(c.Writer, c.Request) })
	return s.Around(router)
}

// ginRequire is scope.Require as one of gin's handlers: what it refuses goes no
// further.
func ginRequire(a scope.Authorizer, need scope.Requirement) gin.HandlerFunc {
	require := scope.Require(a, need)
	return func(c *gin.Context) {
		tell(c.Request, c.FullPath())
		passed := false
		require(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			passed = true
			c.Request = r
			c.Next()
		})).ServeHTTP(c.Writer, c.Request)
		if !passed {
			c.Abort()
		}
	}
}
