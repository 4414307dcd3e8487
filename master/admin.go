package master

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/usher-go/usher/master/internal/descriptor"
)

// newAdmin listens at the admin address, which serves by TCP what machines ask of a server
// and what changes nothing. Sessions, their bounds and pauses are those of control. It may
// block as long as it takes to look up a host's name.
func newAdmin(config *Config, s *supervisor) (*control, error) {
	socket, address, err := listenAdmin(config.Admin)
	if err != nil {
		return nil, fmt.Errorf("admin address %s: %w", config.Admin, err)
	}
	s.log.Info("serving metrics", "address", address)
	return restoreAdmin(config, socket, s), nil
}

// listenAdmin returns an owned socket that listens, and where.
func listenAdmin(address string) (socket int, bound string, err error) {
	var quiet net.ListenConfig
	listener, err := quiet.Listen(context.Background(), networkOf(address), address)
	if err != nil {
		return -1, "", err
	}
	defer listener.Close() // there is a duplicate
	raw, err := listener.(*net.TCPListener).SyscallConn()
	if err != nil {
		return -1, "", err
	}
	socket, err = descriptor.Duplicate(raw)
	return socket, listener.Addr().String(), err
}

// networkOf returns what to listen with: 0.0.0.0 is every address of IPv4 alone, as it is of
// Config.Listen; package net would take it for those of both versions.
func networkOf(address string) string {
	host, _, _ := net.SplitHostPort(address) // it is checked
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is4() {
		return "tcp4"
	}
	return "tcp"
}

// restoreAdmin takes ownership of a socket that listens at the configuration's address.
func restoreAdmin(config *Config, socket int, s *supervisor) *control {
	host, _, _ := net.SplitHostPort(config.Admin) // it is checked
	return newSocketServer(&control{
		config: config, socket: socket, api: adminAPI(s, host), log: s.log,
		failed: "cannot serve the admin address, retrying",
	})
}

// adminAPI answers at the admin address.
func adminAPI(s *supervisor, host string) http.Handler {
	a, e := api{supervisor: s}, newEndpoints()
	a.handleReads(e)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !namesServer(r.Host, host) {
			http.Error(w, fmt.Sprintf("this server is not %q: ask by an IP address, or by the name that --admin has", r.Host), http.StatusForbidden)
			return
		}
		e.mux.ServeHTTP(w, r)
	})
}

// handleReads adds what any address may serve.
func (a api) handleReads(e *endpoints) {
	e.handle("GET /metrics", a.metrics)
	e.handle("GET /livez", a.live)
	e.handle("GET /readyz", a.ready)
}

// namesServer reports whether a request's Host (RFC 9110, section 7.2) can be this server's.
// A name that anybody may have point here is none: a page of that name could read the
// answers by the browser of someone who can connect (DNS rebinding).
func namesServer(asked, host string) bool {
	name := asked
	if h, _, err := net.SplitHostPort(asked); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	if name == "localhost" || name == strings.ToLower(host) {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return err == nil
}

// checkAdmin checks what Admin is.
func (c *Config) checkAdmin() error {
	if c.Admin == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(c.Admin)
	switch {
	case err != nil:
		return wrong("admin", "is %q, want HOST:PORT", c.Admin)
	case host == "":
		return wrong("admin", "is %q, want a host before the port: 127.0.0.1 for this machine alone, 0.0.0.0 for every address of IPv4, or [::] for those of IPv6, too", c.Admin)
	}
	if _, err := net.LookupPort("tcp", port); err != nil || port == "" {
		return wrong("admin", "is %q, want a port behind the host", c.Admin)
	}
	return nil
}
