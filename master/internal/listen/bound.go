package listen

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/usher-go/usher/master/internal/fileid"
	"golang.org/x/sys/unix"
)

// This file compares an address, however it is spelled, with what listeners are bound
// to: which of them it means, and which it overlaps with.

// is reports whether the listener is bound to what an address asks for, though it was
// asked for in other words.
func (l *Listener) is(address Resolved) bool {
	switch {
	case l.From.Network == "systemd" || address.Network == "systemd":
		return false // it is systemd's as well
	case address.Network == "unix":
		id, ok := fileid.At(address.Path)
		return ok && l.file.There() && l.file.id == id
	case !l.Bound.IsValid() || !address.bind.IsValid() || address.bind.Addr().Zone() != "":
		return false
	}
	port := l.Bound.Port()
	if l.From.Port == 0 && address.Port == 0 {
		port = 0 // any will do, and it has one
	}
	return address.bind == netip.AddrPortFrom(l.Bound.Addr(), port) && address.dual == l.dual()
}

// dual reports whether the socket takes clients of both families.
func (l *Listener) dual() bool {
	if !l.Bound.IsValid() || !l.Bound.Addr().Is6() || !l.Bound.Addr().IsUnspecified() {
		return false
	}
	only, err := unix.GetsockoptInt(l.FD, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
	return err == nil && only == 0
}

// lostFile reports whether the listener is a Unix socket whose file was removed:
// nobody can connect to it any more.
func (l *Listener) lostFile() bool {
	return l.From.Network == "unix" && !strings.HasPrefix(l.From.Path, "@") && !l.file.There()
}

// explainOverlap says who has what an address asks for: another program, or this
// server, by a listener that it holds or has just made.
func (r Resolved) explainOverlap(err error, held, made []*Listener) error {
	for _, l := range made {
		if r.overlaps(l) {
			return fmt.Errorf("%w: it overlaps with %s, which is to be served as well; leave one of the two out", err, l.Address)
		}
	}
	for _, l := range held {
		if r.overlaps(l) {
			return fmt.Errorf("%w: it overlaps with %s, where this server listens itself; reload twice: with another address in the place of %s, then with %s",
				err, l.Address, l.Address, r.Address)
		}
	}
	return fmt.Errorf("%w; stop the program that listens there, or choose another address with --listen", err)
}

// overlaps reports whether a client could mean the one or the other.
func (r Resolved) overlaps(l *Listener) bool {
	if !r.bind.IsValid() || !l.Bound.IsValid() || r.bind.Port() != l.Bound.Port() {
		return false
	}
	mine, its := r.bind.Addr().WithZone(""), l.Bound.Addr()
	return mine == its || covers(mine, r.dual, its) || covers(its, l.dual(), mine)
}

// covers reports whether a socket at every address, of both families if it is dual,
// has that one as well.
func covers(every netip.Addr, dual bool, one netip.Addr) bool {
	return every.IsUnspecified() && (dual || every.Is4() == one.Is4())
}
