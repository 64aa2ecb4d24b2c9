package routers

import (
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/scope"
)

// Echo serves the API by echo, whose handlers return errors: a *strikeplate.Error
// among them is told in the service's dialect.
func (s *Service) Echo() http.Handler {
	router := echo.New()
	router.HTTPErrorHandler = echoErrors
	route := func(method, pattern string, need scope.Requirement, serve func(w http.ResponseWriter, r *http.Request, id string)) {
		router.Add(method, pattern, func(c echo.Context) error {
			serve(c.Response(), c.Request(), c.Param("id"))
			return nil
		}, echoRequire(s.authorizer, need))
	}
	route(http.MethodGet, "/v1/meetings/:id", read, meeting)
	route(http.MethodDelete, "/v1/meetings/:id", write, nothing)
	return s.Around(router)
}

// echoRequire is scope.Require as one of echo's middlewares.
func echoRequire(a scope.Authorizer, need scope.Requirement) echo.MiddlewareFunc {
	require := scope.Require(a, need)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) (err error) {
			if !elements(c) {
				return echo.ErrNotFound
			}
			tell(c.Request(), c.Path())
			require(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				c.SetRequest(r)
				err = next(c)
			})).ServeHTTP(c.Response(), c.Request())
			return err // nil where it was refused: the client is told already
		}
	}
}

// elements reports whether each parameter is one element of the path. In echo the
// last one of a route takes all that follows, slashes too, so that /meetings/:id
// would also be the route of /meetings/1/transcript.
func elements(c echo.Context) bool {
	for i, name := range c.ParamNames() {
		if name != "*" && strings.Contains(c.ParamValues()[i], "/") {
			return false
		}
	}
	return true
}

// echoErrors tells what handlers return. Anything but a refusal and echo's own
// errors is 503, without its text.
func echoErrors(err error, c echo.Context) {
	var own *echo.HTTPError
	switch errors.As(err, &own); {
	case own == nil:
		strikeplate.Fail(c.Response(), c.Request(), err)
	case own.Code == http.StatusNotFound:
		notFound(c.Response(), c.Request())
	case own.Code == http.StatusMethodNotAllowed:
		notAllowed(c.Response(), c.Request())
	default:
		strikeplate.Fail(c.Response(), c.Request(), &strikeplate.Error{Status: own.Code, Code: "refused", Message: http.StatusText(own.Code) + "."})
	}
}
