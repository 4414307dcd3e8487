package tlshandshake

import (
	"bytes"
	"crypto/tls"
	"io"
	"testing"
)

// cutting cuts the records that a client sends first.
type cutting struct {
	*end
	size int
	once bool
}

func (c *cutting) Write(p []byte) (int, error) {
	if c.once {
		return c.end.Write(p)
	}
	c.once = true
	c.end.Write(cut(p, c.size))
	return len(p), nil
}

// TestHelloInPieces: a hello over records of few bytes, and over reads of few bytes.
func TestHelloInPieces(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		for _, chunk := range []int{1, 6, 7, 0} {
			for _, size := range []int{1, 3, 100} {
				client := smallHello(version)
				client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
				for range 2 { // in TLS 1.2 the hello's random is needed to resume
					conn, s := serve(t, NewPool(1), serverConfig(ecdsaKey()), chunk)
					finish(t, s, tls.Client(&cutting{end: conn, size: size}, client))
				}
			}
		}
	})
}

// TestLargeHello: one that is larger than what WholeHello waits for starts before it is
// whole.
func TestLargeHello(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		client := clientConfig(version)
		for range 250 {
			client.NextProtos = append(client.NextProtos, string(bytes.Repeat([]byte{'a'}, 200)))
		}
		if hello := clientHello(t, client); len(hello) < 3*startsAnyway {
			t.Fatalf("a hello of %d bytes", len(hello))
		}
		conn, s := serve(t, NewPool(1), serverConfig(ecdsaKey()), 1000)
		finish(t, s, tls.Client(conn, client))
	})
}

// holding keeps all that a client sends after its hello, until it is released.
type holding struct {
	*end
	once bool
	held []byte
}

func (h *holding) Write(p []byte) (int, error) {
	if h.once {
		h.held = append(h.held, p...)
		return len(p), nil
	}
	h.once = true
	return h.end.Write(p)
}

// TestRest: what comes in one piece with the client's Finished is not of the handshake,
// however much it is and wherever it is cut.
func TestRest(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		client := clientConfig(version)
		if version == tls.VersionTLS12 {
			// Only in a resumed handshake is the client's Finished the last message.
			client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			connect(t, NewPool(1), serverConfig(ecdsaKey()), client)
		}
		for _, size := range []int{10, 20_000, 200_000} {
			for _, chunk := range []int{0, 100_000, 1000, 70} {
				conn, s := serve(t, NewPool(1), serverConfig(ecdsaKey()), chunk)
				held := &holding{end: conn}
				c := tls.Client(held, client)
				sent := bytes.Repeat([]byte("0123456789"), size/10)
				if _, err := c.Write(sent); err != nil {
					t.Fatal(err)
				}
				conn.Write(held.held)
				if got := <-s.result; got.err != nil {
					t.Fatal(got.err)
				}
				got := make([]byte, len(sent))
				if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
					t.Errorf("%d bytes, read %d at a time: %v", size, chunk, err)
				}
			}
		}
	})
}

// TestFedTooMuch: who feeds on after Feed has said no ends the handshake, which holds no
// more than one Feed beyond its bound.
func TestFedTooMuch(t *testing.T) {
	pool := NewPool(1)
	hello := clientHello(t, clientConfig(tls.VersionTLS13))
	computing, leave := make(chan struct{}), make(chan struct{})
	config := serverConfig(ecdsaKey())
	config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		close(computing)
		<-leave
		return nil, nil
	}
	h := hold(t, pool, config, hello)
	<-computing
	piece := make([]byte, 1000)
	fed := 0
	for h.Feed(piece) {
		fed++
	}
	if fed != maxHeld/1000 {
		t.Errorf("fed %d times", fed)
	}
	for range 3 {
		if h.Feed(piece) {
			t.Error("more may come")
		}
	}
	if n := len(h.input); n > maxHeld+1000 {
		t.Errorf("%d bytes are held", n)
	}
	close(leave)
	for done := false; !done; {
		_, done = h.taken()
	}
	if _, err := h.Result(); err != errOverfed {
		t.Errorf("got %v", err)
	}
}

// TestMoreMayCome: a handshake that had enough wakes when it waits again.
func TestMoreMayCome(t *testing.T) {
	pool := NewPool(1)
	h := hold(t, pool, serverConfig(ecdsaKey()), clientHello(t, clientConfig(tls.VersionTLS13)))
	h.flight()
	warning := []byte{typeChangeCipherSpec, 3, 3, 0, 1, 1} // ignored, up to 16 of them
	if h.Feed(append(bytes.Repeat(warning, 10), make([]byte, maxHeld)...)) {
		t.Fatal("more may come")
	}
	for done := false; !done; {
		_, done = h.taken()
	}
	if _, err := h.Result(); err.(*Error).Reason != Malformed {
		t.Errorf("got %v", err)
	}
}
