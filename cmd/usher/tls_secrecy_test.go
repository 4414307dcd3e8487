package main

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

func init() {
	helpers["worker-fragile"] = func() {
		worker.Main(worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
			return &fragile{answering{conn: c}}, nil
		}), worker.WithLogger(hclog.New(&hclog.LoggerOptions{Name: "worker", Level: hclog.Trace, Output: os.Stderr})))
	}
}

// fragile is the session answering, of which some lines are the end.
type fragile struct{ answering }

func (s *fragile) Data(c *worker.Conn, in []byte) (int, error) {
	switch string(in) {
	case "panic\n":
		panic(expectedPanic)
	case "crash\n":
		go panic(expectedPanic)
		return len(in), nil
	}
	return s.answering.Data(c, in)
}

// No secret is told: not in a log at its most talkative, nor when a worker panics, or is
// aborted while hands are shaken; not by what an operator does wrong, nor in a status, in the
// arguments and environment of a process, in what it has open, or in a file.
func TestNoSecretIsTold(t *testing.T) {
	t.Parallel()
	y := newSecrecy(t)
	y.gather()
	y.sendNonsense()
	for _, args := range [][]string{{"reload"}, {"scale", "3"}, {"upgrade"}, {"scale", "2"}, {"move", "--from"}} {
		if args[0] == "move" {
			args = append(args, strconv.Itoa(y.s.until("all are ready", ready(2)).Workers[0].Slot))
		}
		if got := y.s.ask(args...); got.code != 0 {
			t.Errorf("usher %v: %+v", args, got)
		}
		y.goOn()
	}
	y.look()
	y.mistake()
	y.goOn()
	y.look()
	for _, line := range []string{"panic\n", "crash\n"} {
		y.dial(&tls.Config{}).breakBy(t, line)
	}
	y.s.log.await(t, 1, "worker died")
	y.abort()
	y.s.signal(unix.SIGTERM)
	y.s.ends(0)
	y.tell("the log", strings.Join(append(y.s.log.all(), y.s.out.all()...), "\n"))

	for _, want := range []string{"panic: " + expectedPanic, "handler panicked", "SIGABRT", "[TRACE]", "connection refused", "is not the key of"} {
		if !strings.Contains(y.told.String(), want) {
			t.Errorf("nothing tells of %q, as the story has it", want)
		}
	}
	found := y.secrets.find(y.told.String())
	for _, one := range found {
		t.Error("told: ", one)
	}
	t.Logf("of %d secrets %d are told, in %d bytes", len(y.secrets), len(found), y.told.Len())
}

// mistake has an operator do what is wrong with files that have secrets.
func (y *secrecy) mistake() {
	read := func(name string) string {
		content, err := os.ReadFile(y.file(name))
		if err != nil {
			y.t.Fatal(err)
		}
		return string(content)
	}
	key := read("ecdsa.example-key.pem")
	lines := strings.SplitAfter(key, "\n")
	writeFile(y.t, y.file("cut.pem"), strings.Join(append(lines[:1:1], lines[2:]...), ""))
	writeFile(y.t, y.file("headless.pem"), strings.Join(lines[1:], ""))
	writeFile(y.t, y.file("odd.pem"), strings.Replace(key, lines[1][10:12], "!\x00", 1))
	writeFile(y.t, y.file("locked.pem"), strings.Replace(key, "\n", "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n", 1))
	writeFile(y.t, y.file("short.keys"), read("ticket.keys")[4:])
	writeFile(y.t, y.file("odd.keys"), "?"+read("ticket.keys"))
	const cert, good = "--tls-cert=ecdsa.example.pem", "--tls-key=ecdsa.example-key.pem"
	for _, args := range [][]string{
		{"--tls-cert=ecdsa.example-key.pem", "--tls-key=ecdsa.example.pem"}, {"--tls-cert=ticket.keys", good},
		{cert, "--tls-key=rsa.example-key.pem"}, {cert, "--tls-key=cut.pem"}, {cert, "--tls-key=headless.pem"},
		{cert, "--tls-key=odd.pem"}, {cert, "--tls-key=locked.pem"}, {cert, "--tls-key=ticket.keys"},
		{cert, good, "--tls-client-ca=ecdsa.example-key.pem"}, {cert, good, "--tls-ocsp=ecdsa.example-key.pem"},
		{cert, good, "--tls-ticket-keys=ecdsa.example-key.pem"}, {cert, good, "--tls-ticket-keys=short.keys"}, {cert, good, "--tls-ticket-keys=odd.keys"},
		{cert, good, "--config=ecdsa.example-key.pem"}, {cert, good, "--config=ticket.keys"},
	} {
		got := usher(y.t, append([]string{"check", "--directory", y.dir, "--listen", "tls://127.0.0.1:0"}, args...)...)
		if got.code == 0 {
			y.t.Errorf("usher check %q has nothing against it", args)
		}
		y.tell(fmt.Sprint("usher check ", args), got.stdout+got.stderr)
	}
	for _, wrong := range []string{read("rsa.example-key.pem"), read("cut.pem"), read("odd.pem")} {
		replace(y.t, y.file("ecdsa.example-key.pem"), []byte(wrong))
		got := y.s.ask("reload")
		if got.code == 0 {
			y.t.Error("a reload with a wrong key has worked")
		}
		y.tell("a reload", got.stdout+got.stderr)
	}
	replace(y.t, y.file("ecdsa.example-key.pem"), []byte(key))
}

func (y *secrecy) file(name string) string { return filepath.Join(y.dir, name) }
