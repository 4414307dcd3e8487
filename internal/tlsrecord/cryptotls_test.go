package tlsrecord

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	_ "unsafe" // for linkname

	"pgregory.net/rapid"
)

// wire is one direction of a connection in memory. Its reader gets what is of one record
// at most, so that it takes nothing that is for another one.
type wire struct {
	mu      sync.Mutex
	more    sync.Cond
	b       []byte
	all     []byte // ever written
	left    int    // of the record that is being read
	waiting bool   // Read waits for more, as it does in a handshake
}

func newWire() *wire {
	w := &wire{waiting: true}
	w.more.L = &w.mu
	return w
}

func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.b, w.all = append(w.b, b...), append(w.all, b...)
	w.more.Broadcast()
	return len(b), nil
}

func (w *wire) Read(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.b) == 0 {
		if !w.waiting {
			return 0, os.ErrDeadlineExceeded // after which crypto/tls can read on
		}
		w.more.Wait()
	}
	if w.left == 0 {
		w.left = headerLen + int(binary.BigEndian.Uint16(w.b[3:]))
	}
	n := copy(b, w.b[:min(w.left, len(w.b))])
	w.b, w.left = w.b[n:], w.left-n
	return n, nil
}

// take removes up to n bytes.
func (w *wire) take(n int) []byte {
	n = min(n, len(w.b))
	b := slices.Clone(w.b[:n])
	w.b = w.b[n:]
	return b
}

// wires are a connection's end for crypto/tls.
type wires struct {
	net.Conn // nil: what is not below is not used
	in, out  *wire
}

func (w wires) Read(b []byte) (int, error)     { return w.in.Read(b) }
func (w wires) Write(b []byte) (int, error)    { return w.out.Write(b) }
func (wires) SetWriteDeadline(time.Time) error { return nil }
func (wires) Close() error                     { return nil }

// certificates of both kinds, made once.
var certificates = sync.OnceValues(func() (map[string]tls.Certificate, error) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	made := make(map[string]tls.Certificate)
	for kind, key := range map[string]crypto.Signer{"ECDSA": ec, "RSA": rsaKey} {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			return nil, err
		}
		made[kind] = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	}
	return made, nil
})

// What crypto/tls offers and picks in TLS 1.3, which no Config says. It keeps these names
// for other packages (go.dev/issue/67401); should they go, only the first suite is left to test
// with it.
//
//go:linkname preferred crypto/tls.defaultCipherSuitesTLS13
//go:linkname preferredNoAES crypto/tls.defaultCipherSuitesTLS13NoAES
var preferred, preferredNoAES []uint16

var preferring sync.Mutex

// taken is a connection of which a layer has one end, and crypto/tls the other.
type taken struct {
	layer   *Layer
	peer    *tls.Conn
	in, out *wire // of the layer
}

