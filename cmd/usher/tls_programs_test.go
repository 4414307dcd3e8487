package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// programVoice is a kind of client that is a program: what comes on standard input it sends,
// and what it hears it writes to standard output, until standard input ends. It checks the
// server's certificate, and stops at the first error.
type programVoice struct {
	name    string
	version uint16
	suite   uint16   // 0: whatever comes of it
	args    []string // @ADDRESS, @HOST, @PORT, @NAME and @CA stand for what they are
	rekeys  bool     // by s_client's commands k and K
}

// programVoices are all of them.
func programVoices() (kinds []programVoice) {
	openssl := func(version uint16, args string, suite uint16) {
		args = "openssl s_client -brief -connect @ADDRESS -servername @NAME -CAfile @CA -verify_return_error " + args
		kinds = append(kinds, programVoice{args: strings.Fields(args), version: version, suite: suite, rekeys: version == tls.VersionTLS13})
	}
	openssl(tls.VersionTLS13, "-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256", tls.TLS_AES_128_GCM_SHA256)
	openssl(tls.VersionTLS13, "-tls1_3 -ciphersuites TLS_AES_256_GCM_SHA384", tls.TLS_AES_256_GCM_SHA384)
	openssl(tls.VersionTLS13, "-tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256", tls.TLS_CHACHA20_POLY1305_SHA256)
	openssl(tls.VersionTLS12, "-tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305", tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256)
	openssl(tls.VersionTLS12, "-tls1_2 -cipher ECDHE-RSA-AES256-GCM-SHA384", tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384)

	node := func(version uint16, name, ciphers string, suite uint16) {
		kinds = append(kinds, programVoice{args: []string{"node", "-e", nodeVoice, "@HOST", "@PORT", "@NAME", "@CA", name, ciphers}, version: version, suite: suite})
	}
	node(tls.VersionTLS13, "TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256", tls.TLS_CHACHA20_POLY1305_SHA256)
	node(tls.VersionTLS12, "TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256", tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256)

	python := func(version uint16, way, name string) {
		kinds = append(kinds, programVoice{args: []string{"python3", "-c", pythonVoice, "@HOST", "@PORT", "@NAME", "@CA", name, way}, version: version})
	}
	python(tls.VersionTLS13, "socket", "TLSv1_3")
	python(tls.VersionTLS13, "memory", "TLSv1_3")
	python(tls.VersionTLS12, "socket", "TLSv1_2")
	python(tls.VersionTLS12, "memory", "TLSv1_2")

	for i := range kinds {
		kinds[i].name = fmt.Sprintf("%s, %s, %d", kinds[i].args[0], tls.VersionName(kinds[i].version), i)
	}
	return kinds
}

const nodeVoice = `
const [host, port, servername, ca, version, ciphers] = process.argv.slice(1)
const options = {host, port, servername, ca: require('fs').readFileSync(ca), minVersion: version, maxVersion: version, ciphers}
const conn = require('tls').connect(options, () => { process.stdin.pipe(conn); conn.pipe(process.stdout) })
conn.on('error', error => { console.error(error); process.exit(1) })
`

// pythonVoice has a socket of package ssl, or its own transport between that and a plain one
// (ssl.MemoryBIO), as asyncio does.
const pythonVoice = `
import os, select, socket, ssl, sys
host, port, name, ca, version, way = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
wire = socket.create_connection((host, int(port)))
more = (ssl.SSLWantReadError, ssl.SSLWantWriteError)

class Socket:
    def __init__(self):
        self.conn = context.wrap_socket(wire, server_hostname=name)
        self.conn.setblocking(False)
    def fetch(self):
        return True
    def flush(self):
        pass
    def wait(self):
        select.select([self.conn], [], [])

class Memory:
    def __init__(self):
        self.came, self.goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.conn = context.wrap_bio(self.came, self.goes, server_hostname=name)
        while True:
            try:
                self.conn.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.flush()
                self.fetch()
    def fetch(self):
        raw = wire.recv(5000)
        self.came.write(raw) if raw else self.came.write_eof()
    def flush(self):
        wire.sendall(self.goes.read())
    def wait(self):
        self.flush()
        self.fetch()

def send(text):
    while text:
        try:
            text = text[end.conn.write(text):]
        except ssl.SSLWantWriteError:
            select.select([], [wire_of(end)], [])
    end.flush()

def wire_of(end):
    return end.conn if way == "socket" else wire

# hear writes what has come, and returns whether that was all.
def hear():
    while True:
        try:
            text = end.conn.read(65536)
        except more:
            sys.stdout.buffer.flush()
            return False
        if not text:
            sys.stdout.buffer.flush()
            return True
        sys.stdout.buffer.write(text)

end = Socket() if way == "socket" else Memory()
end.flush()
speaks = True
while True:
    ready, _, _ = select.select([wire_of(end)] + [0] * speaks, [], [])
    if 0 in ready:
        text = os.read(0, 65536)
        if not text:
            break
        send(text)
    if wire_of(end) in ready:
        end.fetch()
        if hear():
            sys.exit("the server has ended it")
        end.flush()
while True: # close_notify both ways
    try:
        end.conn.unwrap()
        break
    except more:
        end.wait()
end.flush()
`

// start starts the program, or says why it cannot.
func (p *programVoice) start(t *testing.T, address, ca string, rest time.Duration) (*voice, error) {
	path, err := exec.LookPath(p.args[0])
	if err != nil {
		return nil, err
	}
	name := "both.example"
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	stands := strings.NewReplacer("@ADDRESS", address, "@HOST", host, "@PORT", port, "@NAME", name, "@CA", ca)
	cmd := exec.Command(path)
	for _, arg := range p.args[1:] {
		cmd.Args = append(cmd.Args, stands.Replace(arg))
	}
	toProgram, stdin, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	stdout, fromProgram, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	stderrWrite, stderr := newTranscript(t)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = toProgram, fromProgram, stderrWrite
	err = cmd.Start()
	for _, theirs := range []*os.File{toProgram, fromProgram, stderrWrite} {
		_ = theirs.Close() // the child has it now
	}
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended, or the story has not come to its end
		_, _ = stdin.Close(), stdout.Close()
		stderr.waitEnd(limit)
		if t.Failed() {
			t.Logf("standard error of %s: %q", p.name, stderr.all())
		}
	})

	v := &voice{in: bufio.NewReader(stdout), rest: rest}
	if p.suite != 0 {
		v.over = wasSecured(p.version, p.suite, name)
	}
	v.say = func(text string) error {
		deadline := time.Now().Add(patience)
		err := errors.Join(stdin.SetDeadline(deadline), stdout.SetDeadline(deadline))
		if err == nil {
			_, err = io.WriteString(stdin, text)
		}
		return err
	}
	updates := 0
	if p.rekeys {
		v.rekey = func(number uint64) error {
			updates++
			command := []string{"k\n", "K\n"}[number%2] // K has the server renew its keys as well
			if err := v.say(command); err != nil {
				return err
			}
			stderr.awaitWithin(t, patience, updates, "KEYUPDATE")
			return nil
		}
	}
	v.leave = func() error {
		if err := errors.Join(stdout.SetDeadline(time.Now().Add(patience)), stdin.Close()); err != nil {
			return err
		}
		if more, err := io.ReadAll(v.in); err != nil || len(more) > 0 {
			return fmt.Errorf("at the end %q, %v; want nothing, no error", more, err)
		}
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
			return errors.New("it has not ended")
		}
	}
	return v, nil
}
