package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/strikeplate/strikeplate"
)

// proxy passes requests on to the service, with who calls and without the key.
func proxy(upstream *url.URL) http.Handler {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	return &httputil.ReverseProxy{
		// Rewrite, since what Director sets a client can have removed: by naming it
		// in Connection.
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(upstream)
			strip(p.Out.Header)
			p.Out.Trailer = nil
			p.SetXForwarded()
			if client := strikeplate.ExchangeFrom(p.In.Context()).Client(); client.IsValid() {
				p.Out.Header.Set("X-Forwarded-For", client.String())
			}
			identify(p.Out.Header, p.In)
		},
		Transport: &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute,
			ResponseHeaderTimeout: time.Minute, DisableCompression: true},
		ModifyResponse: ownFields,
		ErrorHandler:   unreached,
		FlushInterval:  -1, // streams go through as they come
	}
}

// ownFields drops those of the service's that the gateway has set already.
func ownFields(r *http.Response) error {
	for name := range r.Header {
		switch normal(name) {
		case "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "ratelimit", "ratelimit-policy", "x-request-id":
			delete(r.Header, name)
		}
		if ours(name) {
			delete(r.Header, name)
		}
	}
	return nil
}

// unreached tells why there is no answer of the service's.
func unreached(w http.ResponseWriter, r *http.Request, err error) {
	var ended *strikeplate.Error
	if errors.As(context.Cause(r.Context()), &ended) { // the key was revoked meanwhile
		strikeplate.Fail(w, r, ended)
		return
	}
	strikeplate.Fail(w, r, &strikeplate.Error{Status: http.StatusBadGateway, Code: "bad_gateway", Err: err,
		Message: "The service did not answer. Try again shortly."})
}
