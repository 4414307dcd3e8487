package main

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/certtest"
	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// secrecy is a server whose secrets are known, and what is told of it.
type secrecy struct {
	t         *testing.T
	s         *server
	dir       string // of the files of TLS
	temporary string // what the server takes for the folder of temporary files
	ca        string
	address   string
	secrets   secrets
	told      strings.Builder
	clients   []*keyLogged
	openssl   *voice // or nil
	keyLog    string // its file
}

func newSecrecy(t *testing.T) *secrecy {
	y := &secrecy{t: t, dir: t.TempDir(), temporary: t.TempDir(), secrets: make(secrets)}
	authority := certtest.NewCA(t, "test CA")
	y.ca, _ = authority.Write(t, t.TempDir(), "ca")
	var flags []string
	for _, want := range []certtest.Want{
		{Names: []string{"ecdsa.example", "both.example"}},
		{Names: []string{"rsa.example", "both.example"}, Key: certtest.RSA(t)},
	} {
		pair := authority.Issue(t, want)
		cert, key := pair.Write(t, y.dir, want.Names[0])
		y.secrets.addKey(t, want.Names[0], pair)
		flags = append(flags, "--tls-cert", cert, "--tls-key", key)
	}
	ticketKey := make([]byte, 32)
	rand.Read(ticketKey) // it does not fail
	y.secrets.addTicketKey(ticketKey)
	writeFile(t, y.file("ticket.keys"), base64.StdEncoding.EncodeToString(ticketKey)+"\n")
	flags = append(flags, "--tls-ticket-keys", y.file("ticket.keys"), "--listen", "tls://127.0.0.1:0")

	cmd, mark := install(t).command()
	cmd.Env = append(cmd.Env, "TMPDIR="+y.temporary, "GOTRACEBACK=all")
	flags = append(flags, "--workers", "2", "--max-workers", "4", "--log-level", "trace", "--tls-handshake-timeout", "1m", "--", self(), "worker-fragile")
	y.s = serveCommandLine(t, cmd, mark, flags...)
	y.address = y.s.until("all are ready", ready(2)).Listeners[1].Address // the first is plain
	return y
}

// tell adds to what is told.
func (y *secrecy) tell(where, what string) { fmt.Fprintf(&y.told, "== %s\n%s\n", where, what) }

// keyLogged is a client that logs its keys.
type keyLogged struct {
	*voice
	conn   *tls.Conn
	wire   *overheard
	keyLog bytes.Buffer
}

// overheard is a connection of which the beginning is kept.
type overheard struct {
	net.Conn
	heard []byte
}

func (o *overheard) Read(b []byte) (int, error) {
	n, err := o.Conn.Read(b)
	if len(o.heard) < 64 {
		o.heard = append(o.heard, b[:n]...)
	}
	return n, err
}

// dial connects a client, whose secrets are known then.
func (y *secrecy) dial(config *tls.Config) *keyLogged {
	y.t.Helper()
	wire, err := net.DialTimeout("tcp", y.address, limit)
	if err != nil {
		y.t.Fatal(err)
	}
	y.t.Cleanup(func() { _ = wire.Close() }) // it may have ended
	c := &keyLogged{wire: &overheard{Conn: wire}}
	config = config.Clone()
	config.RootCAs, config.ServerName, config.KeyLogWriter = trust(y.t, y.ca).RootCAs, "both.example", &c.keyLog
	c.conn = tls.Client(c.wire, config)
	if c.voice, err = voiceOf(c.conn, time.Millisecond); err != nil {
		y.t.Fatal(err)
	}
	c.r = mathrand.New(mathrand.NewPCG(1, 2))
	// Behind the headers of a record and of ServerHello, and its version.
	y.secrets.addKeyLog(y.t, fmt.Sprintf("client %d", len(y.secrets)), c.keyLog.String(), c.wire.heard[11:43])
	return c
}

// gather has clients of several kinds connect, and some of them connect again, by tickets.
func (y *secrecy) gather() {
	y.t.Helper()
	for _, config := range []*tls.Config{
		{MinVersion: tls.VersionTLS13},
		{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}},
		{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}},
	} {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for _, resumes := range []bool{false, true} {
			c := y.dial(config)
			y.clients = append(y.clients, c)
			if err := c.exchange("hello"); err != nil { // and so tickets have come
				y.t.Fatal(err)
			}
			if c.conn.ConnectionState().DidResume != resumes {
				y.t.Errorf("it resumes: %t, want %t", !resumes, resumes)
			}
		}
	}
	if _, err := exec.LookPath("openssl"); err != nil {
		y.t.Log("without openssl: it is not here")
		return
	}
	y.keyLog = filepath.Join(y.t.TempDir(), "keys")
	for _, kind := range programVoices() {
		if kind.rekeys && kind.suite == tls.TLS_AES_256_GCM_SHA384 {
			kind.args = append(kind.args, "-keylogfile", y.keyLog)
			var err error
			if y.openssl, err = kind.start(y.t, y.address, y.ca, time.Millisecond); err != nil {
				y.t.Fatal(err)
			}
			y.openssl.r = mathrand.New(mathrand.NewPCG(3, 4))
		}
	}
}

