package master

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/usher-go/usher/internal/credentials"
)

// This file is what a configuration says about TLS and PROXY headers: whether it can be,
// and what the files hold that it names.

// CertificateStatus is what anybody may know of a certificate.
type CertificateStatus struct {
	File     string    `json:"file"`
	Names    []string  `json:"names"`     // DNS names that clients may ask for, then IP addresses
	NotAfter time.Time `json:"not_after"` // when it expires
}

// CheckTLS reads and checks the files that are named for TLS, as Run and each reload do. It
// returns what it found, the default certificate first, and warnings: what may do for a
// while, or for some clients only. Errors wrap ErrConfig. It may block as long as a file
// system does.
func (c Config) CheckTLS() (certificates []CertificateStatus, warnings []string, err error) {
	if _, err := c.check(); err != nil {
		return nil, nil, err
	}
	if err := c.loadTLS(time.Now()); err != nil {
		return nil, nil, err
	}
	defer c.tls.wipe()
	return c.tls.certificates(), c.tls.warnings, nil
}

// checkTransports refuses addresses whose options contradict other settings.
func (c *Config) checkTransports(addresses []Address) error {
	for _, a := range addresses {
		switch {
		case a.Transport.TLS && len(c.TLSCerts) == 0:
			return &ConfigError{Key: "listen", Problem: fmt.Sprintf("listen %s: TLS wants a certificate; name one with tls-cert, and its key with tls-key", called(a))}
		case a.Transport.Proxy && c.policy().ByAddress:
			return &ConfigError{Key: "dispatch", Problem: fmt.Sprintf("dispatch %s looks at a client's address before any byte has come, and behind the proxies of listener %s that is theirs; choose another policy, or leave proxy=on out there", c.Dispatch, called(a))}
		case a.Transport.Proxy && c.MaxConnsPerIP > 0:
			return &ConfigError{Key: "max-conns-per-ip", Problem: fmt.Sprintf("max-conns-per-ip looks at a client's address before any byte has come, and behind the proxies of listener %s that is theirs; have the proxies limit, or leave proxy=on out there", called(a))}
		}
	}
	return nil
}

// called is how an operator knows an address.
func called(a Address) string {
	if a.Name != "" {
		return a.Name + "=" + a.String()
	}
	return a.String()
}

// loadedTLS is what the files hold that a configuration names for TLS. It does not change.
type loadedTLS struct {
	credentials *credentials.Credentials // nil: no certificate is named
	ticketKeys  *credentials.TicketKeys  // of a file; nil: the master makes its own
	warnings    []string
}

// loadTLS reads the files, and checks that they do for the listeners of a configuration
// that was checked. It may block as long as a file system does. A program that takes over
// has them from the one before.
func (c *Config) loadTLS(now time.Time) error {
	loaded, err := c.readTLS(now)
	if err != nil {
		loaded.wipe()
	}
	if wrong, is := errors.AsType[*credentials.Error](err); is {
		return &ConfigError{Key: wrong.Setting, Problem: wrong.Error()}
	}
	if err != nil {
		return err
	}
	c.tls = loaded
	return nil
}

func (c *Config) readTLS(now time.Time) (*loadedTLS, error) {
	files := credentials.Files{
		Certs: c.paths(c.TLSCerts), Keys: c.paths(c.TLSKeys), ClientCA: c.path(c.TLSClientCA),
		OCSP: c.paths(c.TLSOCSP), MinVersion: c.TLSMin,
	}
	read, warnings, err := credentials.Load(files, now)
	if err != nil {
		return nil, err
	}
	loaded := &loadedTLS{warnings: warnings}
	if len(c.TLSCerts) > 0 {
		loaded.credentials = read
	}
	if c.TLSTicketKeys != "" {
		loaded.ticketKeys, warnings, err = credentials.LoadTicketKeys(c.path(c.TLSTicketKeys))
		if err != nil {
			return nil, err
		}
		loaded.warnings = append(loaded.warnings, warnings...)
	}
	return loaded, loaded.fits(c.addresses())
}

// fits refuses what no listener can do with, and adds a warning if none has TLS.
func (l *loadedTLS) fits(addresses []Address) error {
	for _, a := range addresses {
		if cert := a.Transport.Cert; cert != "" && !l.credentials.Has(cert) {
			return &ConfigError{Key: "listen", Problem: fmt.Sprintf("listen %s: cert=%s is in no certificate; there are %s", called(a), cert, l.names())}
		}
	}
	named := l.credentials != nil || l.ticketKeys != nil
	if named && !slices.ContainsFunc(addresses, func(a Address) bool { return a.Transport.TLS }) {
		l.warnings = append(l.warnings, "tls-cert and the like have no effect: no address of listen has TLS; write tls:// before one, or ?tls=on after it")
	}
	return nil
}

// names lists the names of all certificates, or some, for an error.
func (l *loadedTLS) names() string {
	var names []string
	for _, one := range l.credentials.Certificates() {
		names = append(names, one.Names...)
	}
	const enough = 20
	if len(names) > enough {
		names = append(names[:enough:enough], fmt.Sprintf("and %d more", len(names)-enough))
	}
	if len(names) == 0 {
		return "no names in any"
	}
	return strings.Join(names, ", ")
}

// certificates is what status shows.
func (l *loadedTLS) certificates() (list []CertificateStatus) {
	if l == nil || l.credentials == nil {
		return nil
	}
	for _, one := range l.credentials.Certificates() {
		list = append(list, CertificateStatus{one.File, one.Names, one.NotAfter})
	}
	return list
}

// logTLSWarnings logs what the files want an operator to know.
func (c *Config) logTLSWarnings() {
	for _, warning := range c.tls.warnings {
		c.Logger.Warn("TLS works, and wants attention", "reason", warning)
	}
}

// path returns a path that counts from Directory, absolute if that is; of none, none.
func (c *Config) path(path string) string {
	if path == "" || filepath.IsAbs(path) || c.Directory == "" {
		return path
	}
	return filepath.Join(c.Directory, path)
}

func (c *Config) paths(paths []string) (joined []string) {
	for _, path := range paths {
		joined = append(joined, c.path(path))
	}
	return joined
}