// takeOver has crypto/tls shake hands with itself, and takes one end over.
func takeOver(t *rapid.T, role Role, id uint16, tickets bool) *taken {
	made, err := certificates()
	if err != nil {
		t.Fatal(err)
	}
	toServer, toClient := newWire(), newWire()
	var keys bytes.Buffer
	written := uint64(0)
	base := &tls.Config{SessionTicketsDisabled: !tickets}
	config := &tls.Config{
		KeyLogWriter: &keys, SessionTicketsDisabled: !tickets, ClientSessionCache: tls.NewLRUClientSessionCache(1),
		ServerName: "localhost", InsecureSkipVerify: true,
		MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{id},
	}
	at, err := suiteOf(id)
	if err != nil {
		t.Fatal(err)
	}
	if suites[at].tls13 {
		config.MinVersion, config.MaxVersion = tls.VersionTLS13, tls.VersionTLS13
	}
	serverConfig := config.Clone()
	serverConfig.KeyLogWriter = nil
	serverConfig.Certificates = []tls.Certificate{made["ECDSA"]}
	if strings.Contains(tls.CipherSuiteName(id), "RSA") && !strings.Contains(tls.CipherSuiteName(id), "ECDSA") {
		serverConfig.Certificates = []tls.Certificate{made["RSA"]}
	}
	serverConfig.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		written++
		return base.EncryptTicket(cs, ss)
	}
	client := tls.Client(wires{in: toClient, out: toServer}, config)
	server := tls.Server(wires{in: toServer, out: toClient}, serverConfig)
	preferring.Lock()
	if suites[at].tls13 {
		preferred, preferredNoAES = []uint16{id}, []uint16{id}
	}
	served := make(chan error, 1)
	go func() { served <- server.Handshake() }()
	err = errors.Join(client.Handshake(), <-served)
	preferring.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	toServer.waiting, toClient.waiting = false, false
	if got := client.ConnectionState().CipherSuite; got != id {
		t.Fatalf("crypto/tls has taken %s", tls.CipherSuiteName(got))
	}
	c := &taken{peer: client, in: toServer, out: toClient}
	if role == Client {
		c.peer, c.in, c.out, written = server, toClient, toServer, 0
	}
	secrets := logged(t, keys.String())
	if suites[at].tls13 {
		c.layer, err = NewTLS13(role, id, secrets["CLIENT_TRAFFIC_SECRET_0"], secrets["SERVER_TRAFFIC_SECRET_0"], 0, written)
	} else {
		// A record of one handshake message begins each way: its random is behind
		// two headers and a version.
		c.layer, err = NewTLS12(role, id, secrets["CLIENT_RANDOM"], [32]byte(toServer.all[11:]), [32]byte(toClient.all[11:]), 1, 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	if last := lastRecord(c.out.all); !suites[at].tls13 || role == Server && tickets {
		if !c.layer.Opens(last) {
			t.Fatal("the last record of the handshake does not open")
		}
	}
	return c
}

func lastRecord(all []byte) (last []byte) {
	for len(all) > 0 {
		n := headerLen + int(binary.BigEndian.Uint16(all[3:]))
		last, all = all[:n], all[n:]
	}
	return last
}

func logged(t *rapid.T, text string) map[string][]byte {
	secrets := make(map[string][]byte)
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		secret, err := hex.DecodeString(fields[2])
		if err != nil {
			t.Fatal(err)
		}
		secrets[fields[0]] = secret
	}
	return secrets
}

// numbered is n bytes, of a stream in which each says where it is.
func numbered(from, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte((from + i) * 167 >> 4)
	}
	return b
}