// goOn has all clients exchange something, and openssl renew its keys before that.
func (y *secrecy) goOn() {
	y.t.Helper()
	for _, c := range y.clients {
		if err := c.exchange("still here"); err != nil {
			y.t.Error(err)
		}
	}
	if y.openssl == nil {
		return
	}
	if err := errors.Join(y.openssl.rekey(1), y.openssl.exchange("still here")); err != nil {
		y.t.Error(err)
	}
	log, err := os.ReadFile(y.keyLog)
	if err != nil {
		y.t.Fatal(err)
	}
	y.secrets.addKeyLog(y.t, "openssl", string(log), nil)
}

// sendNonsense has peers that do not keep to the rules, in a handshake and after it.
func (y *secrecy) sendNonsense() {
	y.t.Helper()
	good := clientHello(y.t, &tls.Config{ServerName: "both.example"})
	for _, nonsense := range []string{
		"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x00\x05hello", strings.Repeat("\x80", 100), string(good[:100]) + strings.Repeat("\xff", len(good)-100),
		string(good) + "\x17\x03\x03\x00\x20" + strings.Repeat("x", 32), string(clientHello(y.t, &tls.Config{ServerName: "x", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})),
	} {
		conn, err := net.DialTimeout("tcp", y.address, limit)
		if err != nil {
			y.t.Fatal(err)
		}
		_, err = io.WriteString(conn, nonsense)
		_ = conn.SetDeadline(time.Now().Add(patience)) // a socket has deadlines
		if _, readErr := io.Copy(io.Discard, conn); errors.Is(readErr, os.ErrDeadlineExceeded) || err != nil {
			y.t.Errorf("%q: %v, %v", nonsense, err, readErr)
		}
		_ = conn.Close() // it has ended
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		c := y.dial(&tls.Config{MaxVersion: version, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}})
		if _, err := c.wire.Write([]byte("\x17\x03\x03\x00\x20" + strings.Repeat("x", 32))); err != nil {
			y.t.Error(err)
		}
		if _, err := c.in.ReadByte(); err == nil || !strings.Contains(err.Error(), "bad record MAC") {
			y.t.Errorf("after a record that nobody sealed: %v", err)
		}
	}
}

// clientHello returns how a client begins.
func clientHello(t *testing.T, config *tls.Config) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer far.Close()
	go func() {
		_ = tls.Client(near, config).Handshake() // it has no server
		_ = near.Close()                         // nobody reads any more
	}()
	_ = far.SetDeadline(time.Now().Add(limit)) // it has deadlines
	hello := make([]byte, 16<<10)
	n, err := far.Read(hello)
	if err != nil {
		t.Fatal(err)
	}
	return hello[:n]
}

// breakBy has a client say what its session breaks by.
func (c *keyLogged) breakBy(t *testing.T, line string) {
	t.Helper()
	if err := c.say(line); err != nil {
		t.Error(err)
	}
	if _, err := c.in.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after %q: %v, want an end", line, err)
	}
}

// abort ends all workers, which print their stacks, with a handshake under way in one.
func (y *secrecy) abort() {
	y.t.Helper()
	before := pids(y.s.until("all are ready", ready(2)))
	conn, err := net.DialTimeout("tcp", y.address, limit)
	if err != nil {
		y.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience)) // a socket has deadlines
	_, err = conn.Write(clientHello(y.t, &tls.Config{ServerName: "both.example"}))
	if _, readErr := io.ReadFull(conn, make([]byte, 100)); errors.Join(err, readErr) != nil {
		y.t.Fatal(errors.Join(err, readErr))
	}
	for _, pid := range before {
		kill(y.t, pid, unix.SIGABRT)
	}
	y.s.until("others have come", func(status master.Status) bool {
		return ready(2)(status) && !slices.ContainsFunc(before, func(pid int) bool { return slices.Contains(pids(status), pid) })
	})
}

// look tells what is to be seen of the server, and of its processes.
func (y *secrecy) look() {
	y.t.Helper()
	body, err := get(y.s.control, "/v1/status")
	if err != nil {
		y.t.Error(err)
	}
	y.tell("the status", string(body)+y.s.ask("status").stdout)
	for _, pid := range marked(y.s.mark) {
		for _, name := range []string{"cmdline", "environ", "maps"} {
			content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
			if err != nil {
				y.t.Error(err)
			}
			y.tell(name, string(content))
		}
		links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid)) // the pattern is good
		for _, link := range links {
			target, _ := os.Readlink(link) // it may be closed by now
			y.tell("a descriptor", target)
			if strings.HasPrefix(target, y.dir) {
				y.t.Errorf("process %d has %s open", pid, target)
			}
		}
	}
	for _, dir := range []string{y.temporary, filepath.Dir(y.s.control)} {
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			content, err := os.ReadFile(path)
			y.tell(path, string(content))
			return err
		})
		if err != nil {
			y.t.Error(err)
		}
	}
}
