package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/certtest"
	"github.com/usher-go/usher/master"
	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/web"
	"golang.org/x/sys/unix"
)

func init() {
	// It is lines; once it has had a connection, USR1 has its loop stand still, in which no
	// connection has a part.
	helpers["worker-hanging-alone"] = func() {
		told, dialers := make(chan os.Signal, 1), make(chan *worker.Dialer, 1)
		signal.Notify(told, unix.SIGUSR1)
		go func() {
			dialer := <-dialers
			<-told
			dialer.Post(hangForEver)
		}()
		worker.Main(worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
			select {
			case dialers <- c.Dialer():
			default: // it has one
			}
			return lines{}, nil
		}))
	}
	helpers["worker-dozing"] = func() { worker.Main(dozing{}) }
	helpers["worker-slow-to-thaw"] = func() { worker.Main(slowToThaw{}) }
	helpers["worker-web-failing"] = func() {
		worker.Main(web.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "it is broken", http.StatusInternalServerError)
		})))
	}
}

// dozing is lines whose handler blocks at one line in four for longer than a loop should.
type dozing struct{ lines }

func (d dozing) Open(*worker.Conn) (worker.Session, error) { return d, nil }

func (d dozing) Data(c *worker.Conn, in []byte) (int, error) {
	if rand.IntN(4) == 0 {
		time.Sleep(120 * time.Millisecond) // the fault: the loop stands still
	}
	return d.lines.Data(c, in)
}

// slowToThaw is lines with a state that takes long to restore.
type slowToThaw struct{ lines }

func (s slowToThaw) Open(*worker.Conn) (worker.Session, error) { return s, nil }
func (slowToThaw) MarshalBinary() ([]byte, error)              { return []byte{0}, nil }

func (slowToThaw) UnmarshalBinary([]byte) error {
	time.Sleep(600 * time.Millisecond) // the fault: the connection pauses for as long
	return nil
}

// newFaults returns a fault for each alert that is of a server.
func newFaults(t *testing.T) []fault {
	t.Helper()
	dir := shortDir(t)
	config, program := filepath.Join(dir, "usher.toml"), filepath.Join(dir, "worker")
	writeFile(t, config, "workers = 1\n")
	deploy(t, program, "worker-summing")
	expiring, expiringKey := certify(t)
	cert, key := certtest.NewCA(t, "alerts").Issue(t, certtest.Want{Names: []string{"127.0.0.1"}}).Write(t, dir, "cert")
	one := []string{"--workers", "1", "--app", "lines"}
	helper := func(name string, flags ...string) []string { return append(flags, "--", self(), name) }
	secure := func(cert, key string) []string {
		return append([]string{"--listen", "tls://127.0.0.1:0", "--tls-cert", cert, "--tls-key", key}, one...)
	}
	successor := []string{"UsherWorkersMissing"} // if it takes its time
	return []fault{
		{alert: "UsherDown", args: one, make: func(s *server) { kill(t, s.pid, unix.SIGKILL) }},
		{alert: "UsherWorkersMissing", args: []string{"--workers", "1", "--boot-timeout", "1h", "--", program}, make: func(s *server) {
			deploy(t, program, "worker-mute")
			s.killWorker()
		}},
		{alert: "UsherWorkersRestart", args: one, make: func(s *server) {
			last := 0
			s.often(func() error {
				status, err := s.status()
				if err != nil || !allReady(status) || status.Workers[0].PID == last {
					return err
				}
				last = status.Workers[0].PID
				return unix.Kill(last, unix.SIGKILL)
			})
		}, also: successor},
		{alert: "UsherWorkerHung", args: helper("worker-hanging-alone", "--workers", "1", "--hang-timeout", hangTimeout.String()), make: func(s *server) {
			c := dial(t, s.address)
			hung := c.ask(t, "hello")
			c.leave(t)
			s.until("nobody is there", func(status master.Status) bool { return open(status) == 0 })
			kill(t, hung, unix.SIGUSR1)
		}, again: true, also: successor},
		{alert: "UsherReloadFailed", args: []string{"--config", config}, make: func(s *server) {
			writeFile(t, config, "workers = \"many\"\n")
			s.signal(unix.SIGHUP)
		}},
		{alert: "UsherConnectionsLost", args: one, make: func(s *server) {
			dial(t, s.address).ask(t, "hello")
			s.killWorker()
		}, again: true, also: successor},
		{alert: "UsherConnectionsCut", args: helper("worker-staying", "--workers", "1", "--drain-timeout", "100ms"), make: func(s *server) {
			dial(t, s.address).ask(t, "hello")
			s.signal(unix.SIGHUP)
		}, again: true},
		{alert: "UsherConnectionsRefused", args: append([]string{"--max-conns", "1", "--overload", "close"}, one...), make: func(s *server) {
			dial(t, s.address).ask(t, "hello")
			s.often(func() error { return toTheEnd(s.address, "") })
		}},
		{alert: "UsherAcceptErrors", args: one, make: lacksDescriptors, again: true, also: []string{"UsherDown"}}, // it cannot be scraped meanwhile
		{alert: "UsherQueueWaits", args: one, make: func(s *server) {
			pid := s.now().Workers[0].PID
			s.often(func() error { return waitsInQueue(s.address, pid) })
		}},
		{alert: "UsherQueueStuck", args: one, make: func(s *server) {
			freeze(t, s.now().Workers[0].PID)
			crowd(t, s.address, 3)
		}},
		{alert: "UsherLoopLags", args: helper("worker-dozing", "--workers", "8"), make: func(s *server) {
			for range 8 {
				t.Cleanup(staysAndAsks(t, s.address))
			}
		}},
		{alert: "UsherMovesPause", args: helper("worker-slow-to-thaw", "--workers", "1"), make: func(s *server) {
			dial(t, s.address).ask(t, "hello")
			s.signal(unix.SIGHUP)
		}, again: true},
		{alert: "UsherHTTPFails", args: helper("worker-web-failing", "--workers", "1"), make: func(s *server) {
			s.often(func() error { return toTheEnd(s.address, "GET / HTTP/1.0\r\n\r\n") })
		}},
		{alert: "UsherHandshakesFail", args: secure(cert, key), make: func(s *server) {
			address := s.now().Listeners[1].Address
			s.often(func() error { return toTheEnd(address, "this is no handshake\n") })
		}},
		{alert: "UsherCertificateExpires", args: secure(expiring, expiringKey), make: func(*server) {}},
	}
}

