package grpcauth

import (
	"errors"
	"net/http"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/strikeplate/strikeplate"
)

// Domain is the ErrorInfo's of all refusals.
const Domain = "strikeplate"

// Status is what a call is told of err: of a *strikeplate.Error its message, with its
// code as the reason of an ErrorInfo, and when to try again in a RetryInfo. Anything
// else is a check that could not be made, told as Unavailable without its text.
//
// gRPC has no code of its own for a subscription that lapsed; the reason
// subscription_required tells it from other permissions that are denied.
func Status(err error) *status.Status {
	var e *strikeplate.Error
	if !errors.As(err, &e) || e == nil {
		e = &strikeplate.Error{Status: http.StatusServiceUnavailable, Code: strikeplate.CodeUnavailable, RetryAfter: time.Second,
			Message: "The call could not be checked. Try again shortly."}
	}
	told := status.New(code(e.Status), e.Message)
	info := &errdetails.ErrorInfo{Reason: e.Code, Domain: Domain, Metadata: map[string]string{}}
	if missing := e.Params["missing"]; missing != "" {
		info.Metadata["missing_scopes"] = missing
	}
	detailed, err := told.WithDetails(info)
	if err == nil && (e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable) {
		detailed, err = detailed.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(max(e.RetryAfter, time.Second))})
	}
	if err != nil {
		return told
	}
	return detailed
}

func code(status int) codes.Code {
	switch status {
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusPaymentRequired, http.StatusForbidden:
		return codes.PermissionDenied
	case http.StatusTooManyRequests:
		return codes.ResourceExhausted
	}
	return codes.Unavailable
}
