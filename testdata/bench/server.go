package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// server is one of those that are compared.
type server struct {
	name    string
	missing string // why it cannot be run; empty: it can
	http    bool   // it answers GETs; others echo
	tls     bool
	argv    func(b *bench, port, workers int) []string
}

// The servers, the reference first.
var (
	reference = &server{name: "C epoll, SO_REUSEPORT", argv: func(b *bench, port, workers int) []string {
		return []string{b.program("reuseport"), strconv.Itoa(port), strconv.Itoa(workers)}
	}}
	usher = &server{name: "**usher**", argv: func(b *bench, port, workers int) []string {
		return b.usher(port, "--workers", strconv.Itoa(workers))
	}}
	passing = &server{name: "C, this design", argv: func(b *bench, port, workers int) []string {
		return []string{b.program("passing"), strconv.Itoa(port), strconv.Itoa(workers)}
	}}
	gnet       = alone("gnet")
	goNet      = &server{name: "Go net, a goroutine each", argv: alone("net").argv}
	netpoll    = alone("netpoll")
	netHTTP    = &server{name: "net/http", http: true, argv: alone("nethttp").argv}
	fastHTTP   = &server{name: "fasthttp", http: true, argv: alone("fasthttp").argv}
	streamHTTP = &server{name: "**usher**, net/http over worker.Streams", http: true, argv: func(b *bench, port, workers int) []string {
		return b.usher(port, "--workers", strconv.Itoa(workers), "--", b.program("streams"))
	}}
	node = &server{name: "Node cluster", argv: func(b *bench, port, workers int) []string {
		return []string{"node", filepath.Join(b.source, "node", "cluster.js"), strconv.Itoa(port), strconv.Itoa(workers)}
	}}
	nginx = &server{name: "nginx", http: true, argv: func(b *bench, port, workers int) []string {
		return []string{"nginx", "-p", b.scratch, "-e", "stderr", "-c", b.nginxConfig(port, workers, "")}
	}}

	echoServers = []*server{reference, usher, passing, gnet, goNet, netpoll, node}
	httpServers = []*server{netHTTP, streamHTTP, fastHTTP, nginx}
)

// alone is a program with as many threads as it has cores.
func alone(name string) *server {
	return &server{name: name, argv: func(b *bench, port, _ int) []string { return []string{b.program(name), strconv.Itoa(port)} }}
}

// another is another build of usher.
func another(path string) *server {
	return &server{name: "usher of " + path, argv: func(b *bench, port, workers int) []string {
		argv := b.usher(port, "--workers", strconv.Itoa(workers))
		argv[0] = path
		return argv
	}}
}

func (b *bench) program(name string) string { return filepath.Join(b.scratch, name) }

// usher returns a command line with the default flags, and more.
func (b *bench) usher(port int, more ...string) []string {
	return append([]string{b.program("usher"), "serve", "--listen", "127.0.0.1:" + strconv.Itoa(port),
		"--control", filepath.Join(b.scratch, fmt.Sprintf("%d.sock", port))}, more...)
}

// nginxConfig writes one. tls is empty, or the directives for it.
func (b *bench) nginxConfig(port, workers int, tls string) string {
	path := filepath.Join(b.scratch, fmt.Sprintf("nginx%d.conf", port))
	ssl := ""
	if tls != "" {
		ssl = " ssl"
	}
	text := fmt.Sprintf(`daemon off; pid %[1]s/nginx.pid; worker_processes %[2]d; worker_rlimit_nofile 20000;
events { worker_connections 10000; }
http { access_log off; keepalive_requests 100000000; keepalive_timeout 1h; %[5]s
server { listen 127.0.0.1:%[3]d%[4]s reuseport;
location / { default_type text/plain; return 200 "hello, world\n"; } } }
`, b.scratch, workers, port, ssl, tls)
	_ = os.WriteFile(path, []byte(text), 0o600) // nginx says that it is not there
	return path
}

// instance is a server that runs.
type instance struct {
	*server
	*process
	address string
}

// run starts a server and waits until it accepts.
func (b *bench) run(s *server, workers int, on cores) (*instance, error) {
	return b.runArgv(s, on, func(port int) []string { return s.argv(b, port, workers) })
}

func (b *bench) runArgv(s *server, on cores, argv func(port int) []string) (*instance, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	p, err := start(s.name, on, nil, argv(port)...)
	if err != nil {
		return nil, err
	}
	i := &instance{s, p, "127.0.0.1:" + strconv.Itoa(port)}
	err = until(s.name+" accepts", 10*time.Second, func() bool {
		conn, err := net.Dial("tcp", i.address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	if err != nil {
		p.end()
		return nil, fmt.Errorf("%w: %s", err, p.log)
	}
	return i, nil
}

// freePort returns one that nobody listens on now.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// build makes all programs that can be made here.
func (b *bench) build() error {
	root := filepath.Join(b.source, "..", "..")
	if err := b.make(root, "go", "build", "-o", b.program("usher"), "./cmd/usher"); err != nil {
		return err
	}
	for _, name := range []string{"reuseport", "passing"} {
		if err := b.make(b.source, "gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", b.program(name), filepath.Join("c", name+".c")); err != nil {
			return err
		}
	}
	if !b.peers {
		for _, s := range []*server{gnet, goNet, netpoll, node, fastHTTP, nginx, tlsNet, tlsNginx, webBare, webStreams} {
			s.missing = "left out"
		}
	}
	for name, all := range map[string][]*server{
		"net": {goNet, tlsNet}, "netpoll": {netpoll}, "gnet": {gnet}, "nethttp": {netHTTP, tlsHTTP, webHTTP}, "fasthttp": {fastHTTP},
		"streams": {streamHTTP, webStreams}, "collecting": {tlsCollecting}, "web": {webRunning, tlsWeb}, "bare": {webBare},
	} {
		if all[0].missing != "" {
			continue
		}
		if err := b.make(b.source, "go", "build", "-o", b.program(name), "./peers/"+name); err != nil {
			b.say("%s: %v", name, err)
			miss(all, "it does not build here")
		}
	}
	for name, all := range map[string][]*server{"node": {node}, "nginx": {nginx, tlsNginx, webNginx}, "haproxy": {haproxy}} {
		if _, err := exec.LookPath(name); err != nil {
			miss(all, "not installed")
		}
	}
	return b.buildTLS()
}

func miss(all []*server, why string) {
	for _, s := range all {
		s.missing = why
	}
}

func (b *bench) make(directory string, argv ...string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = directory
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", argv[0], err, out)
	}
	return nil
}
