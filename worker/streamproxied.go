package worker

import "net"

// ProxyOf returns what the PROXY header of a connection said that Accept of a Streams
// listener has returned, or of a *tls.Conn, or anything with a method NetConn, around it;
// false if it had none. Nothing in it is to be changed. It is for any goroutine.
//
// A server of net/http has it for its handlers by
//
//	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
//		proxy, _ := worker.ProxyOf(c)
//		return context.WithValue(ctx, proxyKey{}, proxy)
//	}
func ProxyOf(conn net.Conn) (Proxy, bool) {
	for {
		switch c := conn.(type) {
		case interface{ fromProxy() *fromProxy }:
			return *c.fromProxy().proxy, true
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return Proxy{}, false
		}
	}
}

// fromProxy is what a PROXY header has said of a socket.
type fromProxy struct {
	proxy         *Proxy
	remote, local net.Addr // the socket's own, if the header has none
}

// proxied returns the socket with the addresses of its header. It can all that the socket
// can.
func proxied(s socket, p *Proxy) net.Conn {
	from := fromProxy{p, s.RemoteAddr(), s.LocalAddr()}
	if !p.Local {
		from.remote, from.local = net.TCPAddrFromAddrPort(p.Source), net.TCPAddrFromAddrPort(p.Destination)
	}
	switch s := s.(type) {
	case *net.TCPConn:
		return &proxiedTCP{s, from}
	case *net.UnixConn:
		return &proxiedUnix{s, from}
	}
	panic("worker: no kind of socket") // a mistake in this package
}

type proxiedTCP struct {
	*net.TCPConn
	from fromProxy
}

func (c *proxiedTCP) RemoteAddr() net.Addr  { return c.from.remote }
func (c *proxiedTCP) LocalAddr() net.Addr   { return c.from.local }
func (c *proxiedTCP) NetConn() net.Conn     { return c.TCPConn }
func (c *proxiedTCP) fromProxy() *fromProxy { return &c.from }

type proxiedUnix struct {
	*net.UnixConn
	from fromProxy
}

func (c *proxiedUnix) RemoteAddr() net.Addr  { return c.from.remote }
func (c *proxiedUnix) LocalAddr() net.Addr   { return c.from.local }
func (c *proxiedUnix) NetConn() net.Conn     { return c.UnixConn }
func (c *proxiedUnix) fromProxy() *fromProxy { return &c.from }
