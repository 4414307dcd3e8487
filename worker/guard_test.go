package worker_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/worker"
)

// forAny are the methods that any goroutine may call.
var forAny = map[string]bool{
	"Conn.Post": true, "Conn.ID": true, "Conn.Listener": true, "Conn.RemoteAddr": true, "Conn.LocalAddr": true,
	"Conn.TLS": true, "Conn.Proxy": true, "Conn.AccessLog": true,
	"Dialer.Post": true,
}

// eachMethod calls f for each method of what the loop gives out that is the loop's
// alone, with arguments that would do something.
func eachMethod(t *testing.T, c *worker.Conn, d *worker.Dialer, timer *worker.Timer, f func(name string, call func() []reflect.Value)) {
	t.Helper()
	calls := 0
	for _, on := range []any{c, d, timer} {
		v := reflect.ValueOf(on)
		for i := range v.NumMethod() {
			name := v.Type().Elem().Name() + "." + v.Type().Method(i).Name
			if forAny[name] {
				continue
			}
			method := v.Method(i)
			calls++
			f(name, func() []reflect.Value {
				var in []reflect.Value
				for p := range method.Type().NumIn() {
					in = append(in, argument(t, method.Type().In(p)))
				}
				if method.Type().IsVariadic() {
					return method.CallSlice(in)
				}
				return method.Call(in)
			})
		}
	}
	if calls < 20 {
		t.Fatalf("%d methods: what does this test look at?", calls)
	}
}

func argument(t *testing.T, of reflect.Type) reflect.Value {
	never := func() { t.Error("called") }
	for _, v := range []any{
		[]byte("SECRET"), [][]byte{[]byte("SECRET")}, time.Nanosecond, time.Now(), 1, int64(1), never, os.Stdin,
		func(*worker.Conn) { never() }, func() error { never(); return nil }, func(error) {}, worker.Destination{Path: "/nowhere"}, worker.DataFunc(echo),
	} {
		if reflect.TypeOf(v).AssignableTo(of) {
			return reflect.ValueOf(v)
		}
	}
	t.Fatalf("no argument of type %v", of)
	panic("unreachable")
}

// stray starts a worker and returns a connection, a Dialer and a Timer as another
// goroutine may have them.
func stray(t *testing.T, log io.Writer, strict bool) (*client, *worker.Conn, *worker.Dialer, *worker.Timer) {
	conns := make(chan *worker.Conn, 1)
	s := newRig(t, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		conns <- c
		return worker.DataFunc(echo), nil
	}), worker.Strict(strict), worker.WithLogger(hclog.New(&hclog.LoggerOptions{Output: log})))
	client := s.connect()
	c := await(t, conns)
	timers := make(chan *worker.Timer, 1)
	c.Post(func(c *worker.Conn) { timers <- c.After(time.Hour, func() { t.Error("called") }) })
	timer := await(t, timers)
	dialers := make(chan *worker.Dialer, 1)
	c.Post(func(c *worker.Conn) { dialers <- c.Dialer() })
	return client, c, await(t, dialers), timer
}

// Every method, on the wrong goroutine, says so and does nothing.
func TestCallsOnTheWrongGoroutineDoNothing(t *testing.T) {
	var log locked
	client, c, d, timer := stray(t, &log, false)
	eachMethod(t, c, d, timer, func(name string, call func() []reflect.Value) {
		for _, result := range call() {
			switch result := result.Interface().(type) {
			case error:
				if !errors.Is(result, worker.ErrWrongGoroutine) || !strings.Contains(result.Error(), name) {
					t.Errorf("%s: %v", name, result)
				}
			case nil:
				t.Errorf("%s: no error", name)
			case *worker.Conn: // that of Dial
				if _, err := result.Write([]byte("x")); !errors.Is(err, worker.ErrWrongGoroutine) {
					t.Errorf("%s: write to what it returned: %v", name, err)
				}
			case *worker.Timer:
				if result.Stop() {
					t.Errorf("%s: a timer runs", name)
				}
			case *worker.Dialer: // harmless in itself
			default:
				if !reflect.ValueOf(result).IsZero() {
					t.Errorf("%s: %v", name, result)
				}
			}
		}
	})
	for range 100 {
		client.send("x")
		client.expect("x")
	}
	stopped := make(chan bool, 1)
	c.Post(func(*worker.Conn) { stopped <- timer.Stop() })
	if !await(t, stopped) {
		t.Error("the timer was stopped by another goroutine")
	}
	if text := log.String(); strings.Count(text, "call ignored") != 1 || !strings.Contains(text, "guard_test.go") {
		t.Errorf("want one line with this file in its stack, got %q", text)
	}
	check(t, client.Close())
}

