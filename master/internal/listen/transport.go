package listen

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Transport is what a listener's connections pass before a session sees their bytes: how
// they are decoded, and whom they are believed. The zero value is none. Two that are equal
// are the same.
type Transport struct {
	TLS   bool
	Cert  string // a name of the default certificate, in lower case; empty: the first
	Proxy bool   // a PROXY header comes first
	Trust string // networks whose PROXY headers are believed, by comma and in order; empty: none but Unix sockets
}

// loopback is whose PROXY headers are believed if nobody says.
const loopback = "127.0.0.0/8,::1/128"

// Networks returns Trust.
func (t Transport) Networks() (networks []netip.Prefix) {
	for text := range strings.SplitSeq(t.Trust, ",") {
		if network, err := netip.ParsePrefix(text); err == nil { // empty; else parseTrust has made it
			networks = append(networks, network)
		}
	}
	return networks
}

// scheme is what stands before an address of TCP.
func (t Transport) scheme() string {
	if t.TLS {
		return schemeTLS + "://"
	}
	return ""
}

// parseTrust reads lists of networks, each with commas between them. An address stands for
// a network of it alone.
func parseTrust(lists []string) (string, error) {
	var networks []netip.Prefix
	for _, list := range lists {
		for text := range strings.SplitSeq(list, ",") {
			network, err := parseNetwork(text)
			if err != nil {
				return "", err
			}
			networks = append(networks, network)
		}
	}
	slices.SortFunc(networks, netip.Prefix.Compare)
	var texts []string
	for _, network := range slices.Compact(networks) {
		texts = append(texts, network.String())
	}
	return strings.Join(texts, ","), nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	wrong := func(problem string) (netip.Prefix, error) {
		return netip.Prefix{}, fmt.Errorf("trust %q %s", text, problem)
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		address, err := netip.ParseAddr(text)
		if err != nil || address.Zone() != "" {
			return wrong("is no network, such as 10.0.0.0/8 or 2001:db8::/32, and no address")
		}
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	if network.Addr().Is4In6() {
		return wrong("is IPv4 within IPv6; write it as IPv4")
	}
	if network != network.Masked() { // it may be meant as the address alone, or as the network
		return wrong(fmt.Sprintf("has bits set beyond its first %d; write %s, or %s for it alone", network.Bits(), network.Masked(), network.Addr()))
	}
	return network, nil
}
