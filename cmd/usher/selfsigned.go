package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/usher-go/usher/internal/credentials"
)

// tlsCommands are about TLS.
type tlsCommands struct {
	SelfSigned selfSignedCommand `cmd:"" help:"Make a certificate that no CA has signed, and its key."`
}

// selfSignedCommand makes what a server can be tried with.
type selfSignedCommand struct {
	Dir  string   `arg:"" complete:"files" help:"Folder for cert.pem and key.pem; it is made if it is not there."`
	Name []string `env:"-" placeholder:"NAME" help:"A name or IP address that it is for, beside localhost, 127.0.0.1 and ::1. Repeatable."`
}

func (c *selfSignedCommand) Run() error {
	cert, key, err := credentials.SelfSigned(c.names(), time.Now())
	if err != nil {
		return usageError{err}
	}
	defer credentials.Wipe(key)
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return err
	}
	certFile, keyFile := filepath.Join(c.Dir, "cert.pem"), filepath.Join(c.Dir, "key.pem")
	if err := create(keyFile, key, 0o600); err != nil {
		return err
	}
	if err := create(certFile, cert, 0o644); err != nil {
		_ = os.Remove(keyFile) // the first error is the one to report
		return err
	}
	return sayHowToUse(os.Stdout, certFile, keyFile)
}

// names are those that the certificate is for, each once.
func (c *selfSignedCommand) names() (names []string) {
	for _, name := range append([]string{"localhost", "127.0.0.1", "::1"}, c.Name...) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// create writes a file that was not there.
func create(path string, content []byte, mode fs.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already; remove it, or name another folder", path)
	}
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Close()); err != nil {
		_ = os.Remove(path) // the first error is the one to report
	}
	return err
}

func sayHowToUse(w io.Writer, certFile, keyFile string) error {
	_, err := fmt.Fprintf(w, `made %[1]s and %[2]s, for trying: no client trusts it unless it is told to

usher serve --listen tls://127.0.0.1:8443 --tls-cert %[1]s --tls-key %[2]s
openssl s_client -quiet -connect localhost:8443 -CAfile %[1]s -verify_return_error
curl --cacert %[1]s https://localhost:8443/    # if a program that speaks HTTP is served
`, shellQuoted(certFile), shellQuoted(keyFile))
	return err
}

// shellQuoted returns a path as a shell takes it.
func shellQuoted(path string) string {
	for _, r := range path {
		if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '/' || r == '.' || r == '-' || r == '_' || r == '+' || r == ',') {
			return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
		}
	}
	return path
}
