package master

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Address is where to listen, as an operator writes it.
type Address struct {
	Name    string // NAME of NAME=ADDRESS, or empty
	Network string // tcp, tcp4 or tcp6
	Host    string // an address, a name, or empty for every address
	Port    uint16 // 0 picks a free one
}

// ParseAddress reads [NAME=]ADDRESS, where ADDRESS is HOST:PORT, or that after
// tcp://, tcp4:// or tcp6://. An error says what is wrong with which part.
func ParseAddress(s string) (Address, error) {
	address, err := parseAddress(s)
	if err != nil {
		return Address{}, fmt.Errorf("listen address %q: %w", s, err)
	}
	return address, nil
}

func parseAddress(s string) (Address, error) {
	a := Address{Network: "tcp"}
	if name, rest, found := strings.Cut(s, "="); found {
		if name == "" || len(name) > 255 {
			return a, fmt.Errorf("a name before = has 1 to 255 bytes")
		}
		a.Name, s = name, rest
	}
	if network, rest, found := strings.Cut(s, "://"); found {
		switch network {
		case "tcp", "tcp4", "tcp6":
			a.Network, s = network, rest
		default:
			return a, fmt.Errorf("unknown kind %q: want tcp, tcp4 or tcp6", network)
		}
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return a, fmt.Errorf("want HOST:PORT, such as 127.0.0.1:8888 or :8888")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return a, fmt.Errorf("port %q is not a number from 0 to 65535", port)
	}
	a.Host, a.Port = host, uint16(n)
	return a, nil
}

// resolve returns the address to bind, and whether a socket bound to it takes
// clients of both families. A name is looked up; its first address counts.
func (a Address) resolve() (addr netip.AddrPort, dual bool, err error) {
	if a.Host == "" {
		if a.Network == "tcp4" {
			return netip.AddrPortFrom(netip.IPv4Unspecified(), a.Port), false, nil
		}
		return netip.AddrPortFrom(netip.IPv6Unspecified(), a.Port), a.Network == "tcp", nil
	}
	resolved, err := net.ResolveTCPAddr(a.Network, net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port))))
	if err != nil {
		return netip.AddrPort{}, false, err
	}
	addr = resolved.AddrPort()
	if a.Network != "tcp6" {
		addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	}
	return addr, false, nil
}
