package web_test

import (
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/usher-go/usher/worker/web"
)

// Clients go at every point of requests of every kind, in each way that there is to go:
// nothing is left of them, and the next client is served. (TestMain looks for goroutines.)
func TestClientsThatGo(t *testing.T) {
	const large = 300 << 10
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/large":
			_, _ = w.Write(make([]byte, large)) // the client may be gone
		case "/hijack":
			if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_, _ = io.Copy(c, c) // likewise
				_ = c.Close()
			}
		case "/echo":
			_ = http.NewResponseController(w).EnableFullDuplex() // it knows it
			_, _ = io.Copy(w, r.Body)                            // likewise
		default:
			say(w, r)
		}
	})
	requests := []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /large HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /hijack HTTP/1.1\r\nHost: x\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789",
		"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 307200\r\n\r\n" + strings.Repeat("x", large),
		"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			seed := rand.Uint64()
			t.Log("seed", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			addr, server := serveDraining(t, handler, append(way.opts, web.MaxRunning(3))...)
			var clients sync.WaitGroup
			for range 300 {
				in := requests[random.IntN(len(requests))] + requests[random.IntN(len(requests))]
				in, reads, how := in[:random.IntN(len(in)+1)], random.IntN(3)*100, random.IntN(3)
				clients.Go(func() { goAway(t, addr, in, reads, how) })
			}
			clients.Wait()
			c := connect(t, addr)
			c.send(requests[0])
			c.expect("GET / ")
			_ = c.Close()
			server.Drain(10 * time.Second)
		})
	}
}

// goAway sends in, reads a little, and goes: by FIN, by a reset, or by FIN and reading what
// comes.
func goAway(t *testing.T, addr, in string, reads, how int) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	sent := make(chan bool)
	go func() {
		defer close(sent)
		_, _ = io.WriteString(conn, in) // the answer may be the connection's last
	}()
	if in != "" && reads > 0 {
		_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) // there may be less
		_, _ = io.CopyN(io.Discard, conn, int64(reads))                 // and that is no matter
		_ = conn.SetReadDeadline(time.Now().Add(patience))
	}
	tcp := conn.(*net.TCPConn)
	switch how {
	case 0:
		_ = tcp.SetLinger(0)
		_ = tcp.Close()
		<-sent
	case 1:
		go func() { _, _ = io.Copy(io.Discard, conn) }() // ends with the connection
		<-sent
		_ = tcp.Close()
	default:
		read := make(chan bool)
		go func() { defer close(read); _, _ = io.Copy(io.Discard, conn) }()
		<-sent
		_ = tcp.CloseWrite()
		<-read
	}
}
