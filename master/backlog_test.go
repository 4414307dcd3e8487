package master

import (
	"net/netip"
	"testing"
	"time"

	"github.com/usher-go/usher/master/internal/listen"
	"golang.org/x/sys/unix"
)

// openAt returns the listeners of an address.
func openAt(t testing.TB, s string) []*listen.Listener {
	t.Helper()
	address, err := ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	resolved, err := listen.Resolve([]Address{address}, nil)
	if err != nil {
		t.Fatal(err)
	}
	listeners, err := listen.Open(listen.Settings{Addresses: resolved, Sockets: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return listeners
}

// knock begins to connect, and does not wait for it.
func knock(t *testing.T, l *listen.Listener) {
	t.Helper()
	family, address := unix.AF_UNIX, unix.Sockaddr(&unix.SockaddrUnix{Name: l.From.Path})
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
		"TCP": "127.0.0.1:0", "Unix": "unix://@usher-backlog-test", "from systemd": "127.0.0.1:0",
	} {
		for how, end := range map[string]func(*house, *Config){
			"stop": func(h *house, _ *Config) { h.closeListeners() },
			"removal": func(h *house, c *Config) {
				h.apply(c, listen.Change{Removed: h.listeners})
			},
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				h := newHouse(t, 4000)
				listeners := openAt(t, address)
				l := listeners[0]
				if name == "from systemd" {
					l.From = Address{Network: "systemd"}
				}
				config := &Config{Dispatch: "a knock for each"}
				policies[config.Dispatch] = func(c []candidate, peer netip.Addr, turn int) int {
					knock(t, l)
					return policies["least"](c, peer, turn)
				}
				defer delete(policies, config.Dispatch)
				h.apply(config, listen.Change{Added: listeners, Removed: h.listeners})
				h.do(func() { h.backoff.until = time.Now().Add(time.Hour) }) // none is accepted before the end
				for range waited {
					knock(t, l)
				}
				w := h.hire(0, room)
				defer w.die()
				end(h, config)
				if counts, _, _ := h.snapshot(); counts.Accepted != waited {
					t.Errorf("%d accepted, want the %d that waited", counts.Accepted, waited)
				}
				w.receive(waited)
			})
		}
	}
}
