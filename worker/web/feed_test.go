package web

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestFeed: what is put in pieces is read in others, while the loop waits for room.
func TestFeed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sent := make([]byte, rapid.IntRange(0, 3*feedBytes).Draw(t, "size"))
		for i := range sent {
			sent[i] = byte(i * 7 >> 3)
		}
		length := int64(-1)
		if rapid.Bool().Draw(t, "of a length") {
			length = int64(len(sent))
		}
		most := rapid.IntRange(1, 2*feedBytes).Draw(t, "piece")
		step := rapid.IntRange(1, 2*feedBytes).Draw(t, "read")
		room := make(chan struct{}, 1)
		f := &feed{resume: func() { room <- struct{}{} }}
		f.open(length)
		go func() {
			for rest := sent; len(rest) > 0; {
				piece := rest[:min(most, len(rest))]
				n := f.put(piece)
				if rest = rest[n:]; n < len(piece) {
					<-room
				}
			}
			f.end(io.EOF)
		}()
		var got []byte
		for buffer := make([]byte, step); ; {
			n, err := f.Read(buffer)
			if got = append(got, buffer[:n]...); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, sent) {
			t.Fatalf("%d bytes of %d, or others", len(got), len(sent))
		}
	})
}

func TestFeedTakesNoMoreThanTheBody(t *testing.T) {
	var f feed
	f.open(5)
	if n := f.put([]byte("helloGET")); n != 5 {
		t.Errorf("%d bytes taken of a body of 5", n)
	}
	if f.short || f.put([]byte("GET")) != 0 {
		t.Error("what is behind the body is taken, or waits for room")
	}
}

// A hijacked connection may have several readers: what one leaves is the next one's.
func TestFeedOfSeveralReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f feed
		f.open(-1)
		read := make(chan byte, 2)
		for range 2 {
			go func() {
				b := make([]byte, 1)
				_, _ = f.Read(b) // it cannot fail: it has no end and no deadline
				read <- b[0]
			}()
		}
		synctest.Wait() // both wait
		f.put([]byte("xx"))
		synctest.Wait()
		if len(read) != 2 {
			t.Errorf("%d of 2 readers have a byte", len(read))
		}
		f.take(nil)
	})
}

func TestFeedDeadline(t *testing.T) {
	var f feed
	f.open(-1)
	f.put([]byte("x"))
	f.setDeadline(time.Unix(1, 0))
	if _, err := f.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("behind the deadline: %v", err)
	}
	f.setDeadline(time.Time{})
	if n, err := f.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("without one: %d, %v", n, err)
	}
	f.setDeadline(time.Now().Add(time.Millisecond))
	if _, err := f.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("one that passes: %v", err)
	}
	f.take(nil)
	if _, err := f.Read(make([]byte, 1)); err == nil {
		t.Error("a feed that has ended is read")
	}
}

// TestBodyIsDeadOnceFinished: a goroutine that reads on gets an error, and what it has
// not read is the connection's.
func TestBodyIsDeadOnceFinished(t *testing.T) {
	for _, in := range []string{"helloGET", "he"} {
		t.Run(in, func(t *testing.T) {
			var p parser
			_, b, err := p.read(t.Context(), []byte(aPOST+"Content-Length: 5\r\n\r\n"))
			if err != nil {
				t.Fatal(err)
			}
			taken := b.feed.put([]byte(in))
			first := make([]byte, 2)
			if _, err := io.ReadFull(b, first); err != nil {
				t.Fatal(err)
			}
			read := make(chan error, 1)
			go func() {
				_, err := io.Copy(io.Discard, b)
				read <- err
			}()
			if in == "helloGET" {
				if err := <-read; err != nil {
					t.Fatal(err)
				}
			}
			rest, kept := b.finish(in == "helloGET")
			if kept != (in == "helloGET") || len(rest) > 0 {
				t.Errorf("rest %q, kept %v, of %d bytes taken", rest, kept, taken)
			}
			if in == "he" {
				if err := <-read; err != http.ErrBodyReadAfterClose {
					t.Errorf("who reads gets %v", err)
				}
			}
			if _, err := b.Read(first); err != http.ErrBodyReadAfterClose {
				t.Errorf("who reads later gets %v", err)
			}
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
