package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

func init() {
	helpers["worker-tome"] = func() {
		worker.Main(worker.OpenFunc(func(*worker.Conn) (worker.Session, error) { return &tome{}, nil }))
	}
}

// tome is a session with a large state: the client's first eight bytes say how
// many pages of 1 KiB, which it then holds; each further byte is answered with all
// of them, each page with its number and that of the reading.
type tome struct {
	pages   uint32
	reading uint32
	book    []byte
}

const pageSize = 1 << 10

func newBook(pages, seed uint32) []byte {
	book := make([]byte, pages*pageSize)
	for i := range book {
		book[i] = byte(uint32(i)*seed>>3 ^ uint32(i))
	}
	return book
}

func (m *tome) Data(c *worker.Conn, in []byte) (n int, err error) {
	if m.pages == 0 {
		if len(in) < 8 {
			return 0, nil
		}
		m.pages = binary.LittleEndian.Uint32(in)
		m.book, n = newBook(m.pages, binary.LittleEndian.Uint32(in[4:])), 8
	}
	for ; n < len(in) && err == nil; n++ {
		_, err = c.Write(m.next())
	}
	return n, err
}

// next is the book for the next reading.
func (m *tome) next() []byte {
	m.reading++
	for page := range m.pages {
		binary.LittleEndian.PutUint32(m.book[page*pageSize:], m.reading)
	}
	return m.book
}

func (m *tome) MarshalBinary() ([]byte, error) {
	b := binary.LittleEndian.AppendUint32(nil, m.pages)
	return append(binary.LittleEndian.AppendUint32(b, m.reading), m.book...), nil
}

func (m *tome) UnmarshalBinary(b []byte) error {
	m.pages, m.reading = binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	m.book = bytes.Clone(b[8:])
	if len(m.book) != int(m.pages)*pageSize {
		return fmt.Errorf("%d pages in %d bytes", m.pages, len(m.book))
	}
	return nil
}

// readTome is a client that reads its tome again and again until done is closed,
// slowly: most of it waits at the server meanwhile.
func readTome(address string, pages, seed uint32, done <-chan struct{}) (readings uint32, err error) {
	dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 32<<10) }) // it would only wait elsewhere
	}}
	c, err := dialer.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * limit)) // it is open
	mine := tome{pages: pages, book: newBook(pages, seed)}
	request := binary.LittleEndian.AppendUint32(nil, pages)
	request = binary.LittleEndian.AppendUint32(request, seed)
	got := make([]byte, len(mine.book))
	for {
		// Two readings are owed at a time.
		if _, err := c.Write(append(request, 1, 1)); err != nil {
			return mine.reading, err
		}
		request = request[:0]
		for range 2 {
			half := len(got) / 2
			if _, err := io.ReadFull(c, got[:half]); err != nil {
				return mine.reading, fmt.Errorf("reading %d: %w", mine.reading+1, err)
			}
			time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond) // it moves in the middle of its output
			if _, err := io.ReadFull(c, got[half:]); err != nil {
				return mine.reading, fmt.Errorf("reading %d, second half: %w", mine.reading+1, err)
			}
			if !bytes.Equal(got, mine.next()) {
				return mine.reading, fmt.Errorf("reading %d differs", mine.reading)
			}
		}
		select {
		case <-done:
			return mine.reading, nil
		default:
		}
	}
}

// Sessions whose state is 100 KiB to 4 MiB, with as much output again that is not
// read yet, move over reloads without losing a byte, and leave no descriptor.
func TestReloadsMoveLargeStates(t *testing.T) {
	clients, reloads := sized(10, 40), sized(4, 20)
	s := serve(t, "--workers", "2", "--", self(), "worker-tome")
	done := make(chan struct{})
	var group sync.WaitGroup
	var lock sync.Mutex
	total := uint32(0)
	for i := range clients {
		pages := uint32(100)
		if i%2 == 1 {
			pages = uint32(100 + i*4000/clients)
		}
		group.Go(func() {
			n, err := readTome(s.address, pages, uint32(i+1), done)
			if err != nil {
				t.Errorf("client %d: %v", i, err)
			}
			lock.Lock()
			defer lock.Unlock()
			total += n
		})
	}
	s.until("all are there", func(status master.Status) bool { return int(status.Connections.Active) == clients })
	for n := range reloads {
		if got := usher(t, "reload", "--control", s.control); got.code != 0 {
			t.Fatalf("reload %d: %+v", n, got)
		}
		s.until("the old workers are gone", ready(2))
	}
	status := s.until("all are there still", func(status master.Status) bool {
		return int(status.Connections.Active) == clients || t.Failed()
	})
	close(done)
	group.Wait()
	t.Logf("%d clients, %d readings over %d reloads; %+v", clients, total, reloads, status.Connections)
	if status.Connections.Lost != 0 || int(status.Connections.Moved) < clients*reloads {
		t.Errorf("%+v; want %s moves and more, none lost", status.Connections, strconv.Itoa(clients*reloads))
	}
	s.stop()
}
