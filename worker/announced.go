package worker

import (
	"fmt"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/credentials"
	"github.com/usher-go/usher/internal/tlshandshake"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// What the master says of transports, before the worker is ready and later. The secrets
// come in sealed memfds: this process need not be able to read the files.

// learn takes note of what hello says of transports. memfd came with it, and holds the
// credentials, or is -1; learn takes ownership of it, even on error. protos are offered by
// ALPN.
func (t *transports) learn(hello ipc.Hello, memfd int, protos []string) error {
	t.handshakeTime = time.Duration(hello.TLSHandshakeTimeoutMS) * time.Millisecond
	if t.handshakeTime <= 0 {
		t.handshakeTime = handshakeTime
	}
	var keys *credentials.TicketKeys
	if memfd >= 0 {
		sealed, err := readSecret(memfd)
		if err != nil {
			return fmt.Errorf("credentials: %w", err)
		}
		t.credentials, keys, err = credentials.Decode(sealed)
		credentials.Wipe(sealed)
		if err != nil {
			return err
		}
	}
	if t.credentials != nil {
		t.pool = tlshandshake.NewPool(maxComputing)
	}
	t.passages = make(map[uint8]*passage)
	for _, said := range hello.Transports {
		p := &passage{proxied: said.Proxy, trust: said.Trust}
		if said.TLS {
			if t.credentials == nil {
				t.passages[said.Number] = nil // of a listener that is gone, as is all TLS: who has not shaken hands is refused
				continue
			}
			p.config = t.credentials.Config(said.Cert, protos, keys)
		}
		t.passages[said.Number] = p
	}
	return nil
}

// renewTicketKeys replaces the keys of session tickets by those in memfd, of which it
// takes ownership. It is for any goroutine; handshakes that have begun go on with theirs.
func (t *transports) renewTicketKeys(memfd int) error {
	sealed, err := readSecret(memfd)
	if err != nil {
		return fmt.Errorf("worker: ticket keys: %w", err)
	}
	defer credentials.Wipe(sealed)
	keys, err := credentials.DecodeTicketKeys(sealed)
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	for _, p := range t.passages {
		if p != nil && p.config != nil { // nil: TLS has gone
			keys.SetOn(p.config)
		}
	}
	return nil
}

// readSecret returns what is in a sealed memfd, of which it takes ownership. The caller
// wipes it.
func readSecret(memfd int) ([]byte, error) {
	defer func() { _ = unix.Close(memfd) }() // it was only read
	return fdpass.ReadSealed(memfd, credentials.MaxEncoded)
}

// accessFormatOf returns the format of an access log by its name in messages. known is false
// for one of which this program knows nothing; it logs none then.
func accessFormatOf(name string) (format accessFormat, known bool) {
	switch name {
	case "":
		return accessOff, true
	case ipc.AccessCombined:
		return accessCombined, true
	case ipc.AccessJSON:
		return accessJSON, true
	}
	return accessOff, false
}

// takeAccessLog has the access log go on as the master says, and tells it when that is so.
// It takes ownership of the file's descriptor, which is -1 where there is none.
func (m *member) takeAccessLog(message ipc.AccessLog, fd int) {
	format, known := accessFormatOf(message.Format)
	if !known {
		m.loop.log.Error("access log is off, this program does not know its format", "reason", message.Format)
		fdpass.CloseAll([]int{fd})
		fd = -1
	}
	m.loop.accessLog.take(format, fd, func() { m.control.send(ipc.AccessLogTaken{ID: message.ID}) })
}
