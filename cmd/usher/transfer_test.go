package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Many clients send random bytes in writes of odd sizes while they read, and
// get exactly these back.
func TestTransfer(t *testing.T) {
	const atATime = 300
	clients := int64(sized(500, 10_000))
	bytesEach := sized(256<<10, 1<<20)
	s := serve(t)
	start := time.Now()

	var next atomic.Int64
	var group sync.WaitGroup
	for range atATime {
		group.Go(func() {
			for n := next.Add(1); n <= clients && !t.Failed(); n = next.Add(1) {
				if err := transfer(s.address, uint64(n), bytesEach); err != nil {
					t.Errorf("client %d: %v", n, err)
				}
			}
		})
	}
	group.Wait()
	elapsed := time.Since(start)
	megabytes := float64(clients) * float64(bytesEach) / 1e6
	t.Logf("%d clients, %d at a time, %d bytes each way each: %v, %.0f MB/s each way",
		clients, atATime, bytesEach, elapsed.Round(time.Millisecond), megabytes/elapsed.Seconds())

	s.atRest()
	if status, err := s.status(); err != nil || status.Connections.Closed != uint64(clients) || status.Connections.Lost != 0 {
		t.Errorf("status %+v, %v; want %d closed, none lost", status.Connections, err, clients)
	}
	s.stop()
}

// transfer is one client. Its bytes are those that the seed gives.
func transfer(address string, seed uint64, size int) error {
	conn, err := net.DialTimeout("tcp", address, limit)
	if err != nil {
		return err
	}
	defer conn.Close()
	// Hundreds share the machine: this bounds only what would never end.
	if err := conn.SetDeadline(time.Now().Add(3 * limit)); err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() { sent <- sendRandom(conn.(*net.TCPConn), seed, size) }()
	received := receiveRandom(conn, seed, size)
	if received != nil {
		_ = conn.Close() // so that sending ends too
	}
	if err := <-sent; received == nil && err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return received
}

func random(seed uint64, stream byte) *rand.ChaCha8 {
	return rand.NewChaCha8([32]byte{stream, byte(seed), byte(seed >> 8), byte(seed >> 16)})
}

// sendRandom writes size bytes, 1 to about 40,000 at a time, and then finishes sending.
func sendRandom(conn *net.TCPConn, seed uint64, size int) error {
	data, lengths := random(seed, 'd'), rand.New(random(seed, 'l'))
	buffer := make([]byte, 40_009)
	for left := size; left > 0; {
		piece := buffer[:min(left, 1+lengths.IntN(len(buffer)))]
		_, _ = data.Read(piece) // it never fails
		if _, err := conn.Write(piece); err != nil {
			return err
		}
		left -= len(piece)
	}
	return conn.CloseWrite()
}

// receiveRandom reads size bytes that must be the same, and then the end.
func receiveRandom(conn net.Conn, seed uint64, size int) error {
	data := random(seed, 'd')
	got, want := make([]byte, 32<<10), make([]byte, 32<<10)
	for offset := 0; ; {
		n, err := conn.Read(got)
		_, _ = data.Read(want[:n]) // it never fails
		if offset+n <= size && !bytes.Equal(got[:n], want[:n]) {
			return fmt.Errorf("other bytes than sent came back, between %d and %d", offset, offset+n)
		}
		offset += n
		switch {
		case err == io.EOF && offset == size:
			return nil
		case err != nil || offset > size:
			return fmt.Errorf("receive: %d of %d bytes, %v", offset, size, err)
		}
	}
}
