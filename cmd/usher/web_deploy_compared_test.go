package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// The app hello is reloaded again and again, and at full size nginx and HAProxy too, while 200
// connections are idle and 20 ask: of ours no request fails, none is told to connect again,
// and all 200 answer afterwards. What becomes of the others' is for reading.
func TestWebDeploysCompared(t *testing.T) {
	var table strings.Builder
	t.Run("usher", func(t *testing.T) {
		s := serve(t, "--workers", "2", "--max-workers", "6", "--app", "hello")
		got := webHelloDeploys(t, &table, s.address, func() error {
			if got := usherWithin(t, patience, "reload", "--control", s.control); got.code != 0 {
				return fmt.Errorf("%+v", got)
			}
			return nil
		})
		if got.alive != deployedIdle || got.failed.Load()+got.ended.Load() != 0 {
			t.Errorf("%d of %d idle connections alive, %d requests failed, %d told to connect again", got.alive, deployedIdle, got.failed.Load(), got.ended.Load())
		}
		s.until("all have left", func(status master.Status) bool { return status.Connections.Active == 0 })
		s.stop()
	})
	for _, peer := range []struct {
		kind   proxyKind
		reload unix.Signal
	}{{nginxHello, unix.SIGHUP}, {haproxyHello, unix.SIGUSR2}} {
		t.Run(peer.kind.name, func(t *testing.T) {
			if *size != "full" {
				t.Skip("at full size: it decides nothing")
			}
			p := peer.kind.start(t, "", "")
			t.Cleanup(func() {
				_ = p.cmd.Process.Signal(unix.SIGTERM) // it may have ended; its children end with it
				p.said.waitEnd(limit)
			})
			until(t, "it listens", func() (bool, string) {
				conn, err := net.Dial("tcp", p.plain)
				if err == nil {
					_ = conn.Close() // nothing was sent
				}
				return err == nil, fmt.Sprint(err)
			})
			webHelloDeploys(t, &table, p.plain, func() error { return p.cmd.Process.Signal(peer.reload) })
			p.stop(t)
		})
	}
	t.Logf("%d idle connections, %d that ask, a reload each second:\n%-10s %8s %8s %10s %10s %10s\n%s", deployedIdle, deployedBusy,
		"", "reloads", "alive", "answered", "failed", "ended", &table)
}

const (
	deployedIdle = 200 // connections that are idle meanwhile
	deployedBusy = 20  // and that ask
)

// The same hello, by others.
var (
	nginxHello = proxyKind{
		name: "nginx",
		config: `
daemon off;
worker_processes 2;
pid @FOLDER/pid;
error_log stderr;
events { }
http {
	access_log off;
	keepalive_requests 100000000;
	keepalive_timeout 1h;
	server { listen @AT1 reuseport; location / { default_type text/plain; return 200 "hello, world\n"; } }
}
`,
		args: []string{"-p", "@FOLDER", "-e", "stderr", "-c", "@CONFIG"},
	}
	haproxyHello = proxyKind{
		name: "haproxy",
		config: `
global
	nbthread 2
	stats socket @FOLDER/stats expose-fd listeners
defaults
	mode http
	timeout client 1h
	timeout connect 5s
	timeout server 1h
frontend hello
	bind @AT1
	http-request return status 200 content-type text/plain string "hello, world\n"
`,
		args: []string{"-W", "-f", "@CONFIG"},
	}
)

// webFates is what has become of requests and connections.
type webFates struct {
	alive                   int // of the idle ones
	answered, failed, ended atomic.Int64
}

// webHelloDeploys reloads a server that says hello, and adds a line to the table.
func webHelloDeploys(t *testing.T, table io.Writer, address string, reload func() error) *webFates {
	t.Helper()
	got := new(webFates)
	var idle []*bufio.ReadWriter
	for range deployedIdle {
		conn, err := net.DialTimeout("tcp", address, limit)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(10 * patience)); err != nil {
			t.Fatal(err)
		}
		c := bufio.NewReadWriter(bufio.NewReaderSize(conn, 512), bufio.NewWriterSize(conn, 512))
		if err := webAskHello(c); err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	ctx, finish := context.WithCancel(t.Context())
	var busy, begun sync.WaitGroup
	for range deployedBusy {
		begun.Add(1)
		busy.Go(func() { got.ask(ctx, address, sync.OnceFunc(begun.Done)) })
	}
	begun.Wait() // each has been answered
	reloads, pace := sized(3, 20), time.NewTicker(sized(100*time.Millisecond, time.Second))
	defer pace.Stop()
	for range reloads {
		if err := reload(); err != nil {
			t.Errorf("reload: %v", err)
		}
		<-pace.C
	}
	finish()
	busy.Wait()
	for _, c := range idle {
		if webAskHello(c) == nil {
			got.alive++
		}
	}
	fmt.Fprintf(table, "%-10s %8d %8d %10d %10d %10d\n", t.Name()[strings.LastIndexByte(t.Name(), '/')+1:], reloads, got.alive,
		got.answered.Load(), got.failed.Load(), got.ended.Load())
	return got
}

// webAskHello asks on a connection, which is to go on.
func webAskHello(c *bufio.ReadWriter) error {
	_, err := c.WriteString("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := errors.Join(err, c.Flush()); err != nil {
		return err
	}
	response, err := http.ReadResponse(c.Reader, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(response.Body)
	if err != nil || string(body) != "hello, world\n" || response.Close {
		return fmt.Errorf("%q, %v, the last: %v", body, err, response.Close)
	}
	return nil
}

// ask asks again and again, on one connection as long as that lives, and then on another.
func (f *webFates) ask(ctx context.Context, address string, begun func()) {
	defer begun() // also of one that is never answered
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: patience}
	for ctx.Err() == nil {
		// A POST, which net/http's client does not repeat by itself if its connection ends.
		response, err := client.Post("http://"+address+"/", "text/plain", strings.NewReader("x"))
		if err != nil {
			f.failed.Add(1)
			continue
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close() // what it had to say, ReadAll has said
		switch {
		case err != nil || response.StatusCode != http.StatusOK || string(body) != "hello, world\n":
			f.failed.Add(1)
		case response.Close:
			f.ended.Add(1)
			fallthrough
		default:
			f.answered.Add(1)
		}
		begun()
	}
}
