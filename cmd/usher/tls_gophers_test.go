package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	_ "unsafe" // for linkname
)

func init() { helpers["gophers"] = gophersMain }

// gophers is a process of many clients in Go, of TLS 1.3 with one suite, and of 1.2 with
// every one.
type gophers struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *transcript
	n   int // how often it was told to go on
}

// gatherGophers has n clients connect that trust an authority, and does not wait for it.
func gatherGophers(t *testing.T, address, ca string, suite uint16, n int, rest time.Duration) *gophers {
	t.Helper()
	cmd, mark := command("gophers", address, ca, strconv.Itoa(int(suite)), strconv.Itoa(n), rest.String())
	g := &gophers{cmd: cmd}
	var err error
	if g.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	var write *os.File
	write, g.out = newTranscript(t)
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close() // the child has it now
	t.Cleanup(func() {
		killMarked(mark) // if the story did not come to its end
		if err := cmd.Wait(); err != nil && !t.Failed() {
			t.Errorf("Go clients: %v", err)
		}
		g.out.waitEnd(limit)
		if t.Failed() {
			t.Logf("Go clients of %s: %q", tls.CipherSuiteName(suite), g.out.all())
		}
	})
	return g
}

// goOn returns when as many lines as there are clients have been answered since.
func (g *gophers) goOn(t *testing.T) {
	t.Helper()
	if _, err := fmt.Fprintln(g.in, "go on"); err != nil {
		t.Fatal(err)
	}
	g.n++
	g.out.awaitWithin(t, patience, g.n, "went on")
}

// disperse has them leave, and returns how many lines they have exchanged.
func (g *gophers) disperse(t *testing.T) (lines int) {
	t.Helper()
	_ = g.in.Close() // it has ended, or ends now
	line := g.out.awaitWithin(t, patience, 1, "all have left after ")
	if _, err := fmt.Sscanf(line, "all have left after %d", &lines); err != nil {
		t.Errorf("%q: %v", line, err)
	}
	return lines
}

// What crypto/tls offers in TLS 1.3, which no Config says. It keeps the names for other
// packages (go.dev/issue/67401); should they go, only the first suite is left to test with.
//
//go:linkname preferred crypto/tls.defaultCipherSuitesTLS13
//go:linkname preferredNoAES crypto/tls.defaultCipherSuitesTLS13NoAES
var preferred, preferredNoAES []uint16

// gopherKinds are what clients want, in turn.
func gopherKinds(suite13 uint16) []tls.Config {
	kinds := []tls.Config{
		{MinVersion: tls.VersionTLS13, CipherSuites: []uint16{suite13}, ServerName: "ecdsa.example"},
		{MinVersion: tls.VersionTLS13, CipherSuites: []uint16{suite13}, ServerName: "rsa.example"},
	}
	for _, suite := range []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	} { // of two certificates for one name they get the one that they can use
		kinds = append(kinds, tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}, ServerName: "both.example"})
	}
	return kinds
}

// gophersMain is that process. On standard input it is told to go on, and by the end of it
// that all are to leave.
func gophersMain() {
	address := os.Args[2]
	authority, err := os.ReadFile(os.Args[3])
	if err != nil {
		panic(err) // as given by gatherGophers, and so are the others
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	suite, _ := strconv.Atoi(os.Args[4])
	n, _ := strconv.Atoi(os.Args[5])
	rest, _ := time.ParseDuration(os.Args[6])
	preferred, preferredNoAES = []uint16{uint16(suite)}, []uint16{uint16(suite)}

	var group sync.WaitGroup
	var lines atomic.Uint64
	done, places := make(chan struct{}), make(chan struct{}, 16) // to connect so many at a time
	var connecting sync.WaitGroup
	connecting.Add(n)
	kinds := gopherKinds(uint16(suite))
	for i := range n {
		group.Go(func() {
			config := kinds[i%len(kinds)].Clone()
			config.RootCAs = pool
			places <- struct{}{}
			v, err := dialVoice(address, config, rest)
			<-places
			if err == nil {
				connecting.Done()
				err = v.converse(done, uint64(os.Getpid()+i), &lines)
			}
			if err != nil {
				fmt.Printf("client %d, %s with %s: %v\n", i, config.ServerName, tls.CipherSuiteName(config.CipherSuites[0]), err)
				os.Exit(1)
			}
		})
	}
	connecting.Wait()
	fmt.Println("all are connected")
	for orders := bufio.NewScanner(os.Stdin); orders.Scan(); {
		pace := time.NewTicker(2 * time.Millisecond)
		for next := lines.Load() + uint64(n); lines.Load() < next; {
			<-pace.C
		}
		pace.Stop()
		fmt.Println("went on")
	}
	close(done)
	group.Wait()
	fmt.Println("all have left after", lines.Load(), "lines")
}

// halting is a connection that rests in the middle of each write, and so of records.
type halting struct {
	net.Conn
	rest time.Duration
}

func (h halting) Write(b []byte) (int, error) {
	cut := rand.IntN(len(b))
	n, err := h.Conn.Write(b[:cut])
	if err == nil {
		time.Sleep(rand.N(h.rest))
		var more int
		more, err = h.Conn.Write(b[cut:])
		n += more
	}
	return n, err
}

// dialVoice connects a client of crypto/tls whose Config has one suite.
func dialVoice(address string, config *tls.Config, rest time.Duration) (*voice, error) {
	wire, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(halting{wire, rest}, config)
	v, err := voiceOf(conn, rest)
	if err == nil {
		v.over = wasSecured(conn.ConnectionState().Version, config.CipherSuites[0], config.ServerName)
	}
	return v, err
}

// voiceOf shakes hands.
func voiceOf(conn *tls.Conn, rest time.Duration) (*voice, error) {
	if err := errors.Join(conn.SetDeadline(time.Now().Add(patience)), conn.Handshake()); err != nil {
		return nil, err
	}
	v := &voice{in: bufio.NewReader(conn), rest: rest}
	v.say = func(text string) error {
		err := conn.SetDeadline(time.Now().Add(patience))
		if err == nil {
			_, err = io.WriteString(conn, text)
		}
		return err
	}
	v.leave = func() error {
		defer conn.Close()
		if err := errors.Join(conn.SetDeadline(time.Now().Add(patience)), conn.CloseWrite()); err != nil {
			return err
		}
		if more, err := io.ReadAll(v.in); err != nil || len(more) > 0 {
			return fmt.Errorf("at the end %d bytes, %v; want none, no error", len(more), err)
		}
		return nil
	}
	return v, nil
}
