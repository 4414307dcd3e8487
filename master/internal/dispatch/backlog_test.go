package dispatch

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// knock begins to connect, and does not wait for it.
func knock(t *testing.T, l Listener) {
	t.Helper()
	family, address := unix.AF_UNIX, unix.Sockaddr(&unix.SockaddrUnix{Name: l.Address})
	if l.Bound.IsValid() {
		family, address = unix.AF_INET, &unix.SockaddrInet4{Port: int(l.Bound.Port()), Addr: l.Bound.Addr().As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Error(err)
		return
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	_ = unix.Connect(fd, address) // under way, or refused: both are as it should be
}

// A listener that is removed, or closed at a stop, while each client that is
// accepted brings another: those that waited are served, and then it is closed.
func TestBacklogThatFillsAsItIsTaken(t *testing.T) {
	const waited, room = 10, 200
	for name, address := range map[string]string{
		"TCP": "127.0.0.1:0", "Unix": "@usher-backlog-test", "from systemd": "127.0.0.1:0",
	} {
		for how, end := range map[string]func(*rig, Settings){
			"stop":    func(r *rig, _ Settings) { r.CloseListeners() },
			"removal": func(r *rig, s Settings) { r.Configure(s, nil) },
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				r := newRig(t, 4000)
				network := "tcp"
				if name == "Unix" {
					network = "unix"
				}
				l := listenAt(t, network, address)
				l.Shared = name == "from systemd"
				settings := Settings{Policy: "a knock for each"}
				rows := policies
				policies = append(slices.Clip(rows), Policy{Name: settings.Policy, choose: func(c []candidate, peer netip.Addr, turn int) int {
					knock(t, l)
					return least(c, peer, turn)
				}})
				defer func() { policies = rows }()
				r.Configure(settings, []Listener{l})
				r.do(func() { r.accepts.pause.Grow(time.Now().Add(time.Hour)) }) // none is accepted before the end
				for range waited {
					knock(t, l)
				}
				w := r.addWorker(0, room)
				defer w.die()
				end(r, settings)
				if counts, _ := r.Snapshot(); counts.Accepted != waited {
					t.Errorf("%d accepted, want the %d that waited", counts.Accepted, waited)
				}
				w.receive(waited)
			})
		}
	}
}
