package worker_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/usher-go/usher/worker"
)

// A server of net/http as a worker. Serve returns when the worker is to end;
// Shutdown then ends idle keep-alive connections, and waits for the others.
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

// A look-up that blocks, for each request in turn: what the client sends
// meanwhile waits.
func ExampleConn_Go() {
	handler := worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		name, answer := string(in), ""
		c.Go(func() {
			hosts, err := net.LookupHost(name)
			if err == nil {
				answer = hosts[0]
			}
		}, func() {
			if _, err := c.Write([]byte(answer + "\n")); err != nil {
				_ = c.Abort() // it does not keep up
			}
		})
		return len(in), nil
	})
	if worker.IsWorker() {
		worker.Main(handler)
	}
}

// A file for whoever connects.
func ExampleConn_SendFile() {
	handler := worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		file, err := os.Open("/etc/motd")
		if err != nil {
			return nil, err
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return nil, err
		}
		if err := c.SendFile(file, 0, info.Size()); err != nil {
			return nil, err
		}
		return worker.DataFunc(func(_ *worker.Conn, in []byte) (int, error) { return len(in), c.Close() }), nil
	})
	if worker.IsWorker() {
		worker.Main(handler)
	}
}