// While a program is debugged, each is a panic that says what to do.
func TestCallsOnTheWrongGoroutinePanicInDebugging(t *testing.T) {
	client, c, d, timer := stray(t, io.Discard, true)
	eachMethod(t, c, d, timer, func(name string, call func() []reflect.Value) {
		defer func() {
			if text := fmt.Sprint(recover()); !strings.Contains(text, name) || !strings.Contains(text, "Post") {
				t.Errorf("%s: panic %q", name, text)
			}
		}()
		call()
	})
	client.send("x")
	client.expect("x")
	check(t, client.Close())
}

// What one goroutine writes beside the loop must not reach another client.
func TestWriteBesideTheLoopReachesNobodyElse(t *testing.T) {
	conns := make(chan *worker.Conn, 1)
	s := newRig(t, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		select {
		case conns <- c:
		default:
		}
		return worker.DataFunc(echo), nil
	}), worker.Strict(false))
	first := s.connect()
	c := await(t, conns)
	stop := make(chan struct{})
	var all, writer sync.WaitGroup
	writer.Go(func() { _, _ = io.Copy(io.Discard, first) }) // so that what is written goes out at once
	writer.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				fmt.Fprintf(c, "SECRET")
			}
		}
	})
	for range 4 {
		client := s.connect()
		all.Go(func() {
			line, got := []byte(strings.Repeat("x", 64)), make([]byte, 64)
			for range 3000 {
				if _, err := client.Write(line); err != nil {
					t.Error(err)
					return
				}
				if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, line) {
					t.Errorf("got %q, %v", got, err)
					return
				}
			}
		})
	}
	all.Wait()
	close(stop)
	check(t, first.Close())
	writer.Wait()
}

// A dial on the wrong goroutine fails where it always does.
func TestDialOnTheWrongGoroutineFailsOnTheLoop(t *testing.T) {
	client, c, d, _ := stray(t, io.Discard, false)
	failed := make(chan error, 1)
	d.Dial(worker.Destination{Path: "/nowhere"}, worker.DataFunc(echo), func(err error) {
		if _, err := c.Write([]byte("on the loop")); err != nil {
			t.Error(err)
		}
		failed <- err
	})
	if err := await(t, failed); !errors.Is(err, worker.ErrWrongGoroutine) {
		t.Errorf("failed with %v", err)
	}
	client.expect("on the loop")
	check(t, client.Close())
}

// The local address is asked of the kernel on any goroutine, while connections end
// and their numbers are used again.
func TestLocalAddrOnAnyGoroutine(t *testing.T) {
	conns := make(chan *worker.Conn, 1)
	s := newRig(t, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		conns <- c
		return worker.DataFunc(echo), nil
	}))
	_, port, _ := strings.Cut(s.address, ":")
	s.address = "0.0.0.0:" + port // a listener on all addresses
	for range 100 {
		client := s.connect()
		c := await(t, conns)
		want := client.RemoteAddr().String()
		if got := c.LocalAddr().String(); got != want {
			t.Fatalf("open: %v, want %v", got, want)
		}
		check(t, client.Close())
		for range 10 {
			if got := c.LocalAddr().String(); got != want && got != s.address {
				t.Fatalf("ending: %v, want %v", got, want)
			}
		}
	}
}

// locked is a buffer for a logger and a test.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// What the master passes on to its workers has them panic.
func TestDebugVariable(t *testing.T) {
	t.Setenv("USHER_DEBUG", "1")
	conns := make(chan *worker.Conn, 1)
	s := newRig(t, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		conns <- c
		return worker.DataFunc(echo), nil
	}))
	client := s.connect()
	c := await(t, conns)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		_, _ = c.Write([]byte("x")) // it panics
	}()
	check(t, client.Close())
}
