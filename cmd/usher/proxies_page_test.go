package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// What docs/tls.md has of HAProxy and nginx works: a worker sees the client's address, and not
// the proxy's, over plain TCP and where TLS passes through.
func TestProxiesInFront(t *testing.T) {
	t.Parallel()
	p := readTLSPage(t)
	cert, key := certify(t)
	s := serveAt(t, p.dir, "--app", "lines", "--workers", "1", "--listen", "127.0.0.1:0?proxy=on", "--listen", "tls://127.0.0.1:0?proxy=on",
		"--tls-cert", cert, "--tls-key", key)
	status, err := s.status()
	if err != nil {
		t.Fatal(err)
	}
	fronts := map[string]func(p *tlsPage, part string, socket *net.TCPListener) *exec.Cmd{
		"HAProxy": (*tlsPage).haproxy, "nginx": (*tlsPage).nginx,
	}
	for name, front := range fronts {
		for i, kind := range []string{"plain", "TLS"} {
			t.Run(name+", "+kind, func(t *testing.T) {
				q := &tlsPage{T: t, dir: t.TempDir(), blocks: p.blocks}
				address := startFront(q, name, front, status.Listeners[i].Address)
				conn, err := net.DialTimeout("tcp", address, limit)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(limit)) // it is open
				client := conn.LocalAddr().String()
				if kind == "TLS" {
					config := trust(t, cert)
					config.ServerName = "127.0.0.1"
					conn = tls.Client(conn, config)
				}
				if _, err := io.WriteString(conn, "who\n"); err != nil {
					t.Fatal(err)
				}
				line, err := bufio.NewReader(conn).ReadString('\n')
				if words := strings.Fields(line); err != nil || len(words) != 4 || words[1]+":"+words[2] != client {
					t.Errorf("%q, %v; the client is %s", line, err, client)
				}
			})
		}
	}
	s.until("the proxies' connections are closed", func(status master.Status) bool { return status.Connections.Active == 0 })
	s.stop()
}

// startFront starts a proxy by its part of the page, in front of a server, and returns its
// address.
func startFront(p *tlsPage, name string, front func(p *tlsPage, part string, socket *net.TCPListener) *exec.Cmd, server string) string {
	p.Helper()
	part := ""
	for _, block := range p.blocks["PROXY headers"] {
		if strings.HasPrefix(block, "# "+name) {
			part = strings.ReplaceAll(block, "10.1.0.5:9000", server)
		}
	}
	if part == "" {
		p.Fatal("the page has no such part")
	}
	return runFront(p, part, front)
}

// runFront starts a proxy that does as a part of a page says, and returns its address. The
// socket is there before the proxy, so whoever connects waits for it.
func runFront(p *tlsPage, part string, front func(p *tlsPage, part string, socket *net.TCPListener) *exec.Cmd) string {
	p.Helper()
	socket, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		p.Fatal(err)
	}
	defer socket.Close()
	cmd := front(p, part, socket)
	file, err := socket.File() // a second descriptor, for the proxy
	if err != nil {
		p.Fatal(err)
	}
	defer file.Close()
	cmd.Dir, cmd.ExtraFiles = p.dir, []*os.File{file}
	var mine *os.File
	mine, out := newTranscript(p.T)
	cmd.Stdout, cmd.Stderr = mine, mine
	if err := cmd.Start(); err != nil {
		p.Fatal(err)
	}
	_ = mine.Close() // the child has it now
	p.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGTERM) // it is not reaped yet, and ends its own children
		_ = cmd.Wait()                       // the story has what it wants
		if p.Failed() {
			p.Logf("it says:\n%s", strings.Join(out.all(), "\n"))
		}
	})
	return socket.Addr().String()
}

// program finds a server, which may be in a folder that is not on a user's PATH.
func (p *tlsPage) program(name string) string {
	p.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/" + name); err != nil {
			p.Skipf("there is no %s", name)
		}
	}
	return path
}

// haproxy is HAProxy with the page's backend; it takes the socket by its descriptor.
func (p *tlsPage) haproxy(backend string, _ *net.TCPListener) *exec.Cmd {
	path := p.program("haproxy")
	p.put("haproxy.cfg", []byte(`
defaults
    mode tcp
    timeout connect 1m
    timeout client 1m
    timeout server 1m
frontend clients
    bind fd@3
    default_backend app
`+backend))
	return exec.Command(path, "-f", filepath.Join(p.dir, "haproxy.cfg"))
}

// nginx is nginx with the page's stream; it takes the socket as in an upgrade of its own.
func (p *tlsPage) nginx(stream string, socket *net.TCPListener) *exec.Cmd {
	path := p.program("nginx")
	module := ""
	const debian = "/usr/lib/nginx/modules/ngx_stream_module.so"
	if _, err := os.Stat(debian); err == nil {
		module = "load_module " + debian + ";\n"
	} else if built, _ := exec.Command(path, "-V").CombinedOutput(); !strings.Contains(string(built), "--with-stream ") {
		p.Skip("nginx has no module stream")
	}
	stream = strings.ReplaceAll(stream, "listen 443;", "listen "+socket.Addr().String()+";")
	p.put("nginx.conf", fmt.Appendf(nil, "%spid %s/pid;\nerror_log stderr;\ndaemon off;\nevents {}\n%s", module, p.dir, stream))
	cmd := exec.Command(path, "-p", p.dir, "-e", "stderr", "-c", filepath.Join(p.dir, "nginx.conf"))
	cmd.Env = append(os.Environ(), "NGINX=3;")
	return cmd
}
