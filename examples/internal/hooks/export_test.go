package hooks

import "net/netip"

// Public is public.
func Public(a netip.Addr) bool { return public(a) }

// Dialled is what the dialer is told of an address.
func Dialled(loopback bool, address string) error {
	return reaches{loopback: loopback}.control("tcp", address, nil)
}

// Checked is what is wrong with a URL.
func Checked(loopback bool, url string) string { return reaches{loopback: loopback}.check(url) }
