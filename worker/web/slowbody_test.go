package web_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/worker/web"
)

// chunkedPost is the head of a request whose body comes in chunks.
const chunkedPost = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

// A body that comes too slowly, be it that it stops or that a byte comes now and then, ends
// its request when ReadTimeout is over, and the connection: no handler gets such a body.
func TestSlowBodies(t *testing.T) {
	const soon = 500 * time.Millisecond // in which a head comes, however busy the machine is
	for _, way := range ways {
		for _, test := range []struct{ name, begin, more string }{
			{"it stops", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc", ""},
			{"bytes now and then", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc", "d"},
			{"bytes now and then of a short one", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\nabc", "d"},
			{"chunks stop", chunkedPost + "3\r\nabc\r\n", ""},
			{"chunks now and then", chunkedPost + "3\r\nabc\r\n", "1\r\nd\r\n"},
			{"parts of a chunk's size now and then", chunkedPost + "3\r\nabc\r\n", "0"},
			{"a head, and then nothing", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n", ""},
		} {
			t.Run(way.name+"/"+test.name, func(t *testing.T) {
				t.Parallel()
				read := make(chan error, 1)
				c := connect(t, serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					_, err := io.ReadAll(r.Body)
					read <- err
				}), append(way.opts, web.ReadTimeout(soon))...))
				c.send(test.begin)
				done := make(chan bool)
				go func() {
					defer close(done)
					for range time.Tick(soon / 50) {
						if _, err := io.WriteString(c.Conn, test.more); err != nil || test.more == "" {
							return
						}
					}
				}()
				if _, err := io.Copy(io.Discard, c.in); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error("the connection goes on")
				}
				_ = c.Close() // ends what is sent
				<-done
				select {
				case err := <-read:
					if err == nil {
						t.Error("the handler has got a whole body")
					}
				default: // on the loop the body is waited for ahead of the handler
					if way.opts == nil {
						t.Error("the handler was not called")
					}
				}
			})
		}
	}
}

// Of several timeouts for one body each counts for itself, and what a handler sets counts
// in the place of ReadTimeout.
func TestTimeoutsOfOneBody(t *testing.T) {
	const soon, late = 500 * time.Millisecond, time.Hour
	post := "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc"
	setRead := func(at time.Time) func(w http.ResponseWriter) {
		return func(w http.ResponseWriter) { _ = http.NewResponseController(w).SetReadDeadline(at) } // it can
	}
	for _, test := range []struct {
		name    string
		opts    []web.Option
		set     func(w http.ResponseWriter)
		read    string // the end of what ReadAll of the body returns, if the rest comes after soon
		written bool   // the answer arrives
	}{
		{"of reading, before that of writing", []web.Option{web.ReadTimeout(soon), web.WriteTimeout(late)}, nil, "i/o timeout", true},
		{"of writing, before that of reading", []web.Option{web.ReadTimeout(late), web.WriteTimeout(soon)}, nil, "abcdef", false},
		{"of the head is over", []web.Option{web.ReadHeaderTimeout(soon), web.ReadTimeout(late)}, nil, "abcdef", true},
		{"of the head is none of the body", []web.Option{web.ReadHeaderTimeout(soon)}, nil, "abcdef", true},
		{"of being idle is none of the body", []web.Option{web.IdleTimeout(soon)}, nil, "abcdef", true},
		{"taken away by the handler", []web.Option{web.ReadTimeout(late)}, setRead(time.Time{}), "abcdef", true},
		{"shortened by the handler", []web.Option{web.ReadTimeout(late)}, setRead(time.Now()), "i/o timeout", true},
		{"set by the handler", nil, setRead(time.Now()), "i/o timeout", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			called, read := make(chan bool), make(chan string, 1)
			c := connect(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if test.set != nil {
					test.set(w)
				}
				called <- true
				body, err := io.ReadAll(r.Body)
				got := string(body)
				if errors.Is(err, os.ErrDeadlineExceeded) {
					got += "i/o timeout"
				} else if err != nil {
					got += fmt.Sprint(", ", err)
				}
				read <- got
				_, _ = io.WriteString(w, "answer") // the client sees whether it comes
			}), test.opts...))
			c.send(post)
			<-called
			time.Sleep(2 * soon) // it is about time that passes
			c.send("def")
			if got := <-read; !strings.HasSuffix(got, test.read) {
				t.Errorf("read %q, want %q", got, test.read)
			}
			all, err := io.ReadAll(io.LimitReader(c.in, int64(len("HTTP/1.1 200 OK"))))
			if got := string(all) == "HTTP/1.1 200 OK"; got != test.written || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%q, %v; want an answer: %v", all, err, test.written)
			}
		})
	}
}

// What is beyond a handler's limit of a body is not read for ever: the client is told, and
// the connection ends, unless little is left of what a limit of http.MaxBytesHandler lets
// nobody read.
func TestBodiesBeyondTheirLimit(t *testing.T) {
	const limit = 1000
	inHandler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		readLimited(w, r)
	})
	for _, way := range ways {
		for _, test := range []struct {
			name   string
			h      http.Handler
			size   int
			status int
			ends   bool
		}{
			{"just as long", inHandler, limit, 200, false},
			{"a byte more", inHandler, limit + 1, 413, true},
			{"some more", inHandler, 10 * limit, 413, true},
			{"much more", inHandler, 10 << 20, 413, true},
			{"around the handler, just as long", http.MaxBytesHandler(http.HandlerFunc(readLimited), limit), limit, 200, false},
			{"around the handler, some more", http.MaxBytesHandler(http.HandlerFunc(readLimited), limit), 10 * limit, 413, false},
			{"around the handler, much more", http.MaxBytesHandler(http.HandlerFunc(readLimited), limit), 10 << 20, 413, true},
		} {
			for _, chunked := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/chunked %v", way.name, test.name, chunked), func(t *testing.T) {
					c := connect(t, serve(t, test.h, way.opts...))
					sent := make(chan bool)
					go func() {
						defer close(sent)
						_, _ = io.WriteString(c.Conn, body(test.size, chunked)) // the server may end before it has all
					}()
					answer, text := c.answer("POST")
					if answer.StatusCode != test.status || text != http.StatusText(test.status) || answer.Close != test.ends {
						t.Errorf("%d, %q, close %v; want %d, close %v", answer.StatusCode, text, answer.Close, test.status, test.ends)
					}
					if test.ends {
						_, err := c.in.ReadByte()
						if errors.Is(err, os.ErrDeadlineExceeded) || err == nil {
							t.Errorf("%v; want the end", err)
						}
						_ = c.Close() // ends what is sent
					} else {
						c.send(body(limit, chunked))
						c.expect("OK")
					}
					<-sent
				})
			}
		}
	}
}

// readLimited says whether a body was within its limit.
func readLimited(w http.ResponseWriter, r *http.Request) {
	status := http.StatusOK
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		status = http.StatusInternalServerError
		if _, is := errors.AsType[*http.MaxBytesError](err); is {
			status = http.StatusRequestEntityTooLarge
		}
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, http.StatusText(status)) // the client sees whether it comes
}

// body is a request with a body of so many bytes.
func body(size int, chunked bool) string {
	text := strings.Repeat("x", size)
	if chunked {
		return chunkedPost + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", size, text)
	}
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", size, text)
}
