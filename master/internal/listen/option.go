package listen

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// option is one that may follow the ? of an address.
type option struct {
	name string
	want string // how it is written
	read func(a *Address, value string) error
	many bool // it may be said again
}

// addressOptions is the one list of them.
var addressOptions = []option{
	{name: "mode", want: "mode=0660", read: readMode},
	{name: "tls", want: "tls=on|off", read: func(a *Address, value string) (err error) {
		a.Transport.TLS, err = readSwitch("tls", value)
		return err
	}},
	{name: "cert", want: "cert=NAME", read: readCert},
	{name: "proxy", want: "proxy=on|off", read: func(a *Address, value string) (err error) {
		a.Transport.Proxy, err = readSwitch("proxy", value)
		return err
	}},
	{name: "trust", want: "trust=CIDR[,CIDR]", many: true},
}

// optionsHelp says which options there are.
func optionsHelp() string {
	var wants []string
	for _, o := range addressOptions {
		wants = append(wants, o.want)
	}
	return strings.Join(wants, ", ")
}

// readOptions reads what follows the ? of an address, of which all else was read.
func (a *Address) readOptions(query string) error {
	said, err := url.ParseQuery(query)
	if err != nil {
		return fmt.Errorf("after the ? want options, with & between them: %s", optionsHelp())
	}
	for _, name := range slices.Sorted(maps.Keys(said)) {
		if !slices.ContainsFunc(addressOptions, func(o option) bool { return o.name == name }) {
			return fmt.Errorf("unknown option %q: want %s", name, optionsHelp())
		}
	}
	byScheme := a.Transport.TLS
	for _, o := range addressOptions {
		values := said[o.name]
		if len(values) > 1 && !o.many {
			return fmt.Errorf("%s is there %d times; leave all out but one", o.name, len(values))
		}
		if len(values) > 0 && o.read != nil {
			if err := o.read(a, values[0]); err != nil {
				return err
			}
		}
	}
	if byScheme && !a.Transport.TLS {
		return errors.New("tls:// and tls=off contradict each other; write tcp://, or leave the option out")
	}
	if a.Transport.Cert != "" && !a.Transport.TLS {
		return errors.New("cert says which certificate TLS shows first; it wants tls=on, or tls://, beside it")
	}
	return a.readTrust(said["trust"])
}

// readTrust reads whose PROXY headers are to be believed.
func (a *Address) readTrust(lists []string) (err error) {
	t := &a.Transport
	switch {
	case len(lists) == 0 && t.Proxy && a.Network != "unix":
		t.Trust = loopback
	case len(lists) == 0:
	case !t.Proxy:
		return errors.New("trust says whose PROXY headers are believed; it wants proxy=on beside it")
	case a.Network == "unix":
		return errors.New("trust is for networks, and whoever may connect to a Unix socket is believed; leave it out, and see mode")
	default:
		t.Trust, err = parseTrust(lists)
	}
	return err
}

func readSwitch(name, value string) (bool, error) {
	if value != "on" && value != "off" {
		return false, fmt.Errorf("%s is %q, want on or off", name, value)
	}
	return value == "on", nil
}

func readMode(a *Address, value string) error {
	if a.Network != "unix" {
		return errors.New("mode is that of a Unix socket's file; there is none here")
	}
	mode, err := strconv.ParseUint(value, 8, 9)
	if err != nil || mode == 0 || strings.HasPrefix(a.Path, "@") {
		return fmt.Errorf("mode %q is not a file mode in octal from 0001 to 0777, of a socket that has a file", value)
	}
	a.Mode = fs.FileMode(mode)
	return nil
}

// maxCertName is how long a DNS name may be (RFC 1035, section 2.3.4).
const maxCertName = 253

func readCert(a *Address, value string) error {
	name := strings.TrimSuffix(strings.ToLower(value), ".")
	unnamely := func(r rune) bool { return r <= ' ' || r > '~' }
	if name == "" || len(name) > maxCertName || strings.ContainsFunc(name, unnamely) {
		return fmt.Errorf("cert %q is no name of a certificate, such as example.com", value)
	}
	a.Transport.Cert = name
	return nil
}
