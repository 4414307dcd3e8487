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
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// Behind HAProxy (PROXY version 2) and nginx (version 1) a session sees its client's own
// address for as long as that stays, through reloads and an upgrade: in plain, and with TLS
// that the proxy passes on. HAProxy's health checks come meanwhile.
func TestBehindProxies(t *testing.T) {
	t.Parallel()
	for _, kind := range []proxyKind{haproxy, nginx} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			ca, flags := secureFlags(t)
			flags[1] += "?proxy=on"
			p := install(t)
			s := p.serve(append(flags, "--listen", "127.0.0.1:0?proxy=on", "--workers", "2", "--app", "lines")...)
			listeners := s.until("all are ready", ready(2)).Listeners // the first has no PROXY
			proxy := kind.start(t, listeners[2].Address, listeners[1].Address)
			clients := []*farClient{dialThrough(t, proxy.plain, nil), dialThrough(t, proxy.secure, trust(t, ca))}
			answer := func() {
				t.Helper()
				workers := pids(s.until("all are ready", ready(2)))
				for _, c := range clients {
					if worker := c.ask(t); !slices.Contains(workers, worker) {
						t.Errorf("answered by %d, want one of %v", worker, workers)
					}
				}
			}
			answer()
			for _, command := range []string{"reload", "upgrade", "reload"} {
				if command == "upgrade" {
					p.replace()
				}
				if got := s.ask(command); got.code != 0 {
					t.Fatalf("%s: %+v", command, got)
				}
				answer()
			}
			s.runs(p)
			for _, c := range clients {
				c.leave(t)
			}
			if kind.checks {
				s.until("health checks have come", func(status master.Status) bool { return status.Connections.Accepted > 2 })
			}
			proxy.stop(t)
			status := s.until("all are ready", ready(2))
			for _, name := range []string{"handshakes", "resumed", "handshakes_refused", "proxy_untrusted", "proxy_malformed", "proxy_late"} {
				n, counted := status.Counters[name]
				if want := map[string]uint64{"handshakes": 1}[name]; n != want || !counted {
					t.Errorf("%d %s (%t), want %d", n, name, counted, want)
				}
			}
			s.stop()
		})
	}
}

// proxyKind is a program that passes connections on, behind PROXY headers.
type proxyKind struct {
	name   string
	config string   // what it is to be told; @AT1 and @AT2 are where it listens, @TO1 and @TO2 where it connects to
	args   []string // @CONFIG stands for the file of that, @FOLDER for where it is
	checks bool     // it looks whether somebody is there, by connections of its own
	needs  string   // a file, or nothing
}

var haproxy = proxyKind{
	name: "haproxy",
	config: `
defaults
	mode tcp
	timeout check 60s
	timeout connect 60s
	timeout client 60s
	timeout server 60s
listen plain
	bind @AT1
	server app @TO1 send-proxy-v2 check inter 20ms
listen secure
	bind @AT2
	server app @TO2 send-proxy-v2 check inter 20ms
`,
	args:   []string{"-db", "-f", "@CONFIG"},
	checks: true,
}

var nginx = proxyKind{
	name: "nginx",
	config: `
load_module ` + nginxStream + `;
daemon off;
master_process off;
pid @FOLDER/pid;
error_log stderr;
events { }
stream {
	proxy_protocol on;
	server { listen @AT1 reuseport; proxy_pass @TO1; }
	server { listen @AT2 reuseport; proxy_pass @TO2; }
}
`,
	args:  []string{"-p", "@FOLDER", "-e", "stderr", "-c", "@CONFIG"},
	needs: nginxStream,
}

const nginxStream = "/usr/lib/nginx/modules/ngx_stream_module.so"

// proxy is one that runs.
type proxy struct {
	cmd           *exec.Cmd
	said          *transcript
	plain, secure string // its addresses
}

