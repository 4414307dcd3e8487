package listen

import (
	"fmt"
	"io/fs"
	"net"
	"net/url"
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
}

// networks is the one list of what may stand before ://, and how the rest is read.
var networks = map[string]func(a *Address, rest string) error{
	"tcp":     parseHostPort,
	"tcp4":    parseHostPort,
	"tcp6":    parseHostPort,
	"unix":    parsePath,
	"systemd": func(a *Address, rest string) error { a.Inherited = rest; return nil },
}

// ParseAddress reads [NAME=]ADDRESS, where ADDRESS is HOST:PORT, that after
// tcp://, tcp4:// or tcp6://, unix:///PATH[?mode=0660], or systemd://[NAME]. An
// error says what is wrong with which part.
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
	parse := networks[a.Network]
	if parse == nil {
		return a, fmt.Errorf("unknown kind %q: want tcp, tcp4, tcp6, unix or systemd", a.Network)
	}
	return a, parse(&a, s)
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

func parsePath(a *Address, s string) error {
	path, query, _ := strings.Cut(s, "?")
	if !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "@") || len(path) < 2 {
		return fmt.Errorf("want unix:///PATH, such as unix:///run/app.sock, or unix://@NAME")
	}
	if len(path) > maxUnixPath {
		return fmt.Errorf("a path of %d bytes is too long for a Unix socket, %d fit", len(path), maxUnixPath)
	}
	options, err := url.ParseQuery(query)
	if err != nil {
		return fmt.Errorf("after the ? want mode=0660 or such")
	}
	for option, values := range options {
		if option != "mode" {
			return fmt.Errorf("unknown option %q: want mode=0660 or such", option)
		}
		mode, err := strconv.ParseUint(values[0], 8, 9)
		if err != nil || mode == 0 || strings.HasPrefix(path, "@") {
			return fmt.Errorf("mode %q is not a file mode in octal from 0001 to 0777, of a socket that has a file", values[0])
		}
		a.Mode = fs.FileMode(mode)
	}
	a.Path = path
	return nil
}

// String is the address as it may be written, without the name.
func (a Address) String() string {
	switch a.Network {
	case "unix":
		return "unix://" + a.Path
	case "systemd":
		return "systemd://" + a.Inherited
	}
	return net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port)))
}
