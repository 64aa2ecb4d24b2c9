package demo

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"

	"github.com/strikeplate/strikeplate"
)

// Refusals of the demo's own pages.
func refused(message string) error {
	return &strikeplate.Error{Status: http.StatusForbidden, Code: "demo_refused", Message: message}
}

func invalid(message string) error {
	return &strikeplate.Error{Status: http.StatusBadRequest, Code: "invalid_request", Message: message}
}

// direct lets requests through that a program on this machine sent itself: no
// proxy in between, no page of another site, and no name that merely leads here
// (DNS rebinding).
func direct(r *http.Request) error {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return refused("The demo's controls answer on this machine only.")
	}
	for _, field := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(field) != "" {
			return refused("The demo's controls answer no proxies.")
		}
	}
	return ownSite(r)
}

// ownSite refuses what pages of other sites send.
func ownSite(r *http.Request) error {
	if !loopbackHost(r.Host) {
		return refused("The demo answers to 127.0.0.1 and localhost only.")
	}
	return sameOrigin(r)
}

func sameOrigin(r *http.Request) error {
	if origin := r.Header.Get("Origin"); origin != "" && origin != "http://"+r.Host {
		return refused("Another site's page sent this.")
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return refused("Another site's page sent this.")
	}
	return nil
}

func loopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if n := len(host); n > 2 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

const maxBody = 64 << 10

// readJSON reads one JSON object, which a form can't send.
func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &strikeplate.Error{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Message: "Send JSON, with Content-Type: application/json."}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return invalid("The body could not be read, or is too long.")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return invalid("The body is not the JSON that is wanted: " + err.Error())
	}
	if _, err := d.Token(); err != io.EOF {
		return invalid("The body is more than one JSON value.")
	}
	return nil
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v)
}
