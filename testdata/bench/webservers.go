package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// webWorkers is how many workers the servers of the web's parts have: as many as there
// are cores here, which all of them and the client share. net/http has as many threads.
const webWorkers = 2

// helloPath is where each of them says hello, in the same bytes.
const (
	helloPath = "/hello"
	hello     = "hello, world\n"
)

// The servers of the web's parts. nginx is the reference.
var (
	webNginx = &server{name: "nginx", http: true, argv: func(b *bench, port, workers int) []string {
		return []string{"nginx", "-p", b.scratch, "-e", "stderr", "-c", b.nginxWebConfig(port, workers)}
	}}
	webInline = &server{name: "**usher**, --app hello, on the loop", http: true, argv: func(b *bench, port, workers int) []string {
		return b.usher(port, "--workers", strconv.Itoa(workers), "--app", "hello")
	}}
	webRunning = &server{name: "**usher**, a goroutine for each request", http: true, argv: func(b *bench, port, workers int) []string {
		return b.usher(port, "--workers", strconv.Itoa(workers), "--", b.program("web"))
	}}
	tlsWeb = &server{name: webRunning.name, http: true, tls: true, argv: func(b *bench, port, workers int) []string {
		return b.usherTLS(port, "--workers", strconv.Itoa(workers), "--", b.program("web"))
	}}
	webFileServer = &server{name: "**usher**, --app files", http: true, argv: func(b *bench, port, workers int) []string {
		return b.usher(port, "--workers", strconv.Itoa(workers), "--app", "files", "--root", b.filesRoot())
	}}
	webBare    = &server{name: "a bare loop with http.ReadRequest", http: true, argv: alone("bare").argv}
	webHTTP    = &server{name: netHTTP.name, http: true, argv: netHTTP.argv}
	webStreams = &server{name: streamHTTP.name, http: true, argv: streamHTTP.argv}

	helloServers = []*server{webNginx, webBare, webInline, webRunning, webHTTP, webStreams}
)

// nginxWebConfig writes one for hello and for the files below filesRoot.
func (b *bench) nginxWebConfig(port, workers int) string {
	path := filepath.Join(b.scratch, fmt.Sprintf("nginx%d.conf", port))
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // who may read the temporary folder
	}
	text := fmt.Sprintf(`daemon off; %[6]s pid %[1]s/nginx%[3]d.pid; worker_processes %[2]d; worker_rlimit_nofile 20000;
events { worker_connections 16000; }
http { access_log off; keepalive_requests 100000000; keepalive_timeout 1h; sendfile on; tcp_nopush on;
open_file_cache max=1000 inactive=1h; open_file_cache_valid 1m; types { image/png png; }
server { listen 127.0.0.1:%[3]d reuseport; root %[4]s;
location = %[5]s { default_type text/plain; return 200 "%[7]s"; } } }
`, b.scratch, workers, port, b.filesRoot(), helloPath, user, `hello, world\n`)
	_ = os.WriteFile(path, []byte(text), 0o600) // nginx says that it is not there
	return path
}

// filesRoot is the folder of the files that are served.
func (b *bench) filesRoot() string { return filepath.Join(b.scratch, "root") }
