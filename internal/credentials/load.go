package credentials

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Files are what an operator names. Certs and Keys are pairs, by their places in the two
// lists; the first pair is the default. The zero value names nothing.
type Files struct {
	Certs      []string // PEM: a certificate, then those of its issuers
	Keys       []string // PEM: the private key of the certificate at the same place
	ClientCA   string   // PEM: the CAs of which clients must show a certificate; empty: they need none
	OCSP       []string // DER: an OCSP answer each (RFC 6960), about one of Certs
	MinVersion string   // of TLS: 1.2 or 1.3; empty: 1.2
}

// minVersions are what MinVersion may be.
var minVersions = map[string]uint16{"": tls.VersionTLS12, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// The settings that name files, as errors have them.
const (
	settingCert       = "tls-cert"
	settingKey        = "tls-key"
	settingClientCA   = "tls-client-ca"
	settingOCSP       = "tls-ocsp"
	settingTicketKeys = "tls-ticket-keys"
	settingMin        = "tls-min"
)

// Error is what is wrong with a setting, or with a file that it names.
type Error struct {
	Setting string // as an operator knows it: tls-cert
	File    string // empty: it is not about one
	Problem string // what is wrong, and what to do
}

func (e *Error) Error() string {
	if e.File == "" {
		return e.Setting + " " + e.Problem
	}
	return e.Setting + " " + e.File + ": " + e.Problem
}

// soon is how long before it expires a certificate is warned of.
const soon = 14 * 24 * time.Hour

// Load reads and checks files at a time: what is expired then is refused. It returns
// warnings, a line each: of what works, and may not for long or for everybody. Its errors
// are of the type Error, name the file, and say what to do. It blocks as files do.
func Load(f Files, now time.Time) (*Credentials, []string, error) {
	l := &loader{now: now}
	c, err := l.load(f)
	if err != nil {
		return nil, nil, err
	}
	return c, l.warnings, nil
}

// loader is one Load.
type loader struct {
	now      time.Time
	warnings []string
}

func (l *loader) warn(setting, file, format string, args ...any) {
	l.warnings = append(l.warnings, (&Error{setting, file, fmt.Sprintf(format, args...)}).Error())
}

func (l *loader) load(f Files) (*Credentials, error) {
	minVersion, known := minVersions[f.MinVersion]
	switch {
	case !known:
		return nil, &Error{settingMin, "", fmt.Sprintf("is %q, want 1.2 or 1.3", f.MinVersion)}
	case len(f.Certs) != len(f.Keys):
		return nil, &Error{settingCert, "", fmt.Sprintf("and %s are pairs, by their places, and name %d and %d files; name a key for each certificate", settingKey, len(f.Certs), len(f.Keys))}
	case len(f.Certs) == 0 && f.ClientCA != "":
		return nil, &Error{settingClientCA, f.ClientCA, "there is no certificate for the server itself; name one with " + settingCert + ", and its key with " + settingKey}
	}
	certificates, err := l.pairs(f)
	if err != nil {
		return nil, err
	}
	for _, file := range f.OCSP {
		if err := l.staple(file, certificates); err != nil {
			return nil, err
		}
	}
	var clientCAs []*x509.Certificate
	if f.ClientCA != "" {
		if clientCAs, err = l.clientCAs(f.ClientCA); err != nil {
			return nil, err
		}
	}
	c := newCredentials(certificates, clientCAs, minVersion)
	if n := encodedSize(c, nil); n > MaxEncoded {
		return nil, &Error{settingCert, "", fmt.Sprintf("and the other files have %d bytes together, %d fit; name fewer", n, MaxEncoded)}
	}
	return c, nil
}

// maxFile is how large a file may be: of certificates, some thousand.
const maxFile = 4 << 20

// read returns what is in a file of a setting.
func read(setting, path string) ([]byte, error) {
	data, err := readFile(path)
	problem := ""
	switch {
	case err == nil && len(data) == 0:
		return nil, &Error{setting, path, "is empty, as one that was cut off; write it anew"}
	case err == nil && len(data) > maxFile:
		return nil, &Error{setting, path, fmt.Sprintf("is larger than %d bytes; is it the right file?", maxFile)}
	case err == nil:
		return data, nil
	case errors.Is(err, fs.ErrNotExist):
		problem = "there is no such file; mend the path"
	case errors.Is(err, fs.ErrPermission):
		problem = "this server's user may not read it; see chown(1) and chmod(1)"
	case errors.Is(err, unix.EISDIR):
		problem = "is a folder; name the file in it"
	default:
		problem = err.Error()
	}
	return nil, &Error{setting, path, problem}
}

// readFile reads a file, or so much that it is too large. It makes no copies on the way
// that nobody could wipe, of a file that has a size.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	room := bytes.MinRead // what the buffer wants to have when it asks for more
	if info, err := file.Stat(); err == nil {
		room += int(min(info.Size(), maxFile+1))
	}
	data := bytes.NewBuffer(make([]byte, 0, room))
	_, err = data.ReadFrom(io.LimitReader(file, maxFile+1))
	return data.Bytes(), err
}

// readSecret is read, of a file that should be its owner's alone.
func (l *loader) readSecret(setting, path string) ([]byte, error) {
	data, err := read(setting, path)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o007 != 0 {
		l.warn(setting, path, "every user of this machine may read or write it (mode %04o); chmod 600", info.Mode().Perm())
	}
	return data, nil
}

// day is how a time is written.
func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
