// Package tlshandshake does the server's handshake of TLS 1.3 and 1.2 with crypto/tls as it
// is, for a loop that must not wait and connections that move to another process afterwards.
//
// crypto/tls computes on a goroutine, and believes that it has a connection. It is given
// one record at a time, so nothing of what follows the handshake gets into it; and by the
// hooks of its Config it tells the secrets, from which internal/tlsrecord goes on. That this
// fits is checked: the last record that crypto/tls has sent must open under what the
// record layer goes on with, so that a release of Go that sends others is noticed.
//
// There is no I/O here, and no clock: the loop feeds what has come, sends what it takes,
// and abandons a handshake that takes too long.
//
//	pool := tlshandshake.NewPool(runtime.GOMAXPROCS(0))
//	// Something has come from a new client: raw is all of it.
//	whole, err := tlshandshake.WholeHello(raw)
//	if whole {
//		h = pool.Start(config, raw, remote, local, func() { loop.post(wake) })
//	}
//	// More has come.
//	more := h.Feed(raw)
//	// On wake.
//	out, done := h.Take()
//	send(out)
//	if done {
//		result, err := h.Result()
//	}
package tlshandshake
