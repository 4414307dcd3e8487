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
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// session is what control does until a pause, or until its socket is made anew: it serves
// the clients that it accepts, each for one request. net/http has a goroutine for each client, control's run
// is in Accept, and any goroutine may call end; what these share is in channels, or
// guarded by mu.
//
// It ends without http.Server's Shutdown, which would hang up on clients whose
// request it has read but not begun.
type session struct {
	deadlineListener // owned
	server           http.Server
	clients          sync.WaitGroup // from accept to close
	places           chan struct{}  // a value for each client, from before accept to close, or until the supervisor takes its connection
	ending           chan struct{}  // closed when it is to accept no more
	stop             sync.Once      // of closing that
	over             chan struct{}  // closed when it accepts no more

	mu      sync.Mutex
	asking  []asking              // clients whose request has not come to its end, in the order of their coming
	reading map[net.Conn]struct{} // those that have left their place: they read events
}

// asking is a client whose request has not come to its end.
type asking struct {
	conn  net.Conn
	since time.Time // when it was accepted
}

// deadlineListener is a listener of Unix or TCP sockets.
type deadlineListener interface {
	net.Listener
	SetDeadline(time.Time) error
}

// The bounds of what clients of the control socket can have of the master.
const (
	// maxControlClients is how many are served at a time, and how many wait for an
	// upgrade. One more waits in the backlog, but takes the place of one that has been asking
	// for askingGrace without having said what: the one that has for longest.
	maxControlClients = 128
	// askingGrace is ten times what a client's request takes that is there when it connects: all
	// of so many may have just come, and none is to be hung up on for that.
	askingGrace = 250 * time.Millisecond
	// askingLimit is how long a client may take for its request, and readingLimit how
	// long for reading the answer. Between the two it may wait for hours.
	askingLimit  = 5 * time.Second
	readingLimit = 5 * time.Second
	// lastAnswers is how long those whose requests are under way may take when a session
	// ends: to get what they asked for, and to read it.
	lastAnswers = time.Second
	// maxControlHeader is the longest header of a request, in bytes; maxRequest is
	// for the body.
	maxControlHeader = 8 << 10
)

// newSession takes ownership of the listener. control's run has the server serve it.
func newSession(listener deadlineListener, api http.Handler, log hclog.Logger) *session {
	s := &session{
		deadlineListener: listener, places: make(chan struct{}, maxControlClients),
		ending: make(chan struct{}), over: make(chan struct{}),
		reading: make(map[net.Conn]struct{}),
	}
	s.server = http.Server{
		ConnState:         s.state,
		Handler:           s.answers(api),
		ErrorLog:          log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Warn}),
		ConnContext:       s.withClient,
		ReadHeaderTimeout: askingLimit,
		MaxHeaderBytes:    maxControlHeader,
	}
	s.server.SetKeepAlivesEnabled(false)
	return s
}

// Accept counts the clients, and makes room for one.
func (s *session) Accept() (net.Conn, error) {
	if !s.takePlace() {
		return nil, http.ErrServerClosed
	}
	conn, err := s.deadlineListener.Accept()
	switch {
	case err == nil:
		s.clients.Add(1)
		s.mu.Lock()
		s.asking = append(s.asking, asking{conn, time.Now()})
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
		s.mu.Lock()
		_, left := s.reading[conn]
		delete(s.reading, conn)
		s.mu.Unlock()
		if !left {
			<-s.places
		}
	}
}

// leavePlace lets another client have the place of one that has been heard. It is to be
// called once for each, and by its own request.
func (s *session) leavePlace(conn net.Conn) {
	s.mu.Lock()
	s.reading[conn] = struct{}{}
	s.mu.Unlock()
	<-s.places
}

// takePlace returns when there is a place for one more client, or, with false, when it is to
// accept no more.
func (s *session) takePlace() bool {
	select {
	case s.places <- struct{}{}:
		return true
	default:
	}
	for {
		var impatient <-chan time.Time
		if after := s.dropLongestAsking(); after > 0 {
			impatient = time.After(after)
		}
		select {
		case s.places <- struct{}{}:
			return true
		case <-impatient:
		case <-s.ending:
			return false
		}
	}
}

// dropLongestAsking closes the connection of the client that has been asking for longest, which
// frees its place; or returns after how long to do so, since it has only just come. 0: it is
// done, or none asks.
func (s *session) dropLongestAsking() (after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asking) == 0 {
		return 0
	}
	if after := askingGrace - time.Since(s.asking[0].since); after > 0 {
		return after
	}
	_ = s.asking[0].conn.Close() // it has said nothing that could be lost
	s.asking = s.asking[1:]
	return 0
}

// doneAsking takes note that a client's request is read, or that it is gone.
func (s *session) doneAsking(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asking = slices.DeleteFunc(s.asking, func(a asking) bool { return a.conn == conn })
}

// clientKey is the key of a request's client in its context, a *controlClient.
type clientKey struct{}

type controlClient struct {
	session *session
	conn    net.Conn
}

func (s *session) withClient(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, clientKey{}, &controlClient{s, conn})
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
		s.doneAsking(r.Context().Value(clientKey{}).(*controlClient).conn)
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

// stopAccepting has run end, which closes over then. It does not wait for that, and may
// be called again.
func (s *session) stopAccepting() {
	s.stop.Do(func() { close(s.ending) })
	_ = s.deadlineListener.SetDeadline(time.Unix(1, 0)) // a socket has deadlines
}

// done reports whether everyone who was accepted has hung up, and no more are.
func (s *session) done() bool {
	select {
	case <-s.over:
		return len(s.places) == 0
	default:
		return false
	}
}

// end returns when every client that was accepted has its answer, or was given
// up. It blocks for up to lastAnswers.
func (s *session) end() {
	s.stopAccepting()
	<-s.over
	gone := make(chan struct{})
	go func() {
		s.clients.Wait()
		close(gone)
	}()
	select {
	case <-gone:
	case <-time.After(lastAnswers):
	}
	_ = s.server.Close() // the rest
}
