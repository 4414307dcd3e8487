package tlsrecord

import (
	"errors"
	"fmt"
	"io"
)

// Role says which end of the connection a Layer is. The zero value is Server.
type Role uint8

const (
	Server Role = iota
	Client
)

// Layer is one end of a connection after its handshake. NewTLS13, NewTLS12 or Thaw makes
// one; it must not be copied. One goroutine at a time uses it, and nothing blocks.
//
// It is 160 bytes, and has no ciphers while it is idle in a Cache: a server holds many
// that are.
type Layer struct {
	quiet
	read, write half

	entry *entry // of its ciphers; nil: to be built
	cache *Cache // nil: it keeps its own ciphers

	suite uint8 // its place in the table
	role  Role

	peerDone bool  // close_notify has come
	selfDone bool  // close_notify is sealed
	fault    fault // why the connection must end; after it nothing is opened or sealed
	alert    uint8 // the alert of faultPeer, faultTold

	owed    owed    // a KeyUpdate
	idle    uint8   // how much without data has come since there was data
	message message // a handshake message of which a part has come
}

// half is one direction of a connection.
type half struct {
	secret Secret
	seq    uint64 // of the next record
	blocks uint64 // of 16 bytes, protected by the present key
}

// owed says which KeyUpdate goes before the next data that is sealed, if any.
type owed uint8

const (
	owedNone   owed = iota
	owedAnswer      // to the peer's request
	owedAsk         // for the peer's key, which it has used as much as it may
)

// NewTLS13 returns the layer of a connection of TLS 1.3, from the application traffic
// secrets of both ends (client_ and server_application_traffic_secret_0, which are
// copied) and the numbers of the next records in either direction: 0, if none were
// protected by these secrets yet. The error is of a suite that is not TLS 1.3's or
// cannot be used here, or of a secret that does not fit it.
func NewTLS13(role Role, suite uint16, client, server []byte, readSeq, writeSeq uint64) (*Layer, error) {
	l, s, err := newLayer(role, suite, readSeq, writeSeq)
	switch {
	case err != nil:
		return nil, err
	case !s.tls13:
		return nil, fmt.Errorf("tlsrecord: new: cipher suite %#04x is not of TLS 1.3", suite)
	case len(client) != s.kept || len(server) != s.kept:
		return nil, fmt.Errorf("tlsrecord: new: traffic secrets of %d and %d bytes, not of %d", len(client), len(server), s.kept)
	}
	l.keep(client, server)
	return l, nil
}

// NewTLS12 returns the layer of a connection of TLS 1.2, from its master secret (which
// is copied), the randoms of both hellos and the numbers of the next records in either
// direction: 1 where Finished was one record. The error is of a suite that is not TLS
// 1.2's or cannot be used here, or of a secret that is not one.
func NewTLS12(role Role, suite uint16, master []byte, clientRandom, serverRandom [32]byte, readSeq, writeSeq uint64) (*Layer, error) {
	l, s, err := newLayer(role, suite, readSeq, writeSeq)
	switch {
	case err != nil:
		return nil, err
	case s.tls13:
		return nil, fmt.Errorf("tlsrecord: new: cipher suite %#04x is not of TLS 1.2", suite)
	case len(master) != 48:
		return nil, fmt.Errorf("tlsrecord: new: master secret of %d bytes, not of 48", len(master))
	}
	client, server := s.keyBlock(master, clientRandom, serverRandom)
	l.keep(client, server)
	clear(client)
	clear(server)
	return l, nil
}

var errRole = errors.New("neither server nor client")

func newLayer(role Role, id uint16, readSeq, writeSeq uint64) (*Layer, *suite, error) {
	if role != Server && role != Client {
		return nil, nil, fmt.Errorf("tlsrecord: new: %w", errRole)
	}
	at, err := suiteOf(id)
	if err != nil {
		return nil, nil, fmt.Errorf("tlsrecord: new: %w", err)
	}
	l := &Layer{role: role, suite: uint8(at)}
	l.read.seq, l.write.seq = readSeq, writeSeq
	return l, &suites[at], nil
}

func (l *Layer) keep(client, server []byte) {
	if l.role == Server {
		l.read.secret.put(client)
		l.write.secret.put(server)
	} else {
		l.read.secret.put(server)
		l.write.secret.put(client)
	}
}

// SetCache has the layer keep its ciphers in c from now on, which belongs to the same
// goroutine. With nil, as at first, it keeps them itself until Wipe.
func (l *Layer) SetCache(c *Cache) {
	if l.cache != nil && l.entry != nil {
		l.cache.remove(l.entry)
	}
	l.cache = c
	if l.cache != nil && l.entry != nil {
		l.cache.add(l.entry)
	}
}

// Move has to, of which nothing is used, go on where l is, with its ciphers, its cache and
// its secrets. l is as after Wipe then.
func (l *Layer) Move(to *Layer) {
	*to = *l
	if to.entry != nil {
		to.entry.owner = to
	}
	l.wiped()
}

// Err says why the connection must end, or nil. It must be looked at after Seal: that
// fails where a key may be used no more, and cannot say so. It is what Open has said, or
// would say next.
func (l *Layer) Err() error { return l.fault.err(l.alert) }

// EOF says what it means that the peer's socket has finished: nil after its
// close_notify. Otherwise the data may be cut, by whoever is between, and the error is
// io.ErrUnexpectedEOF, or that of Err.
func (l *Layer) EOF() error {
	switch {
	case l.fault != faultNone:
		return l.Err()
	case l.peerDone:
		return nil
	}
	return io.ErrUnexpectedEOF
}

// Wipe overwrites the secrets, drops the ciphers and leaves the cache. After it the
// layer opens and seals nothing. It is to be called where a connection ends or has gone
// on elsewhere. What package crypto has copied is the collector's.
func (l *Layer) Wipe() {
	l.dropCiphers()
	l.wiped()
}

func (l *Layer) wiped() { *l = Layer{suite: l.suite, role: l.role, fault: faultWiped} }
