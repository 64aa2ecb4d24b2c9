/*
Gateway protects a service that isn't written in Go, as an example of how: it
checks API keys, scopes and limits in front of the service, and tells it in header
fields who calls.

	go run ./gateway                                    with a service of its own, to look at
	go run ./gateway -upstream http://127.0.0.1:3000 -routes routes.txt

A file says what routes there are, and what each requires. What is not in it is
not there, whatever the service thinks:

	# method and path, as net/http's ServeMux takes them; then scopes
	GET     /v1/meetings/{id}     meetings:read
	DELETE  /v1/meetings/{id}     meetings:write
	GET     /v1/summaries         summaries:read|meetings:read     one of these
	GET     /v1/me                any                              any valid key
	GET     /status               public                           no key

The service reads these fields. All of them are there in every request, an empty
one where there is nothing to tell, so it needs no key, no library and no rules of
its own:

	X-Auth-Kind, X-Auth-Credential, X-Auth-Organisation, X-Auth-Subject, X-Auth-Access,
	X-Auth-Environment, X-Auth-Scopes, X-Auth-Plan, X-Auth-Client-Id, X-Request-Id

There are two ways to stand in front of it.

# As a reverse proxy

Clients talk to the gateway, and the gateway to the service. Let nobody else reach
the service: listen on loopback, on a Unix socket, or in a network of its own.

# Beside a proxy that you have

The proxy asks GET /-/auth before it passes a request on (Envoy: /-/envoy and the
request's path), and puts the fields that it is answered into the request. Name
the proxy's address with -proxies; nobody else may ask. The request's own address is
believed from there alone.

nginx (auth_request, with the module of that name). It can tell a client only 401
and 403, and turns 402, 429 and 503 into 500; @refused mends that, with the body
and fields that the gateway sends along:

	location / {
	    auth_request      /-/auth;
	    auth_request_set  $auth_status       $upstream_status;
	    auth_request_set  $auth_refusal      $upstream_http_x_auth_refusal;
	    auth_request_set  $auth_challenge    $upstream_http_www_authenticate;
	    auth_request_set  $auth_retry        $upstream_http_retry_after;
	    auth_request_set  $auth_limit        $upstream_http_x_ratelimit_limit;
	    auth_request_set  $auth_remaining    $upstream_http_x_ratelimit_remaining;
	    auth_request_set  $auth_reset        $upstream_http_x_ratelimit_reset;
	    auth_request_set  $auth_organisation $upstream_http_x_auth_organisation;
	    …                                                  # one for each field
	    error_page        400 401 402 403 404 405 429 500 503 = @refused;

	    proxy_set_header  X-Auth-Organisation $auth_organisation;
	    …                                                  # every field, each time
	    proxy_set_header  Authorization "";
	    proxy_set_header  X-Forwarded-For $remote_addr;    # and Forwarded, X-Real-Ip, … to ""
	    proxy_pass        http://service;                  # no path here: nginx would rewrite it
	}
	location = /-/auth {
	    internal;
	    proxy_pass              http://gateway/-/auth;
	    proxy_pass_request_body off;
	    proxy_set_header        Content-Length "";
	    proxy_set_header        X-Forwarded-Uri $request_uri;        # as the client wrote it
	    proxy_set_header        X-Forwarded-Method $request_method;
	    proxy_set_header        X-Forwarded-For $remote_addr;
	}
	location @refused { … }                                # see testdata/nginx.conf

testdata/nginx.conf is whole, and what the tests run.

Traefik (ForwardAuth). It relays refusals as they are:

	http:
	  middlewares:
	    gateway:
	      forwardAuth:
	        address: http://gateway:8080/-/auth
	        authResponseHeaders: [X-Auth-Kind, X-Auth-Credential, X-Auth-Organisation, X-Auth-Subject, X-Auth-Access,
	          X-Auth-Environment, X-Auth-Scopes, X-Auth-Plan, X-Auth-Client-Id, X-Request-Id]
	    no-key:
	      headers:
	        customRequestHeaders: {Authorization: ""}      # behind gateway in the router's middlewares

Leave trustForwardHeader at false, or clients say themselves what they ask for.

Caddy (forward_auth), likewise:

	example.com {
	    forward_auth gateway:8080 {
	        uri /-/auth
	        copy_headers X-Auth-Kind X-Auth-Credential X-Auth-Organisation X-Auth-Subject X-Auth-Access X-Auth-Environment X-Auth-Scopes X-Auth-Plan X-Auth-Client-Id X-Request-Id
	    }
	    reverse_proxy service:3000 {
	        header_up -Authorization
	    }
	}

Envoy (the HTTP service of ext_authz) sends the request's method and path as its own:

	http_filters:
	- name: envoy.filters.http.ext_authz
	  typed_config:
	    "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
	    failure_mode_allow: false
	    http_service:
	      server_uri: {uri: http://gateway:8080, cluster: gateway, timeout: 1s}
	      path_prefix: /-/envoy
	      authorization_request:
	        allowed_headers: {patterns: [{exact: authorization}, {exact: x-forwarded-for}, {prefix: x-auth}, {prefix: x_auth}, {prefix: x-http-method}]}
	      authorization_response:
	        allowed_upstream_headers: {patterns: [{prefix: x-auth-}, {exact: x-request-id}]}

with normalize_path and merge_slashes off, so that what was checked is what is passed on.

# Security notes

A path that two programs could read in two ways is refused with 400 before it is
looked at: with an encoded slash, backslash, dot, percent sign or semicolon, with
"..", ".", "//", ";", "\" or a control character, or with what is no UTF-8.

Fields of a client's that look like the gateway's are dropped, whatever their case
and whichever character stands for the hyphen, in trailers, too; beside another
proxy, which would pass them on, such a request is refused. So are fields that
have frameworks read another method than was checked. A Connection field that
names the gateway's fields removes nothing: they are set after it was heeded.

Authorization never reaches the service. Neither do field names with other
characters than letters, digits and hyphens: what reads them as CGI variables
can't tell X_Auth_Subject from X-Auth-Subject.

CORS preflights carry no key. The reverse proxy answers them without a permission;
beside a proxy they are refused like any request without a key. Where browsers
are to call the API, answer preflights in front of this.
*/
package main
