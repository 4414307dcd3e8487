package tlshandshake

import (
	"crypto/tls"
	"runtime"
	"testing"
)

// TestGoroutinesStay: as long as a handshake is under way, a goroutine that has done one
// waits for another; and no more of them than a few.
func TestGoroutinesStay(t *testing.T) {
	pool := NewPool(1)
	config := serverConfig(ecdsaKey())
	hello := clientHello(t, smallHello(tls.VersionTLS13))
	idle := func() int {
		pool.mu.Lock()
		defer pool.mu.Unlock()
		return len(pool.idle.waiting)
	}
	held := hold(t, pool, config, hello)
	held.flight()
	many := make([]*Handshake, 3*maxIdle)
	for i := range many {
		h := hold(t, pool, config, hello)
		h.flight()
		many[i] = h.Handshake
	}
	for _, h := range many {
		h.Abandon()
	}
	for idle() < maxIdle { // they rest when they come to it
		runtime.Gosched()
	}
	connect(t, pool, config, clientConfig(tls.VersionTLS13))
	if n := idle(); n > maxIdle {
		t.Errorf("%d goroutines wait", n)
	}
	held.Abandon()
	for idle() > 0 {
		runtime.Gosched()
	}
}

// TestGoexitGivesItsPlace: a callback that ends the goroutine takes nothing with it.
func TestGoexitGivesItsPlace(t *testing.T) {
	pool := NewPool(1)
	config := serverConfig(ecdsaKey())
	hello := clientHello(t, smallHello(tls.VersionTLS13))
	computing, leave := make(chan struct{}), make(chan struct{})
	exits := config.Clone()
	exits.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		close(computing)
		<-leave
		runtime.Goexit()
		return nil, nil
	}
	first := hold(t, pool, exits, hello)
	<-computing
	second := hold(t, pool, config, hello)
	close(leave)
	if _, done := first.taken(); !done {
		t.Error("not done")
	}
	second.flight()
	second.Abandon()
}
