package tlshandshake

import (
	"crypto/tls"
	"slices"
	"testing"
)

// held is a handshake driven by hand: the test is the loop.
type held struct {
	*Handshake
	t     testing.TB
	wakes chan struct{}
}

// hold starts a handshake of which the test is the loop.
func hold(t testing.TB, pool *Pool, config *tls.Config, hello []byte) *held {
	wakes := make(chan struct{}, 100)
	return &held{pool.Start(config, hello, memoryAddress("client"), memoryAddress("server"), func() { wakes <- struct{}{} }), t, wakes}
}

// taken waits for a wake, and takes.
func (h *held) taken() (out []byte, done bool) {
	<-h.wakes
	return h.Take()
}

// flight waits until the server has sent its first flight, and waits for the client.
func (h *held) flight() []byte {
	h.t.Helper()
	out, done := h.taken()
	if done || len(out) == 0 || out[0] != typeHandshake {
		h.t.Fatalf("%d bytes, done %v", len(out), done)
	}
	return out
}

// TestPlacesAreForThoseThatCompute: however many clients stop after ServerHello, the one
// place is free. Nor does it take a place to abandon them.
func TestPlacesAreForThoseThatCompute(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		pool := NewPool(1)
		config := serverConfig(ecdsaKey())
		hello := clientHello(t, smallHello(version))
		var stopped []*held
		for range 1000 {
			stopped = append(stopped, hold(t, pool, config, hello))
		}
		for _, h := range stopped {
			h.flight()
		}
		connect(t, pool, config, clientConfig(version))
		for _, h := range stopped {
			h.Abandon()
		}
		connect(t, pool, config, clientConfig(version))
	})
}

// TestPlacesInTurn: those that want a place get it in the order in which they came, those
// that begin and those that go on alike.
func TestPlacesInTurn(t *testing.T) {
	pool := NewPool(1)
	config := serverConfig(ecdsaKey())
	hello := clientHello(t, clientConfig(tls.VersionTLS13))
	first, third := hold(t, pool, config, hello), hold(t, pool, config, hello)
	first.flight()
	third.flight()

	computing, leave := make(chan struct{}), make(chan struct{})
	slow := config.Clone()
	slow.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		close(computing)
		<-leave
		return nil, nil
	}
	var order []string
	ordered := func(name string) *tls.Config {
		c := config.Clone()
		c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			order = append(order, name) // under the one place
			return nil, nil
		}
		return c
	}
	blocked := hold(t, pool, slow, hello)
	<-computing
	second := hold(t, pool, ordered("second"), hello)
	third.Feed(junkRecord)
	gone := hold(t, pool, ordered("gone"), hello)
	fourth := hold(t, pool, ordered("fourth"), hello)
	last := hold(t, pool, ordered("last"), hello)
	gone.Abandon()
	last.Abandon()
	for _, h := range []*held{second, third, fourth} {
		if len(h.wakes) > 0 {
			t.Error("woken without a place")
		}
	}
	close(leave)
	for _, h := range []*held{blocked, second, fourth} {
		h.flight()
	}
	if _, done := third.taken(); !done {
		t.Error("junk is no end")
	}
	if !slices.Equal(order, []string{"second", "fourth"}) {
		t.Errorf("order %q", order)
	}
	for _, h := range []*held{first, blocked, second, fourth} {
		h.Abandon()
	}
}

// junkRecord has no key, so it opens nowhere.
var junkRecord = append([]byte{typeApplicationData, 3, 3, 0, 32}, make([]byte, 32)...)

// TestManyAtOnce: more handshakes than places, all of them whole.
func TestManyAtOnce(t *testing.T) {
	pool := NewPool(2)
	config := serverConfig(ecdsaKey())
	errs := make(chan error)
	for i := range 50 {
		conn, s := serve(t, pool, config, 1+i*10)
		go func() {
			client := tls.Client(conn, clientConfig(versions[i%2]))
			err := exchange(client)
			if got := <-s.result; err == nil {
				err = got.err
			}
			errs <- err
		}()
	}
	for range 50 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	pool.mu.Lock()
	defer pool.mu.Unlock()
	if pool.places != 2 || pool.first != nil || pool.last != nil {
		t.Errorf("%d places", pool.places)
	}
}