// killWorker kills the only worker.
func (s *server) killWorker() {
	s.t.Helper()
	kill(s.t, s.now().Workers[0].PID, unix.SIGKILL)
}

// often does something again and again until stop is called, or the story ends.
func (s *server) often(do func() error) (stop func()) {
	return meanwhile(s.t, func() bool {
		err := do()
		if err != nil {
			s.t.Errorf("at %s: %v", s.address, err)
		}
		<-time.After(20 * time.Millisecond) // many, and not as many as can be
		return err == nil
	})
}

// toTheEnd is a client that says something, and reads what there is to read.
func toTheEnd(address, text string) error {
	conn, err := net.DialTimeout("tcp", address, limit)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(limit)) // a socket has deadlines
	_, _ = io.WriteString(conn, text)           // it may be closed already, as the story has it
	_, err = io.Copy(io.Discard, conn)
	if operation, ok := err.(*net.OpError); ok && !operation.Timeout() {
		return nil // a reset is an end, too
	}
	return err
}

// waitsInQueue has a client wait for a worker that is stopped for a while.
func waitsInQueue(address string, pid int) error {
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		return err
	}
	c, err := connect(address)
	if err == nil {
		defer c.conn.Close()
		err = c.send("hello\n")
	}
	<-time.After(400 * time.Millisecond) // that is what the alert is about
	if stopped := unix.Kill(pid, unix.SIGCONT); stopped != nil || err != nil {
		return errors.Join(stopped, err)
	}
	if _, err := c.answer("hello"); err != nil {
		return err
	}
	return c.end()
}

// lacksDescriptors has a server lack descriptors until it has not accepted a client.
func lacksDescriptors(s *server) {
	s.t.Helper()
	limitTo := func(n uint64) (was unix.Rlimit) {
		if err := unix.Prlimit(s.pid, unix.RLIMIT_NOFILE, nil, &was); err != nil {
			s.t.Fatal(err)
		}
		if err := unix.Prlimit(s.pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: was.Max}, nil); err != nil {
			s.t.Fatal(err)
		}
		return was
	}
	const message = "cannot accept, retrying"
	before := len(s.log.with(message))
	was := limitTo(3) // what is open stays so
	waiting := dial(s.t, s.address)
	s.log.await(s.t, before+1, message)
	limitTo(was.Cur)
	waiting.ask(s.t, "hello")
}

// secured are the arguments of a server of HTTP that is well, plain and with TLS.
func secured(t *testing.T) []string {
	t.Helper()
	cert, key := certtest.NewCA(t, "alerts").Issue(t, certtest.Want{Names: []string{"127.0.0.1"}}).Write(t, t.TempDir(), "well")
	return []string{"--workers", "1", "--app", "hello", "--listen", "tls://127.0.0.1:0", "--tls-cert", cert, "--tls-key", key}
}

// visitOften has clients come and go at a server of lines, and stay; and others at one of
// HTTP; until stop is called.
func visitOften(lines, web *server) (stop func()) {
	secure := web.now().Listeners[1].Address
	visitors := []func(){
		lines.often(func() error { return shortVisit(lines.address) }),
		staysAndAsks(lines.t, lines.address),
		web.often(func() error {
			conn, err := tls.Dial("tcp", secure, &tls.Config{InsecureSkipVerify: true}) // who it is matters to other stories
			if err != nil {
				return err
			}
			defer conn.Close()
			return getAll(conn)
		}),
	}
	return func() {
		for _, stop := range visitors {
			stop()
		}
	}
}

// getAll asks for a page, and reads its answer, of which there must be some.
func getAll(conn net.Conn) error {
	_ = conn.SetDeadline(time.Now().Add(limit)) // a socket has deadlines
	_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: well\r\nConnection: close\r\n\r\n")
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(conn)
	if err == nil && !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
		err = fmt.Errorf("answer %q", answer)
	}
	return err
}
