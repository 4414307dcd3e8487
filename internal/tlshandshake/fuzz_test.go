package tlshandshake

import (
	"bytes"
	"crypto/tls"
	"slices"
	"testing"
)

// FuzzWholeHello compares WholeHello with crypto/tls itself, which is given the bytes and
// then the end: it asks for more where crypto/tls would wait, and for no more where that
// says something or refuses.
func FuzzWholeHello(f *testing.F) {
	hello := clientHello(f, smallHello(tls.VersionTLS13))
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Add([]byte{0x80, 46, 1, 0, 2, 0, 21})
	f.Add([]byte{21, 3, 1, 0, 2, 1, 0})
	f.Add([]byte{22, 3, 1, 0, 4, 1, 0, 0, 0})
	for _, b := range [][]byte{hello, cut(hello, 100), cut(hello, 3), clientHello(f, smallHello(tls.VersionTLS12))} {
		f.Add(b)
		f.Add(b[:len(b)-1])
		f.Add(append(bytes.Clone(b), 22, 3, 1))
	}
	config := serverConfig(ecdsaKey())
	f.Fuzz(func(t *testing.T, raw []byte) {
		whole, err := WholeHello(raw)
		h := hold(t, NewPool(1), config, raw)
		h.EOF()
		var out []byte
		for done := false; !done; {
			var more []byte
			more, done = h.taken()
			out = append(out, more...)
		}
		_, fault := h.Result()
		reason := fault.(*Error).Reason
		waits := reason == Closed && len(out) == 0
		switch {
		case err != nil:
			if got := err.(*Error).Reason; got != reason && (got != PlainHTTP || reason != NotTLS) {
				t.Errorf("%v; crypto/tls: %v", err, fault)
			}
		case whole:
			// An alert may be close_notify, or one that is passed over.
			if waits && len(raw) < startsAnyway && !hasAlert(raw) {
				t.Errorf("whole, and crypto/tls waits: %v", fault)
			}
		case !waits:
			t.Errorf("not whole, and crypto/tls has sent %v: %v", out, fault)
		}
	})
}

// hasAlert reports whether one of the records is an alert.
func hasAlert(raw []byte) bool {
	for len(raw) >= headerLength {
		if raw[0] == typeAlert {
			return true
		}
		raw = raw[min(recordLength(raw), len(raw)):]
	}
	return false
}

// FuzzHandshake feeds anything in pieces, some of it behind a hello that is right. The
// handshake ends, its fault is the peer's, and its place is free again.
func FuzzHandshake(f *testing.F) {
	config := withCA(root())
	var hellos [][]byte
	for _, version := range versions {
		client := withCertificate(version, root())
		client.CurvePreferences = []tls.CurveID{tls.X25519}
		records := recorded(f, config, client)
		hellos = append(hellos, records[0])
		f.Add(byte(len(hellos)-1), byte(200), slices.Concat(records[1:]...))
		f.Add(byte(len(hellos)), byte(0), slices.Concat(records...))
	}
	f.Add(byte(1), byte(10), []byte{20, 3, 3, 0, 1, 1, 23, 3, 3, 0x40, 0})
	pool := NewPool(1)
	f.Fuzz(func(t *testing.T, which, size byte, raw []byte) {
		piece := int(size) + 1
		var start []byte
		if int(which) < len(hellos) {
			start = hellos[which]
		}
		h := hold(t, pool, config, start)
		for p := range slices.Chunk(raw, piece) {
			if !h.Feed(p) {
				break
			}
		}
		h.EOF()
		for done := false; !done; {
			_, done = h.taken()
		}
		if result, err := h.Result(); err == nil {
			t.Errorf("a handshake by chance: %+v", result)
		} else if e := err.(*Error); e.Ours() {
			t.Errorf("our fault: %v", err)
		} else {
			checkText(t, e)
		}
		h.Abandon()
		pool.mu.Lock()
		defer pool.mu.Unlock()
		if pool.places != 1 || pool.first != nil {
			t.Errorf("%d places", pool.places)
		}
	})
}