// TestCryptoTLS has a layer speak with crypto/tls, in all suites and both roles: what is
// written at one end comes at the other, in order, whatever pieces it comes in, whoever
// updates keys, wherever the layer is frozen, and up to the close.
func TestCryptoTLS(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := &suites[rapid.IntRange(0, len(suites)-1).Draw(t, "suite")]
		role := Role(rapid.IntRange(0, 1).Draw(t, "role"))
		c := takeOver(t, role, s.id, rapid.Bool().Draw(t, "tickets"))
		var cache Cache
		c.layer.SetCache(&cache)
		var (
			raw            []byte // not opened yet
			sent, seen     int    // to the peer
			written, taken int    // by the peer
		)
		receive := func(n int) {
			raw = append(raw, c.in.take(n)...)
			o := c.layer.Open(raw)
			if o.Err != nil || o.Reply != nil || !bytes.Equal(o.Plain, numbered(taken, len(o.Plain))) {
				t.Fatalf("after %d bytes: %d plain ones, %v", taken, len(o.Plain), o.Err)
			}
			taken += len(o.Plain)
			raw = slices.Clone(raw[o.Used:])
		}
		read := func() {
			for b := make([]byte, 20000); ; {
				n, err := c.peer.Read(b)
				if !bytes.Equal(b[:n], numbered(seen, n)) {
					t.Fatalf("the peer reads something else after %d bytes", seen)
				}
				seen += n
				if errors.Is(err, os.ErrDeadlineExceeded) {
					return
				}
				if err != nil {
					t.Fatalf("the peer reads %v after %d bytes", err, seen)
				}
			}
		}
		size := func() int {
			return rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(16383, 16386), rapid.IntRange(0, 70000)).Draw(t, "size")
		}
		t.Repeat(map[string]func(*rapid.T){
			"seal": func(t *rapid.T) {
				n := size()
				_, _ = c.out.Write(c.layer.Seal(nil, numbered(sent, n))) // into memory
				sent += n
			},
			"write": func(t *rapid.T) {
				n := size()
				if _, err := c.peer.Write(numbered(written, n)); err != nil {
					t.Fatal(err)
				}
				written += n
			},
			"receive":     func(t *rapid.T) { receive(size()) },
			"receive all": func(t *rapid.T) { receive(1 << 30) },
			"read":        func(t *rapid.T) { read() },
			"update": func(t *rapid.T) {
				if !s.tls13 {
					t.Skip("TLS 1.2 has no KeyUpdate")
				}
				if c.layer.owed == owedNone && rapid.Bool().Draw(t, "ask") {
					c.layer.owed = owedAsk // crypto/tls does not ask by itself, but answers
				}
				_, _ = c.out.Write(c.layer.update(nil))
				// Data, since crypto/tls refuses more than 16 without.
				_, _ = c.out.Write(c.layer.Seal(nil, numbered(sent, 1)))
				sent++
			},
			"freeze": func(t *rapid.T) {
				thawed, err := Thaw(c.layer.Freeze(nil))
				if err != nil {
					t.Fatal(err)
				}
				c.layer.Wipe()
				c.layer = thawed
				c.layer.SetCache(&cache)
			},
			"sweep": func(t *rapid.T) { cache.Sweep() },
		})
		receive(1 << 30)
		read()
		receive(1 << 30) // what the peer has answered
		if seen != sent || taken != written || len(raw) > 0 {
			t.Fatalf("%d bytes came of %d, and %d of %d the other way; %d are left", seen, sent, taken, written, len(raw))
		}
		c.close(t, rapid.Bool().Draw(t, "the layer closes first"))
	})
}

// close ends both directions.
func (c *taken) close(t *rapid.T, first bool) {
	finish := func() {
		_, _ = c.out.Write(c.layer.CloseNotify(nil)) // into memory
		if _, err := c.peer.Read(make([]byte, 1)); err != io.EOF {
			t.Fatalf("the peer reads %v at the end", err)
		}
	}
	if first {
		finish()
	}
	if err := c.layer.EOF(); err != io.ErrUnexpectedEOF {
		t.Fatalf("before close_notify, EOF says %v", err)
	}
	if err := c.peer.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	o := c.layer.Open(c.in.take(1 << 30))
	if !o.End || o.Err != nil || len(o.Plain) > 0 || c.layer.EOF() != nil {
		t.Fatalf("after close_notify: %t, %v; EOF says %v", o.End, o.Err, c.layer.EOF())
	}
	if !first {
		finish()
	}
}

// crypto/tls must understand the alert that it is sent.
func TestCryptoTLSHearsTheAlert(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := &suites[rapid.IntRange(0, len(suites)-1).Draw(t, "suite")]
		c := takeOver(t, Role(rapid.IntRange(0, 1).Draw(t, "role")), s.id, false)
		if _, err := c.peer.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		record := c.in.take(1 << 30)
		record[rapid.IntRange(headerLen, len(record)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		o := c.layer.Open(record)
		if !errors.Is(o.Err, faultMAC) || len(o.Plain) > 0 {
			t.Fatalf("a flipped bit gives %v, %q", o.Err, o.Plain)
		}
		_, _ = c.out.Write(o.Reply) // into memory
		if _, err := c.peer.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "remote error: tls: bad record MAC") {
			t.Fatalf("the peer reads %v", err)
		}
	})
}
