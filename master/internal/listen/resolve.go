package listen

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Resolved is an address that can be bound without asking anybody.
type Resolved struct {
	Address
	bind netip.AddrPort // of TCP; invalid if it was not looked up, since it is in force
	dual bool           // a socket bound to it takes clients of both families
	also netip.AddrPort // another to bind beside it, where this machine has it; invalid: none
	half bool           // the one of the other family is bound already: this one, where this machine has it
}

// ResolveLimit is how long all the names of a configuration may take.
const ResolveLimit = 10 * time.Second

// Resolve looks up the names in addresses. Those that are inForce as well keep
// their sockets, so nobody is asked about them: a reload needs no name server for
// a name that was there before.
//
// It blocks for up to ResolveLimit: no goroutine that serves clients may wait for it.
func Resolve(addresses, inForce []Address) ([]Resolved, error) {
	ctx, cancel := context.WithTimeout(context.Background(), ResolveLimit)
	defer cancel()
	kept := make(map[Address]int)
	for _, address := range inForce {
		kept[address.place()]++
	}
	all := make([]Resolved, len(addresses))
	for i, address := range addresses {
		all[i].Address = address
		if place := address.place(); kept[place] > 0 { // the same one again, as port 0 may be, is another
			kept[place]--
			continue
		}
		if err := all[i].resolve(ctx); err != nil {
			if ctx.Err() != nil {
				err = fmt.Errorf("%w: no answer within %v; check the name server (resolv.conf(5)), or listen on an IP address", err, ResolveLimit)
			}
			return nil, fmt.Errorf("listen on %s: %w", address, err)
		}
	}
	return all, nil
}

// resolve finds the TCP address to bind. A name is looked up; its first IPv4
// address counts, or its first, if it has none.
func (r *Resolved) resolve(ctx context.Context) error {
	switch r.Network {
	case "unix", "systemd":
		return nil
	}
	if r.Host == "" {
		r.bind, r.dual = netip.AddrPortFrom(netip.IPv6Unspecified(), r.Port), r.Network == "tcp"
		if r.Network == "tcp4" {
			r.bind = netip.AddrPortFrom(netip.IPv4Unspecified(), r.Port)
		}
		return nil
	}
	if isLocalhost(r.Host) {
		r.bindLoopback()
		return nil
	}
	ip, err := lookUp(ctx, r.Network, r.Host)
	r.bind = netip.AddrPortFrom(ip, r.Port)
	return err
}

// isLocalhost reports whether a host is this machine's loopback, about which no name
// server is to be asked (RFC 6761, section 6.3).
func isLocalhost(host string) bool {
	return strings.EqualFold(strings.TrimSuffix(host, "."), "localhost")
}

// bindLoopback binds localhost: a client may find it by either family.
func (r *Resolved) bindLoopback() {
	four := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), r.Port)
	six := netip.AddrPortFrom(netip.IPv6Loopback(), r.Port)
	switch r.Network {
	case "tcp4":
		r.bind = four
	case "tcp6":
		r.bind = six
	default:
		r.bind, r.also = four, six
	}
}

// lookUp returns the address of a host, which may be one already, as net.Listen
// would take it, but with a limit of time.
func lookUp(ctx context.Context, network, host string) (netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil { // here, since LookupNetIP loses zones
		if network != "tcp6" {
			ip = ip.Unmap()
		}
		if network == "tcp4" && !ip.Is4() || network == "tcp6" && (ip.Is4() || ip.Is4In6()) {
			return ip, &net.AddrError{Err: "not of the family that " + network + " asks for", Addr: host}
		}
		return ip, nil
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip"+network[len("tcp"):], host)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, ip := range found {
		if ip.Unmap().Is4() {
			return ip.Unmap(), nil
		}
	}
	return found[0], nil // an answer without any is an error
}

// place is what a listener is known by: its address as written, without its name, the
// mode of its file, and what its connections pass.
func (a Address) place() Address {
	a.Name, a.Mode, a.Transport = "", 0, Transport{}
	return a
}
