package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/usher-go/usher/internal/load"
)

// What a server goes through in webDeploy.
const (
	deployIdle  = 200 // connections that are idle meanwhile
	deployBusy  = 20  // and those that make requests
	deployRate  = 2000
	deployEvery = 500 * time.Millisecond
	deployCount = 20
	deployAfter = 2 * time.Second // in which clients connect, before, and ask on, after
)

// haproxy answers by itself, as all here do. A reload is the master's: SIGUSR2.
var haproxy = &server{name: "HAProxy", http: true, argv: func(b *bench, port, workers int) []string {
	path := filepath.Join(b.scratch, fmt.Sprintf("haproxy%d.cfg", port))
	text := fmt.Sprintf(`global
	nbthread %d
	stats socket %s/haproxy%d.sock expose-fd listeners
defaults
	mode http
	timeout client 1h
	timeout connect 5s
	timeout server 1h
frontend hello
	bind 127.0.0.1:%d
	http-request return status 200 content-type text/plain string "hello, world\n"
`, workers, b.scratch, port, port)
	_ = os.WriteFile(path, []byte(text), 0o600) // HAProxy says that it is not there
	return []string{"haproxy", "-W", "-f", path}
}}

// webDeploy shows what becomes of idle keep-alive connections, and of requests, while a
// server is reloaded again and again.
func (b *bench) webDeploy() error {
	for _, s := range []*server{webRunning, webStreams, webNginx, haproxy} {
		if s.missing != "" {
			b.say("  %-40s %s", s.name, s.missing)
			continue
		}
		r, err := b.deploy(s)
		if err != nil {
			return err
		}
		var failed int64
		for _, count := range r.Errors {
			failed += count
		}
		b.grid.set(s.name, fmt.Sprintf("of %d idle connections, alive after %d reloads", deployIdle, deployCount), strconv.FormatInt(r.Idle.Answered, 10))
		b.grid.set(s.name, "requests that failed", strconv.FormatInt(failed, 10))
		b.figure("%d reloads in %v, %s: %d of %d idle connections alive; of %d requests of %d busy ones, at %d a second, %d failed %v; %d connections ended between requests",
			deployCount, deployCount*deployEvery, s.name, r.Idle.Answered, deployIdle, r.Answers+failed, deployBusy, deployRate, failed, r.Errors, r.HTTP.IdleClosed)
		if s == webRunning {
			b.reached(fmt.Sprintf("%d idle keep-alive connections, %d busy ones, %d reloads: idle ones that are alive, and requests that failed", deployIdle, deployBusy, deployCount),
				fmt.Sprintf("%d, 0", deployIdle), fmt.Sprintf("%d, %d", r.Idle.Answered, failed))
		}
	}
	return nil
}

// deploy reloads a server while clients use it.
func (b *bench) deploy(s *server) (*load.Report, error) {
	i, err := b.run(s, webWorkers, nil)
	if err != nil {
		return nil, err
	}
	defer i.end()
	reloads := make(chan error, 1)
	go func() {
		if err := until("all clients are connected", 10*deployAfter, func() bool { return connected(i.address) >= deployIdle+deployBusy }); err != nil {
			reloads <- err
			return
		}
		for range deployCount {
			if err := b.reloadServer(i); err != nil {
				reloads <- err
				return
			}
			time.Sleep(deployEvery) // this is how often
		}
		reloads <- nil
	}()
	length := deployAfter + deployCount*(deployEvery+100*time.Millisecond)
	r, err := b.askAnyhow(nil, append(b.speak(i), "--path", helloPath, "--idle", strconv.Itoa(deployIdle), "--conns", strconv.Itoa(deployBusy),
		"--rate", strconv.Itoa(deployRate), "--duration", length.String())...)
	if wrong := <-reloads; wrong != nil {
		return nil, fmt.Errorf("%s: reload: %w", s.name, wrong)
	}
	return r, err
}

// reloadServer has a server reload, each in its way.
func (b *bench) reloadServer(i *instance) error {
	pid := i.cmd.Process.Pid
	switch i.server {
	case webNginx:
		return os.NewSyscallError("kill", unix.Kill(pid, unix.SIGHUP))
	case haproxy:
		return os.NewSyscallError("kill", unix.Kill(pid, unix.SIGUSR2))
	}
	return b.make(b.scratch, b.program("usher"), "reload", "--control", b.program(i.address[len("127.0.0.1:"):]+".sock"))
}

// connected returns how many connections there are to an address of 127.0.0.1: those which
// proc_net(5) has as established, at the server's end.
func connected(address string) (n int) {
	_, port, _ := strings.Cut(address, ":")
	number, err := strconv.Atoi(port)
	text, readErr := os.ReadFile("/proc/net/tcp")
	if err != nil || readErr != nil {
		return 0
	}
	local := fmt.Sprintf("0100007F:%04X", number)
	for line := range strings.Lines(string(text)) {
		// sl local_address rem_address st: 01 is established.
		if fields := strings.Fields(line); len(fields) > 3 && fields[1] == local && fields[3] == "01" {
			n++
		}
	}
	return n
}
