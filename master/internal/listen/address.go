package listen

import (
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"strings"

	"github.com/usher-go/usher/ipc"
)

// Address is where to listen, as an operator writes it.
type Address struct {
	Name    string // NAME of NAME=ADDRESS, or empty
	Network string // tcp, tcp4, tcp6, unix or systemd
	Host    string // TCP: an address, a name, or empty for every address
	Port    uint16 // TCP: 0 picks a free one
	Path    string // Unix socket: the file; @ in front: a name without a file (unix(7))
	// Mode is a Unix socket's file mode; 0: as the umask has it.
	Mode fs.FileMode
	// Inherited names sockets that systemd passes (sd_listen_fds(3)); empty: all of them.
	Inherited string
	Transport Transport // what its connections pass
}

// networks is the one list of what may stand before ://, and how the rest is read.
var networks = map[string]func(a *Address, rest string) error{
	"tcp":     parseHostPort,
	"tcp4":    parseHostPort,
	"tcp6":    parseHostPort,
	"unix":    parsePath,
	"systemd": func(a *Address, rest string) error { a.Inherited = rest; return nil },
}

// schemeTLS stands for tcp with TLS.
const schemeTLS = "tls"

// ParseAddress reads [NAME=]ADDRESS[?OPTION=VALUE[&…]], where ADDRESS is HOST:PORT, that
// after tcp://, tcp4://, tcp6:// or tls://, unix:///PATH, or systemd://[NAME]. The options
// are mode, of a Unix socket; tls and cert; proxy and trust. An error says what is wrong
// with which part.
func ParseAddress(s string) (Address, error) {
	address, err := parseAddress(s)
	if err != nil {
		return Address{}, fmt.Errorf("listen address %q: %w", s, err)
	}
	return address, nil
}

func parseAddress(s string) (Address, error) {
	a := Address{Network: "tcp"}
	if name, rest, found := cutName(s); found {
		if name == "" || len(name) > ipc.MaxNameInBatch {
			return a, fmt.Errorf("a name before = has 1 to %d bytes", ipc.MaxNameInBatch)
		}
		a.Name, s = name, rest
	}
	if network, rest, found := strings.Cut(s, "://"); found {
		a.Network, s = network, rest
	}
	if a.Network == schemeTLS {
		a.Network, a.Transport.TLS = "tcp", true
	}
	parse := networks[a.Network]
	if parse == nil {
		return a, fmt.Errorf("unknown kind %q: want tcp, tcp4, tcp6, tls, unix or systemd", a.Network)
	}
	s, query, _ := strings.Cut(s, "?")
	if err := parse(&a, s); err != nil {
		return a, err
	}
	return a, a.readOptions(query)
}

// cutName cuts NAME= off, which is not the = of a query.
func cutName(s string) (name, rest string, found bool) {
	name, rest, found = strings.Cut(s, "=")
	if !found || strings.ContainsAny(name, "/?:") {
		return "", s, false
	}
	return name, rest, true
}

func parseHostPort(a *Address, s string) error {
	if strings.Contains(s, "/") {
		return fmt.Errorf("want HOST:PORT, or unix:// before the path of a Unix socket: unix:///run/app.sock")
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("want HOST:PORT, such as 127.0.0.1:8888 or :8888")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("port %q is not a number from 0 to 65535", port)
	}
	a.Host, a.Port = host, uint16(n)
	return nil
}

// maxUnixPath is the longest path of a Unix socket, with its final NUL byte
// not counted (unix(7)).
const maxUnixPath = 107

func parsePath(a *Address, path string) error {
	if !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "@") || len(path) < 2 {
		return fmt.Errorf("want unix:///PATH, such as unix:///run/app.sock, or unix://@NAME")
	}
	if len(path) > maxUnixPath {
		return fmt.Errorf("a path of %d bytes is too long for a Unix socket, %d fit", len(path), maxUnixPath)
	}
	a.Path = path
	return nil
}

// String is the address as it may be written, without the name and the options; one of
// TCP with TLS begins with tls://.
func (a Address) String() string {
	switch a.Network {
	case "unix":
		return "unix://" + a.Path
	case "systemd":
		return "systemd://" + a.Inherited
	}
	return a.Transport.scheme() + net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port)))
}
