package load

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// TLS says how a plan's connections are encrypted. The zero value offers TLS 1.2 and 1.3,
// resumes sessions, and verifies the server by the system's authorities and the host that
// is dialled.
type TLS struct {
	CA         string `json:"ca"`          // file of authorities (PEM), in place of the system's
	Insecure   bool   `json:"insecure"`    // the server is not verified
	ServerName string `json:"server_name"` // asked for and verified; "": the host that is dialled
	NoResume   bool   `json:"no_resume"`   // each handshake is a full one
	Version    string `json:"version"`     // the only one, "1.2" or "1.3"; "": either
	Suite      string `json:"suite"`       // the only one, by its IANA name; "": as the two agree
	Cert       string `json:"cert"`        // file with the client's certificate (PEM); "": none
	Key        string `json:"key"`         // file with its key
}

// heldSessions is how many servers' sessions are held to resume. All connections to one
// server resume its latest.
const heldSessions = 8

var tlsVersions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// config reads the files, and returns what all connections to host have in common; host is
// "" if it has no name.
func (t *TLS) config(host string) (*tls.Config, error) {
	c := &tls.Config{
		ServerName: host, InsecureSkipVerify: t.Insecure, MinVersion: tls.VersionTLS12,
		DynamicRecordSizingDisabled: true, // a request is as few records as can be, from the first on
	}
	if t.ServerName != "" {
		c.ServerName = t.ServerName
	}
	if c.ServerName == "" && !t.Insecure {
		return nil, errors.New("a Unix socket has no name to verify the server by: give --server-name NAME, or --insecure")
	}
	if !t.NoResume {
		c.ClientSessionCache = tls.NewLRUClientSessionCache(heldSessions)
	}
	for _, set := range []func(*tls.Config) error{t.setVersion, t.setSuite, t.setFiles} {
		if err := set(c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (t *TLS) setVersion(c *tls.Config) error {
	if t.Version == "" {
		return nil
	}
	version, ok := tlsVersions[t.Version]
	if !ok {
		return fmt.Errorf("there is no TLS version %q here: 1.2 or 1.3", t.Version)
	}
	c.MinVersion, c.MaxVersion = version, version
	return nil
}

// setSuite pins a suite. Those of TLS 1.3 crypto/tls always offers all: there the server
// has the choice, and another choice than this one is an error.
func (t *TLS) setSuite(c *tls.Config) error {
	if t.Suite == "" {
		return nil
	}
	suites := tls.CipherSuites()
	n := slices.IndexFunc(suites, func(s *tls.CipherSuite) bool { return s.Name == t.Suite })
	if n < 0 {
		var names []string
		for _, s := range suites {
			names = append(names, s.Name)
		}
		return fmt.Errorf("there is no suite %q here: %s", t.Suite, strings.Join(names, ", "))
	}
	id, versions := suites[n].ID, suites[n].SupportedVersions
	if c.MaxVersion == 0 {
		c.MinVersion, c.MaxVersion = versions[len(versions)-1], versions[len(versions)-1]
	}
	if !slices.Contains(versions, c.MaxVersion) {
		return fmt.Errorf("suite %s is not one of TLS %s", t.Suite, t.Version)
	}
	c.CipherSuites = []uint16{id}
	c.VerifyConnection = func(state tls.ConnectionState) error {
		if state.CipherSuite != id {
			return fmt.Errorf("the server has chosen %s, not %s: of TLS 1.3's suites the client offers all, so pin it at the server", tls.CipherSuiteName(state.CipherSuite), t.Suite)
		}
		return nil
	}
	return nil
}

func (t *TLS) setFiles(c *tls.Config) error {
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return fmt.Errorf("authorities: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("authorities: %s has no certificate in PEM", t.CA)
		}
	}
	if (t.Cert == "") != (t.Key == "") {
		return errors.New("a client's certificate goes with its key: give both files, or neither")
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return fmt.Errorf("the client's certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// tlsError is an error of crypto/tls, of a handshake or a record.
type tlsError struct{ error }

func (e tlsError) Unwrap() error { return e.error }

// explainTLS says what to do about an error of TLS.
func explainTLS(err error) string {
	var notTLS tls.RecordHeaderError
	switch {
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return err.Error() + ": give --ca FILE, or --insecure"
	case errors.As(err, new(x509.HostnameError)):
		return err.Error() + ": give --server-name NAME, or --insecure"
	case errors.As(err, &notTLS):
		return "the server does not answer with TLS: is this the port for it?"
	}
	return err.Error()
}
