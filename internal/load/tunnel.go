package load

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"time"
)

// tunnel is TLS on a place's connection: the client of crypto/tls, on a connection in
// memory. It is fed with what the loop has read, and what it has to say the loop writes,
// so that nothing blocks. The handshake, which crypto/tls does in one call, is a
// coroutine that pauses while more is to come. All else is done on the loop: when a
// Read finds nothing more it fails for the time being, which crypto/tls bears.
//
// So tickets and key updates are crypto/tls's own, and a server is measured by another
// implementation than usher's. The price is memory: some 8 KiB for an idle connection.
type tunnel struct {
	wire  wire
	conn  *tls.Conn
	shake func() (struct{}, bool) // goes on with the handshake; nil: that has ended
	stop  func()                  // abandons it
	err   error                   // of the handshake
	rest  []byte                  // plain text that was not used
	ended bool                    // the server has said that no more will come
}

// newTunnel begins a handshake, whose first message is in out at once. out is emptied by
// the caller, after each call.
func newTunnel(config *tls.Config, out *bytes.Buffer) *tunnel {
	t := &tunnel{wire: wire{out: out}}
	t.conn = tls.Client(&t.wire, config)
	t.shake, t.stop = iter.Pull(func(yield func(struct{}) bool) {
		t.wire.pause = func() bool { return yield(struct{}{}) }
		t.err = t.conn.Handshake()
		t.wire.pause = nil
	})
	t.shakeOn()
	return t
}

// shakeOn goes on with the handshake as far as there is input.
func (t *tunnel) shakeOn() {
	if _, more := t.shake(); !more {
		t.shake, t.stop = nil, nil
	}
}

// shaking reports whether the handshake is under way.
func (t *tunnel) shaking() bool { return t.shake != nil }

// established reports whether it has succeeded.
func (t *tunnel) established() bool { return t.shake == nil && t.err == nil }

// abandon ends what is under way.
func (t *tunnel) abandon() {
	if t.shaking() {
		t.stop()
		t.shake, t.stop = nil, nil
	}
}

// mostRest bounds plain text that was not used: part of an answer.
const mostRest = 1 << 20

var errRest = fmt.Errorf("%w: more than %d bytes without an end", errWrong, mostRest)

// open takes all of raw, and appends the plain text in it to plain, behind what was not
// used before. The error is io.EOF when the server has ended its side in order.
func (t *tunnel) open(plain, raw []byte) ([]byte, error) {
	t.wire.in = raw
	if t.shaking() {
		t.shakeOn()
	}
	if t.err != nil {
		return plain, tlsError{t.err}
	}
	if t.shaking() {
		return plain, nil
	}
	plain, t.rest = append(plain, t.rest...), nil
	for {
		if len(plain) > mostRest+len(raw) {
			return plain, errRest
		}
		if cap(plain)-len(plain) < bytes.MinRead {
			plain = append(plain, make([]byte, maxRecord)...)[:len(plain)]
		}
		n, err := t.conn.Read(plain[len(plain):cap(plain)])
		plain = plain[:len(plain)+n]
		switch {
		case err == nil:
		case errors.Is(err, errDry):
			return plain, nil
		case errors.Is(err, io.EOF):
			t.ended = true
			return plain, io.EOF
		default:
			return plain, tlsError{err}
		}
	}
}

// maxRecord is the most plain text that one record has (RFC 8446, section 5.1).
const maxRecord = 16 << 10

// keep keeps plain text that was not used, for the next call of open.
func (t *tunnel) keep(plain []byte) {
	if len(plain) > 0 {
		t.rest = bytes.Clone(plain)
	}
}

// seal encrypts b, which crypto/tls refuses only after an error that open has returned.
func (t *tunnel) seal(b []byte) { _, _ = t.conn.Write(b) }

// end says that no more will come.
func (t *tunnel) end() {
	if t.established() {
		_ = t.conn.CloseWrite() // as seal
	}
}

// session describes what the handshake has agreed on.
func (t *tunnel) session() (name string, resumed bool) {
	state := t.conn.ConnectionState()
	return tls.VersionName(state.Version) + ", " + tls.CipherSuiteName(state.CipherSuite), state.DidResume
}

// wire is the connection in memory.
type wire struct {
	in    []byte
	out   *bytes.Buffer
	pause func() bool // waits for more to be in in, and reports whether there is; nil: nothing waits
}

func (w *wire) Read(b []byte) (int, error) {
	for len(w.in) == 0 {
		if w.pause == nil {
			return 0, errDry
		}
		if !w.pause() {
			return 0, net.ErrClosed
		}
	}
	n := copy(b, w.in)
	w.in = w.in[n:]
	return n, nil
}

func (w *wire) Write(b []byte) (int, error) { return w.out.Write(b) }

// The rest of net.Conn, of which crypto/tls asks for nothing that matters here.

func (w *wire) Close() error                     { return nil }
func (w *wire) LocalAddr() net.Addr              { return nowhere{} }
func (w *wire) RemoteAddr() net.Addr             { return nowhere{} }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// nowhere is the address of a connection in memory; sessions of servers without a name are
// held by it, and those are of one server.
type nowhere struct{}

func (nowhere) Network() string { return "memory" }
func (nowhere) String() string  { return "memory" }

// errDry is a net.Error for the time being: nothing more has come yet.
var errDry net.Error = dry{}

type dry struct{}

func (dry) Error() string   { return "nothing more yet" }
func (dry) Timeout() bool   { return true }
func (dry) Temporary() bool { return true }
