package tlsrecord

import (
	"bytes"
	"testing"
)

// secretOf is key material for a test, of n bytes that occur nowhere else.
func secretOf(name byte, n int) []byte {
	return bytes.Repeat([]byte{name, 0xa5, 0x5a ^ name}, n/3+1)[:n]
}

// layerOf returns an end of a connection of any suite, all of which have the same secrets.
func layerOf(t testing.TB, role Role, id uint16, readSeq, writeSeq uint64) *Layer {
	t.Helper()
	at, err := suiteOf(id)
	if err != nil {
		t.Fatal(err)
	}
	var l *Layer
	if s := &suites[at]; s.tls13 {
		l, err = NewTLS13(role, id, secretOf('c', s.kept), secretOf('s', s.kept), readSeq, writeSeq)
	} else {
		l, err = NewTLS12(role, id, secretOf('m', 48), [32]byte{1}, [32]byte{2}, readSeq, writeSeq)
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// pair returns both ends of a connection.
func pair(t testing.TB, id uint16) (client, server *Layer) {
	t.Helper()
	return layerOf(t, Client, id, 0, 0), layerOf(t, Server, id, 0, 0)
}
