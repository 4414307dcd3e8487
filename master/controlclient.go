package master

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"time"
)

// The bounds of what clients of the control socket can have of the master.
const (
	// maxControlClients is how many are served at a time, and how many wait for an
	// upgrade. One more takes the place of the one that has been asking for longest
	// without having said what; where all have, it waits in the backlog.
	maxControlClients = 128
	// askingLimit is how long a client may take for its request, and readingLimit how
	// long for reading the answer. Between the two it may wait for hours.
	askingLimit  = 5 * time.Second
	readingLimit = 5 * time.Second
	// maxControlHeader is the longest header of a request, in bytes; maxRequest is
	// for the body.
	maxControlHeader = 8 << 10
)

// Accept counts the clients, and makes room for one.
func (s *session) Accept() (net.Conn, error) {
	select {
	case s.places <- struct{}{}:
	default:
		s.dropLongestAsking()
		select {
		case s.places <- struct{}{}:
		case <-s.ending:
			return nil, http.ErrServerClosed
		}
	}
	conn, err := s.Listener.Accept()
	switch {
	case err == nil:
		s.clients.Add(1)
		s.mu.Lock()
		s.asking = append(s.asking, conn)
		s.mu.Unlock()
		return conn, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = http.ErrServerClosed // it ends
	}
	<-s.places
	return nil, err
}

// state is the server's ConnState: it hears of each client's connection.
func (s *session) state(conn net.Conn, state http.ConnState) {
	if state == http.StateClosed || state == http.StateHijacked {
		s.doneAsking(conn)
		s.clients.Done()
		<-s.places
	}
}

// dropLongestAsking closes the connection that has been asking for longest, if any is.
func (s *session) dropLongestAsking() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asking) > 0 {
		_ = s.asking[0].Close() // which frees its place
		s.asking = s.asking[1:]
	}
}

// doneAsking takes note that a client's request is read, or that it is gone.
func (s *session) doneAsking(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asking = slices.DeleteFunc(s.asking, func(c net.Conn) bool { return c == conn })
}

// clientKey is what the context of a request has its connection by.
type clientKey struct{}

func withClient(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, clientKey{}, conn)
}

// answers is the handler of a session. It reads a request to its end before the api
// acts on it, and bounds how long the client may take to read the answer. The request
// counts as one more client, since it may outlive its connection, which an upgrade
// takes away.
func (s *session) answers(api http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.clients.Add(1)
		defer s.clients.Done()
		w = &boundedWriter{ResponseWriter: w}
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(time.Now().Add(askingLimit)) // a socket has deadlines
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
		if err != nil { // with the deadline left as it is: net/http would go on reading
			write(w, nil, fmt.Errorf("%w: %w", errRequest, err))
			return
		}
		_ = control.SetReadDeadline(time.Time{}) // likewise; from now on reading tells that the client is gone
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.doneAsking(r.Context().Value(clientKey{}).(net.Conn))
		api.ServeHTTP(w, r)
	}
}

// boundedWriter gives the client readingLimit from the beginning of the answer.
type boundedWriter struct {
	http.ResponseWriter
	begun bool
}

func (w *boundedWriter) begin() {
	if !w.begun {
		w.begun = true
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(readingLimit)) // a socket has deadlines
	}
}

func (w *boundedWriter) WriteHeader(status int) {
	w.begin()
	w.ResponseWriter.WriteHeader(status)
}

func (w *boundedWriter) Write(b []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *boundedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
