package tlsrecord

import "errors"

// Role says which end of the connection a Layer is.
type Role uint8

const (
	Server Role = iota
	Client
)

// Layer is one end of a connection after its handshake.
type Layer struct{ cache *Cache }

var errNotBuilt = errors.New("tlsrecord: not built yet")

// NewTLS13 returns the layer of a connection of TLS 1.3, from its application traffic
// secrets and the numbers of the next records.
func NewTLS13(role Role, suite uint16, client, server []byte, readSeq, writeSeq uint64) (*Layer, error) {
	return nil, errNotBuilt
}

// NewTLS12 returns the layer of a connection of TLS 1.2, from its master secret, the
// randoms of both hellos and the numbers of the next records.
func NewTLS12(role Role, suite uint16, master []byte, clientRandom, serverRandom [32]byte, readSeq, writeSeq uint64) (*Layer, error) {
	return nil, errNotBuilt
}

// SetCache has the layer keep its ciphers in c.
func (l *Layer) SetCache(c *Cache) { l.cache = c }

// Opened is what Open has made of some input.
type Opened struct {
	Used  int    // bytes of raw; the rest is a record that is not whole
	Plain []byte // for the session; raw's own memory, of the bytes used
	Reply []byte // an alert, to be sent before anything that is sealed later
	End   bool   // the peer has said that nothing more comes; what follows does not count
	Err   error  // the end of the connection, once Plain is consumed and Reply sent
}

// Open opens the whole records at the beginning of raw, in place.
func (l *Layer) Open(raw []byte) Opened { return Opened{Err: errNotBuilt} }

// Seal appends to dst the records that carry plain, and returns dst. At the end of what
// a key may be used for it appends an alert, after which Err says why.
func (l *Layer) Seal(dst, plain []byte) []byte { return dst }

// CloseNotify appends to dst what tells the peer that nothing more comes, once.
func (l *Layer) CloseNotify(dst []byte) []byte { return dst }

// Alert appends to dst a fatal alert, after which nothing is sealed.
func (l *Layer) Alert(dst []byte, code uint8) []byte { return dst }

// Err says why the connection must end, or nil.
func (l *Layer) Err() error { return nil }

// EOF says what it means that the peer's socket has finished: nil after its close_notify,
// and otherwise io.ErrUnexpectedEOF.
func (l *Layer) EOF() error { return nil }

// Freeze appends to dst all that another process needs to go on, and returns dst.
func (l *Layer) Freeze(dst []byte) []byte { return dst }

// Thaw returns the layer that Freeze has written.
func Thaw(state []byte) (*Layer, error) { return nil, errNotBuilt }

// Wipe overwrites the secrets, and drops the ciphers.
func (l *Layer) Wipe() {}

// Opens says whether record, a whole one that this end has written, opens under the write
// key as the one before the first that this layer seals. It leaves record as it is.
func (l *Layer) Opens(record []byte) bool { return false }

// Secret is key material, which prints nothing.
type Secret struct{}

// Cache keeps the ciphers of layers that were busy lately. The zero value is empty.
type Cache struct{}

// Sweep drops the ciphers that were not used since the Sweep before, and says how many
// pairs are left.
func (c *Cache) Sweep() (left int) { return 0 }
