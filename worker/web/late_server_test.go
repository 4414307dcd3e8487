package web_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/usher-go/usher/worker/web"
	"github.com/usher-go/usher/worker/workertest"
)

// TestLateCallsOnALiveConnection has handlers leave goroutines behind which go on to write,
// read, set deadlines and hijack while the next requests of the same connection are
// served: none of them may see anything of it.
func TestLateCallsOnALiveConnection(t *testing.T) {
	for _, test := range []struct {
		name string
		opts []web.Option
	}{
		{"goroutines", nil},
		{"on the loop", []web.Option{web.Inline()}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var late sync.WaitGroup
			stop := make(chan struct{})
			answered := make(map[string]chan struct{}) // by path: closed when the client has the answer
			for i := range 100 {
				answered[fmt.Sprintf("/%d", i)] = make(chan struct{})
			}
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				late.Go(func() {
					select {
					case <-answered[r.URL.Path]:
					case <-stop:
						return
					}
					for {
						if err := callAll(w, r); err != nil {
							t.Error(err)
							return
						}
						select {
						case <-stop:
							return
						case <-time.After(time.Millisecond): // so that the others get a turn
						}
					}
				})
				got, err := io.ReadAll(r.Body)
				_, _ = fmt.Fprintf(w, "%s %s %v", r.URL.Path, got, err)
			})
			workertest.Serve(t, l, web.Handler(h, test.opts...))
			defer late.Wait()
			defer close(stop)
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			in := bufio.NewReader(c)
			for i := range 100 {
				body := strings.Repeat("b", i*10)
				if _, err := fmt.Fprintf(c, "POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", i, len(body), body); err != nil {
					t.Fatal(err)
				}
				answer, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatalf("request %d: %v", i, err)
				}
				got, err := io.ReadAll(answer.Body)
				if want := fmt.Sprintf("/%d %s <nil>", i, body); err != nil || string(got) != want {
					t.Fatalf("request %d: %q, %v", i, got, err)
				}
				close(answered[fmt.Sprintf("/%d", i)])
			}
		})
	}
}

// callAll calls what a handler can call, and returns what is wrong with the answers.
func callAll(w http.ResponseWriter, r *http.Request) error {
	c := http.NewResponseController(w)
	_, write := io.WriteString(w, "late")
	_, copied := io.Copy(w, io.LimitReader(strings.NewReader("late"), 4))
	_, _, hijack := c.Hijack()
	for name, err := range map[string]error{
		"write": write, "copy": copied, "flush": c.Flush(), "hijack": hijack, "full duplex": c.EnableFullDuplex(),
		"read deadline": c.SetReadDeadline(time.Now()), "write deadline": c.SetWriteDeadline(time.Now()),
	} {
		if !errors.Is(err, web.ErrFinished) {
			return fmt.Errorf("a late %s: %v", name, err)
		}
	}
	if _, err := r.Body.Read(make([]byte, 10)); err == nil || errors.Is(err, io.EOF) && r.ContentLength > 0 {
		return fmt.Errorf("a late read: %v", err)
	}
	w.Header().Set("X-Late", "1")
	return r.Body.Close()
}
