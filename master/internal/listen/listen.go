// Package listen makes the sockets that a master accepts from: TCP, with both
// families and several sockets at an address, Unix sockets and their files, and what
// systemd passes.
//
// An address goes through these hands:
//
//	ParseAddress  what an operator writes       -> Address
//	Resolve       a name is looked up           -> Resolved
//	Open          all are bound, at the start   -> []*Listener
//	Plan, Apply   at a reload: what stays, what is new, what goes
//	States, Restore  in an upgrade in place: handed over and taken over
//
// The control socket is no Listener, but made by Unix, too.
//
// Only the master's process uses it, and nothing here has a goroutine. The supervisor
// owns the Listeners, and lends their descriptors to the accept goroutine
// (master/internal/dispatch): nothing is accepted here. Resolve, which may wait for a
// name server, is called at the start and then by a reload's own goroutine.
package listen

import "strings"

// Status is a listener as it is shown.
type Status struct {
	Name    string `json:"name"`
	Address string `json:"address"` // with the real port
	TLS     bool   `json:"tls"`
	Cert    string `json:"cert,omitempty"`  // a name of its default certificate; empty: the first
	Proxy   bool   `json:"proxy"`           // a PROXY header comes first
	Trust   string `json:"trust,omitempty"` // the networks whose PROXY headers are believed, by comma
}

// URL is the address; one of TCP with TLS begins with tls://.
func (s Status) URL() string {
	if s.TLS && !strings.Contains(s.Address, "://") {
		return schemeTLS + "://" + s.Address
	}
	return s.Address
}

// Describe returns how listeners are shown, in their order.
func Describe(listeners []*Listener) (status []Status) {
	for _, l := range listeners {
		t := l.From.Transport
		status = append(status, Status{l.Name, l.Address, t.TLS, t.Cert, t.Proxy, t.Trust})
	}
	return status
}
