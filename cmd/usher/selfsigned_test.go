package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// usher tls self-signed makes files that usher check finds good, and never writes over any.
func TestSelfSigned(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "it's here")
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	made := usher(t, "tls", "self-signed", dir, "--name", "a.example", "--name", "localhost")
	quoted := strings.ReplaceAll(dir, "'", `'\''`)
	want := fmt.Sprintf("usher serve --listen tls://127.0.0.1:8443 --tls-cert '%[1]s/cert.pem' --tls-key '%[1]s/key.pem'\n", quoted)
	if made.code != 0 || made.stderr != "" || !strings.Contains(made.stdout, want) || !strings.Contains(made.stdout, fmt.Sprintf("curl --cacert '%s/cert.pem' ", quoted)) {
		t.Fatalf("%+v, want %s", made, want)
	}
	for path, mode := range map[string]os.FileMode{key: 0o600, cert: 0o644} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&^mode != 0 {
			t.Errorf("%v, %v", info, err)
		}
	}
	checked := usher(t, "check", "--listen", "tls://127.0.0.1:0", "--tls-cert", cert, "--tls-key", key)
	if checked.code != 0 || !strings.HasPrefix(checked.stdout, "certificate "+cert+" for localhost, a.example, 127.0.0.1, ::1, expires 20") || !strings.Contains(checked.stdout, "\nok: would serve on tls://127.0.0.1:0 with ") {
		t.Errorf("%+v", checked)
	}

	again := usher(t, "tls", "self-signed", dir)
	if want := "usher: " + key + " is there already; remove it, or name another folder\n"; again.code != exitFailed || again.stderr != want {
		t.Errorf("again: %+v", again)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	again = usher(t, "tls", "self-signed", dir)
	if _, err := os.Stat(key); !strings.Contains(again.stderr, cert+" is there already") || err == nil {
		t.Errorf("with the certificate alone: %+v, and a key is there: %v", again, err == nil)
	}
	if bad := usher(t, "tls", "self-signed", t.TempDir(), "--name", "a b"); bad.code != exitUsage || !strings.Contains(bad.stderr, `"a b" is no name for a certificate`) {
		t.Errorf("%+v", bad)
	}
}
