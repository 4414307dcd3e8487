package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What docs/web.md has of nginx and HAProxy works: a handler sees who the client is, through
// a reload, and by the proxy's first connection to the server.
func TestWebBehindProxies(t *testing.T) {
	t.Parallel()
	blocks := webPage(t)
	const proxies, server = "10.1.0.0/16", "10.1.0.5:8080"
	source := strings.Replace(blocks["go Behind a proxy"][0], proxies, "127.0.0.1/32", 1)
	program := goProgram(t, t.TempDir(), "behind", source, "go build -o behind .\n")
	fronts := []struct {
		name, part, listen, proto string
		front                     func(p *tlsPage, part string, socket *net.TCPListener) *exec.Cmd
	}{
		{"nginx", blocks["nginx Behind a proxy"][0], "127.0.0.1:0", "http", webByNginx},
		{"HAProxy", blocks["haproxy Behind a proxy"][0], "127.0.0.1:0", "http", webByHAProxy},
		{"HAProxy, PROXY headers", blocks["haproxy Behind a proxy"][1], "127.0.0.1:0?proxy=on", "", webByHAProxy},
	}
	for _, test := range fronts {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := &tlsPage{T: t, dir: t.TempDir()}
			s := serve(t, "--workers", "2", "--listen", test.listen, "--", program)
			address := s.until("all are ready", ready(2)).Listeners[1].Address
			front := runFront(p, strings.ReplaceAll(test.part, server, address), test.front)
			dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 77)}, Timeout: limit}
			conn, err := dialer.Dial("tcp", front)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(limit)) // it is open
			answers := bufio.NewReader(conn)
			ask := func() {
				t.Helper()
				// What a client itself says of where it comes from is not believed.
				if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: example.org\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				answer, err := http.ReadResponse(answers, nil)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(answer.Body)
				client, rest, _ := strings.Cut(string(body), ", ")
				host, _, _ := net.SplitHostPort(client)
				if err != nil || host != "127.0.0.77" || rest != "for example.org by "+test.proto+"\n" {
					t.Errorf("%q, %v", body, err)
				}
			}
			ask()
			s.reload()
			ask()
			status, err := s.status()
			if err != nil || status.Connections.Accepted != 1 {
				t.Errorf("%+v, %v; want one connection", status.Connections, err)
			}
			_ = conn.Close()
			s.signal(unix.SIGTERM) // the proxy's connection is open still
			s.ends(0)
		})
	}
}

// webByHAProxy is HAProxy with a part of the page; it takes the socket by its descriptor.
func webByHAProxy(p *tlsPage, part string, _ *net.TCPListener) *exec.Cmd {
	path := p.program("haproxy")
	p.put("haproxy.cfg", []byte(`
defaults
    mode http
    timeout connect 1m
    timeout client 1m
    timeout server 1m
`+strings.ReplaceAll(part, "bind :80", "bind fd@3")))
	return exec.Command(path, "-f", filepath.Join(p.dir, "haproxy.cfg"))
}

// webByNginx is nginx with a part of the page; it takes the socket as in an upgrade of its
// own.
func webByNginx(p *tlsPage, part string, socket *net.TCPListener) *exec.Cmd {
	path := p.program("nginx")
	part = strings.ReplaceAll(part, "listen 80;", "listen "+socket.Addr().String()+";")
	temporary := ""
	for _, what := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temporary += fmt.Sprintf("%s_temp_path %s/%[1]s;\n", what, p.dir)
	}
	p.put("nginx.conf", fmt.Appendf(nil, "pid %s/pid;\nerror_log stderr;\ndaemon off;\nevents {}\nhttp {\naccess_log off;\n%s%s}\n", p.dir, temporary, part))
	cmd := exec.Command(path, "-p", p.dir, "-e", "stderr", "-c", filepath.Join(p.dir, "nginx.conf"))
	cmd.Env = append(os.Environ(), "NGINX=3;")
	return cmd
}