// start starts one that passes connections on to two addresses, or skips the story.
func (k *proxyKind) start(t *testing.T, plain, secure string) *proxy {
	t.Helper()
	path, err := exec.LookPath(k.name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + k.name) // where a user's PATH does not lead
	}
	if err == nil && k.needs != "" {
		_, err = os.Stat(k.needs)
	}
	if err != nil {
		t.Skipf("there is no %s here: %v", k.name, err)
	}
	folder := t.TempDir()
	p := &proxy{cmd: exec.Command(path), plain: reserveAddress(t), secure: reserveAddress(t)}
	config := filepath.Join(folder, "config")
	stands := strings.NewReplacer("@CONFIG", config, "@FOLDER", folder, "@AT1", p.plain, "@AT2", p.secure, "@TO1", plain, "@TO2", secure)
	writeFile(t, config, stands.Replace(k.config))
	for _, arg := range k.args {
		p.cmd.Args = append(p.cmd.Args, stands.Replace(arg))
	}
	var write *os.File
	write, p.said = newTranscript(t)
	p.cmd.Stdout, p.cmd.Stderr = write, write
	err = p.cmd.Start()
	_ = write.Close() // the child has it now
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it has ended, or the story has not come to its end
		_ = p.cmd.Wait()         // stop has looked at it
		p.said.waitEnd(limit)
		if t.Failed() {
			t.Logf("%s says %q", k.name, p.said.all())
		}
	})
	return p
}

// reserveAddress returns an address that is left to a program with SO_REUSEPORT.
func reserveAddress(t *testing.T) (address string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) }) // it never listens
	err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1), unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	if err != nil {
		t.Fatal(err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", bound.(*unix.SockaddrInet4).Port)
}

// stop ends it, which must not fail.
func (p *proxy) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if !p.said.waitEnd(limit) {
		t.Fatal("it does not end")
	}
}

// farClient is a client of the app lines behind a proxy, whose address is no other's.
type farClient struct {
	wire *net.TCPConn
	conn net.Conn // the same, or TLS over it
	in   *bufio.Reader
}

// dialThrough connects, with TLS if config is not nil.
func dialThrough(t *testing.T, address string, config *tls.Config) *farClient {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 77)}, Timeout: limit}
	var wire net.Conn
	until(t, "the proxy listens", func() (_ bool, last string) {
		var err error
		wire, err = dialer.Dial("tcp", address)
		return err == nil, fmt.Sprint(err)
	})
	t.Cleanup(func() { _ = wire.Close() }) // if the story did not
	c := &farClient{wire: wire.(*net.TCPConn), conn: wire}
	if config != nil {
		config.ServerName = "both.example"
		c.conn = tls.Client(wire, config)
	}
	c.in = bufio.NewReader(c.conn)
	return c
}

// ask returns the pid of the worker that answers. It must know the client's address.
func (c *farClient) ask(t *testing.T) (worker int) {
	t.Helper()
	_ = c.conn.SetDeadline(time.Now().Add(patience)) // what that prevents is said below
	_, err := io.WriteString(c.conn, "who\n")
	answer, readErr := c.in.ReadString('\n')
	if err := errors.Join(err, readErr); err != nil {
		t.Fatalf("%q, %v", answer, err)
	}
	me := c.wire.LocalAddr().(*net.TCPAddr)
	_, _ = fmt.Sscanf(answer, "%d ", &worker)
	if want := fmt.Sprintf("%d %v %d who\n", worker, me.IP, me.Port); answer != want {
		t.Fatalf("answer %q, want %q", answer, want)
	}
	return worker
}

// leave ends it in order.
func (c *farClient) leave(t *testing.T) {
	t.Helper()
	err := c.conn.(interface{ CloseWrite() error }).CloseWrite()
	rest, readErr := io.ReadAll(c.in)
	if err := errors.Join(err, readErr, c.wire.Close()); err != nil || len(rest) > 0 {
		t.Errorf("at the end: %q, %v; want nothing, no error", rest, err)
	}
}
