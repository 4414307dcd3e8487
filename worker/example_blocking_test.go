package worker_test

import (
	"bytes"
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/workertest"
)

// A server of net/http as a worker. Serve returns when the worker is to end; Shutdown then
// ends idle keep-alive connections, and waits for the others. Package httpworker does the
// same and loses no request that is just coming, and package web needs no goroutine for an
// idle connection.
func ExampleStreams() {
	handler := worker.Streams(func(l net.Listener) error {
		server := &http.Server{Handler: http.FileServer(http.Dir("."))}
		if err := server.Serve(l); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return server.Shutdown(context.Background())
	})
	if worker.IsWorker() {
		worker.Main(handler)
	}
}

// Two protocols in one program:
//
//	usher serve --listen web=:8080 --listen echo=:9000 -- ./both
func ExampleByListener() {
	handler := worker.ByListener(map[string]worker.Handler{
		"web":  worker.Streams(func(l net.Listener) error { return http.Serve(l, nil) }),
		"echo": worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) { return c.Write(in) }),
	})
	if worker.IsWorker() {
		worker.Main(handler)
	}
}

// The time, told by another goroutine for as long as the client stays.
func ExampleConn_Post() {
	handler := worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		go func() {
			for now := range time.Tick(time.Second) {
				tell := func(c *worker.Conn) {
					if _, err := c.Write(now.AppendFormat(nil, "15:04:05\n")); err != nil {
						_ = c.Abort() // it does not keep up
					}
				}
				if !c.Post(tell) {
					return
				}
			}
		}()
		return worker.DataFunc(func(_ *worker.Conn, in []byte) (int, error) { return len(in), nil }), nil
	})
	if worker.IsWorker() {
		worker.Main(handler)
	}
}

// Work that takes long, for each line in turn: what the client sends meanwhile waits, and
// the other connections do not.
func ExampleConn_Go() {
	handler := worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		n := bytes.IndexByte(in, '\n') + 1
		if n == 0 {
			return 0, nil // until the line is whole
		}
		password, key := string(in[:n-1]), []byte(nil) // in is the loop's
		var err error
		c.Go(func() { // on another goroutine
			key, err = pbkdf2.Key(sha256.New, password, []byte("salt"), 10_000, 4)
		}, func() { // on the loop again
			if _, err := fmt.Fprintf(c, "%x %v\n", key, err); err != nil {
				_ = c.Abort() // it does not keep up
			}
		})
		return n, nil // the next line comes when that is done
	})
	if worker.IsWorker() {
		worker.Main(handler)
	}

	client := workertest.New(&testing.T{}, handler).Connect() // as a test does
	client.Send("one\ntwo\n")
	fmt.Print(client.Received())
	// Output:
	// f4d0bc29 <nil>
	// 533486a3 <nil>
}

// A file for whoever connects, and then the end.
func ExampleConn_SendFile() {
	path := "worker.go"
	handler := worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close() // what is not sent yet needs it no more
		info, err := file.Stat()
		if err != nil {
			return nil, err
		}
		if err := c.SendFile(file, 0, info.Size()); err != nil {
			return nil, err
		}
		return worker.DataFunc(func(_ *worker.Conn, in []byte) (int, error) { return len(in), nil }), c.Close()
	})
	if worker.IsWorker() {
		worker.Main(handler)
	}

	client := workertest.New(&testing.T{}, handler).Connect() // as a test does
	sent, err := os.ReadFile(path)
	fmt.Println(client.Received() == string(sent), client.Ended(), err)
	// Output: true true <nil>
}
