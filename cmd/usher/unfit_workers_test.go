package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/usher-go/usher/internal/certtest"
)

// A program that does neither TLS nor PROXY does not get what comes to such a listener: a
// server does not start with it, and a reload to it is refused, while the connections of
// the old workers, encrypted or not, go on. Where no listener needs it, it serves.
func TestWorkersThatDoNoTLS(t *testing.T) {
	t.Parallel()
	program := []string{findPython(t), workerSource("lines.py")}
	called := strings.Join(program, " ")
	dir := t.TempDir()
	ca := certtest.NewCA(t, "test CA")
	cert, key := ca.Issue(t, certtest.Want{Names: []string{"one.example"}}).Write(t, dir, "live")

	for name, test := range map[string]struct{ listen, want string }{
		"TLS":   {"a=tls://127.0.0.1:0", `it did not say "tls" when it was ready, which --listen a=tls://127.0.0.1:0 needs (` + called + " cannot do TLS: start a program that can"},
		"PROXY": {"127.0.0.1:0?proxy=on", `it did not say "proxy" when it was ready, which --listen 127.0.0.1:0?proxy=on needs (` + called + " cannot read PROXY headers: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := usher(t, append([]string{"serve", "--control", filepath.Join(shortDir(t), "c"), "--workers", "1",
				"--tls-cert", cert, "--tls-key", key, "--listen", test.listen, "--"}, program...)...)
			if got.code != exitWorkers || !strings.Contains(got.stderr, "usher: the workers would not start: ") || !strings.Contains(got.stderr, test.want) {
				t.Errorf("%+v, want exit status %d and %s", got, exitWorkers, test.want)
			}
		})
	}

	files := []string{fmt.Sprintf("tls-cert = [%q]", cert), fmt.Sprintf("tls-key = [%q]", key), `workers = 1`}
	python := fmt.Sprintf("program = [%q, %q]", program[0], program[1])
	with := func(lines ...string) []string { return append(lines, files...) }
	s := serveConfigured(t, with(`listen = ["a=tls://127.0.0.1:0"]`, `app = "echo"`)...)
	conn, err := tls.Dial("tcp", s.address, &tls.Config{RootCAs: ca.Pool(), ServerName: "one.example"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	echo := func(text string) {
		t.Helper()
		got := make([]byte, len(text))
		if _, err := io.WriteString(conn, text); err != nil {
			t.Error(err)
		} else if _, err := io.ReadFull(conn, got); err != nil || string(got) != text {
			t.Errorf("it answers %q, %v; want %q", got, err, text)
		}
	}
	echo("before")
	s.write(with(`listen = ["a=tls://127.0.0.1:0"]`, python)...)
	s.refusesReload(`it did not say "tls" when it was ready, which --listen a=tls://127.0.0.1:0 needs`)
	echo("after a reload that was refused")
	s.write(with(`listen = ["a=127.0.0.1:0"]`, python)...)
	s.reload()
	echo("after TLS was taken off the listener")
	c := dial(t, s.address)
	c.ask(t, "in plain")
	c.leave(t)
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if status := s.until("the old worker is gone", ready(1)); status.Connections.Lost != 0 {
		t.Errorf("%d lost", status.Connections.Lost)
	}
	s.end()
}
