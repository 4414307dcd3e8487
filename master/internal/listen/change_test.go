package listen

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/internal/leaktest"
	"golang.org/x/sys/unix"
)

// openAt returns the listeners of some addresses, which the caller closes.
func openAt(t *testing.T, addresses ...string) []*Listener {
	t.Helper()
	resolved, err := Resolve(parseAll(t, addresses...), nil)
	if err != nil {
		t.Fatal(err)
	}
	listeners, err := Open(Settings{Addresses: resolved, Sockets: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return listeners
}

// planFor is Plan for addresses as they are written.
func planFor(t *testing.T, held []*Listener, addresses ...string) (Change, error) {
	t.Helper()
	var inForce []Address
	for _, l := range held {
		inForce = append(inForce, l.From)
	}
	resolved, err := Resolve(parseAll(t, addresses...), inForce)
	if err != nil {
		t.Fatal(err)
	}
	return Plan(Settings{Addresses: resolved, Sockets: 1}, held)
}

// A listener stays whose address is asked for, however it is written, with its new name
// and mode; the others go, and what is new is bound.
func TestChange(t *testing.T) {
	dir := shortDir(t)
	defer unix.Umask(unix.Umask(0o027))
	const first = "127.0.0.1:0"
	for name, test := range map[string]struct {
		next    func(port uint16, path string) []string
		prepare func(path string)
		stay    []int    // of TCP and Unix, in the order that they have then
		names   []string // of all, likewise
		added   int
		mode    fs.FileMode
	}{
		"nothing": {next: func(_ uint16, path string) []string { return []string{first, "unix://" + path + "?mode=0640"} },
			stay: []int{0, 1}, names: []string{"", ""}, mode: 0o640},
		"a mode as the umask has it": {next: func(_ uint16, path string) []string { return []string{first, "unix://" + path} },
			stay: []int{0, 1}, names: []string{"", ""}, mode: 0o750},
		"names, order and mode": {next: func(_ uint16, path string) []string { return []string{"b=unix://" + path + "?mode=0600", "a=" + first} },
			stay: []int{1, 0}, names: []string{"b", "a"}, mode: 0o600},
		"spelling": {next: func(port uint16, path string) []string {
			return []string{fmt.Sprintf("tcp4://127.0.0.1:%d", port), "unix://" + filepath.Dir(path) + "/./" + filepath.Base(path) + "?mode=0640"}
		}, stay: []int{0, 1}, names: []string{"", ""}, mode: 0o640},
		"one goes": {next: func(_ uint16, path string) []string { return []string{"unix://" + path + "?mode=0640"} }, stay: []int{1}, names: []string{""}, mode: 0o640},
		"one comes": {next: func(_ uint16, path string) []string {
			return []string{first, "c=tcp4://" + first, "unix://" + path + "?mode=0640"}
		}, stay: []int{0, 1}, names: []string{"", "c", ""}, added: 1, mode: 0o640},
		"file is gone": {next: func(_ uint16, path string) []string { return []string{first, "unix://" + path + "?mode=0604"} }, prepare: func(path string) { _ = os.Remove(path) }, stay: []int{0}, names: []string{"", ""}, added: 1, mode: 0o604},
	} {
		t.Run(name, func(t *testing.T) {
			leaktest.Descriptors(t)
			path := filepath.Join(dir, "s")
			held := openAt(t, first, "unix://"+path+"?mode=0640")
			if test.prepare != nil {
				test.prepare(path)
			}
			change, err := planFor(t, held, test.next(held[0].Bound.Port(), path)...)
			if err != nil {
				t.Fatal(err)
			}
			if len(change.Added) != test.added || len(change.Removed) != len(held)-len(test.stay) {
				t.Errorf("%d added, %d removed; want %d and %d", len(change.Added), len(change.Removed), test.added, len(held)-len(test.stay))
			}
			after := change.Apply(held, hclog.NewNullLogger())
			CloseAll(change.Removed)
			defer CloseAll(after)
			var names []string
			var stay []int
			for _, l := range after {
				names = append(names, l.Name)
				if i := slices.Index(held, l); i >= 0 {
					stay = append(stay, i)
				}
			}
			if !slices.Equal(names, test.names) || !slices.Equal(stay, test.stay) {
				t.Errorf("%q, of which %v were there; want %q, %v", names, stay, test.names, test.stay)
			}
			if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != test.mode {
				t.Errorf("%v, %v; want the file with mode %v", info, err, test.mode)
			}
		})
	}
}

// localhost is two addresses: a listener that is bound to one of them stays, and the other
// is bound beside it.
func TestChangeToLocalhost(t *testing.T) {
	for name, test := range map[string]struct {
		held, next  string
		kept, added []string
	}{
		"from IPv4":         {"127.0.0.1:PORT", "localhost:PORT", []string{"127.0.0.1:PORT"}, []string{"[::1]:PORT"}},
		"from IPv6":         {"[::1]:PORT", "localhost:PORT", []string{"[::1]:PORT"}, []string{"127.0.0.1:PORT"}},
		"from both":         {"localhost:PORT", "localhost.:PORT", []string{"127.0.0.1:PORT", "[::1]:PORT"}, nil},
		"from any port":     {"localhost:0", "localhost.:0", []string{"127.0.0.1:ITS", "[::1]:ITS"}, nil},
		"from one any port": {"127.0.0.1:0", "localhost:0", []string{"127.0.0.1:ITS"}, []string{"[::1]:ITS"}},
	} {
		t.Run(name, func(t *testing.T) {
			leaktest.Descriptors(t)
			free := openAt(t, "localhost:0")
			if len(free) != 2 {
				CloseAll(free)
				t.Skip("there is no IPv6 here")
			}
			port := fmt.Sprint(free[0].Bound.Port())
			CloseAll(free)
			held := openAt(t, strings.ReplaceAll(test.held, "PORT", port))
			its := fmt.Sprint(held[0].Bound.Port())
			change, err := planFor(t, held, strings.ReplaceAll(test.next, "PORT", port))
			if err != nil {
				CloseAll(held)
				t.Fatal(err)
			}
			var kept, added []string
			for _, l := range held {
				if !slices.Contains(change.Removed, l) {
					kept = append(kept, l.Address)
				}
			}
			for _, l := range change.Added {
				added = append(added, l.Address)
			}
			is := strings.NewReplacer("PORT", port, "ITS", its)
			for _, list := range [][]string{test.kept, test.added} {
				for i := range list {
					list[i] = is.Replace(list[i])
				}
			}
			if !slices.Equal(kept, test.kept) || !slices.Equal(added, test.added) {
				t.Errorf("%q stay and %q are added, want %q and %q", kept, added, test.kept, test.added)
			}
			now := change.Apply(held, hclog.NewNullLogger())
			CloseAll(change.Removed)
			again, err := planFor(t, now, strings.ReplaceAll(test.next, "PORT", port))
			if err != nil || len(again.Added)+len(again.Removed) > 0 {
				t.Errorf("the same once more adds %d and removes %d, %v", len(again.Added), len(again.Removed), err)
			}
			CloseAll(now)
		})
	}
}

// What cannot be bound changes nothing, and is told with what has it.
func TestChangeThatCannotBe(t *testing.T) {
	leaktest.Descriptors(t)
	held := openAt(t, "127.0.0.1:0")
	defer CloseAll(held)
	port := held[0].Bound.Port()
	_, err := planFor(t, held, "127.0.0.1:0", "127.0.0.1:0", fmt.Sprintf("tcp4://:%d", port))
	if err == nil || !strings.Contains(err.Error(), "it overlaps with "+held[0].Address+", where this server listens itself") {
		t.Errorf("%v, want it to say who has the port", err)
	}
}

// With several sockets at an address the kernel spreads the clients among them: all
// listen at one port, in both families.
func TestSeveralSockets(t *testing.T) {
	leaktest.Descriptors(t)
	resolved, err := Resolve(parseAll(t, "localhost:0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	listeners, err := Open(Settings{Addresses: resolved, Sockets: 3}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer CloseAll(listeners)
	for _, l := range listeners {
		if n := len(l.Sockets()); n != 3 {
			t.Errorf("%s has %d sockets, want 3", l.Address, n)
		}
		if l.Bound.Port() != listeners[0].Bound.Port() {
			t.Errorf("%s and %s have different ports", l.Address, listeners[0].Address)
		}
		for _, fd := range l.Sockets() {
			if on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || on == 0 {
				t.Errorf("%s: a socket does not listen: %v", l.Address, err)
			}
		}
	}
	if got := Restore(States(listeners)); len(got) != len(listeners) || got[0].Bound != listeners[0].Bound || len(got[0].Sockets()) != 3 {
		t.Errorf("restored: %+v, want %+v", got, listeners)
	}
}

// What a listener's connections pass changes with the configuration, and its socket stays.
func TestOptionsChangeAndSocketsStay(t *testing.T) {
	leaktest.Descriptors(t)
	path := filepath.Join(shortDir(t), "a")
	held := openAt(t, "127.0.0.1:0", "tls://127.0.0.1:0", "unix://"+path+"?proxy=on")
	defer func() { CloseAll(held) }()
	plain, encrypted, local := held[0], held[1], held[2]
	for _, step := range []struct {
		addresses []string
		want      []*Listener
	}{
		{[]string{"127.0.0.1:0?proxy=on", "tls://127.0.0.1:0", "unix://" + path + "?tls=on&mode=0600"}, []*Listener{plain, encrypted, local}},
		{[]string{"tls://127.0.0.1:0", "127.0.0.1:0?proxy=on&trust=10.0.0.0/8", "unix://" + path}, []*Listener{encrypted, plain, local}},
		{[]string{"tls://127.0.0.1:0?cert=a.example", "unix://" + path}, []*Listener{encrypted, local}},
	} {
		change, err := planFor(t, held, step.addresses...)
		if err != nil || len(change.Added) > 0 {
			t.Fatalf("%q: %d added, %v", step.addresses, len(change.Added), err)
		}
		held = change.Apply(held, hclog.NewNullLogger())
		CloseAll(change.Removed)
		if len(held) != len(step.want) {
			t.Fatalf("%q: %d listeners are left", step.addresses, len(held))
		}
		for i, address := range parseAll(t, step.addresses...) {
			if l := step.want[i]; l.From != address || !slices.Contains(held, l) {
				t.Errorf("%s is of the listener %+v", step.addresses[i], l.From)
			}
		}
	}
	if status := Describe(held); status[0].URL() != "tls://"+encrypted.Address || !status[0].TLS || status[0].Cert != "a.example" || status[1].TLS {
		t.Errorf("%+v", status)
	}
}
