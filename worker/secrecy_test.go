package worker

import (
	"bytes"
	"crypto/tls"
	"testing"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/tlsrecord"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// The keys of a connection that has moved are in no buffer of the worker that it has left,
// and of the next one in no buffer but its record layer.
func TestNoKeysAreLeftInBuffers(t *testing.T) {
	secret := bytes.Repeat([]byte("never to be seen"), 2)
	for _, output := range []int{0, 2 * ipc.MaxState} { // the state goes in the packet, or in a memfd
		var old, next parcel
		for _, p := range []*parcel{&old, &next} {
			l := stoppedLoop(t, 1)
			m := &member{loop: l, handler: DataFunc(func(_ *Conn, in []byte) (int, error) { return len(in), nil })}
			m.intake = intake{member: m, clock: ipc.NewClock()}
			m.mover.member = m
			*p = parcel{mover: &m.mover, loop: l}
			l.start()
			t.Cleanup(l.end)
		}
		from, to := old.mover.member, next.mover.member
		queue, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		must(t, err)
		from.intake.fd, to.intake.fd = queue[0], queue[1]
		peers, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		must(t, err)
		t.Cleanup(func() { fdpass.CloseAll([]int{queue[0], queue[1], peers[0]}) })

		c := from.loop.adopt(&ipc.Envelope{ID: 1}, peers[1])
		layer, err := tlsrecord.NewTLS13(tlsrecord.Server, tls.TLS_AES_128_GCM_SHA256, secret, secret, 0, 0)
		must(t, err)
		facts, err := from.loop.facts.intern(appendFacts(nil, &TLSState{Version: tls.VersionTLS13}, [8]byte{}))
		must(t, err)
		c.useTLS(layer, facts)
		must(t, c.callOpen(from.handler))
		if output > 0 {
			c.appendOutput(make([]byte, output), nil)
			from.loop.settle()
		}

		if !old.freeze(c) || !old.send() {
			t.Fatal("it does not leave")
		}
		q := &to.intake
		must(t, q.receiver.Receive(q.fd, &q.packet))
		if output == 0 && !bytes.Contains(q.packet.Raw(0), secret) {
			t.Fatal("the keys are nowhere")
		}
		must(t, q.packet.Decode(0, &q.envelope))
		moved := to.loop.adopt(&q.envelope, q.packet.Take(0))
		_, err = q.thaw(moved)
		must(t, err)
		if _, ok := moved.TLS(); !ok {
			t.Fatal("it has no TLS any more")
		}
		for name, buffer := range map[string][]byte{
			"the encoded output": from.loop.wire, "the frozen state": old.state, "the packet that came": q.packet.Raw(0),
		} {
			if bytes.Contains(buffer[:cap(buffer)], secret[:8]) {
				t.Errorf("the keys are in %s", name)
			}
		}
	}
}
