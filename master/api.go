package master

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"github.com/usher-go/usher/master/internal/descriptor"
	"github.com/usher-go/usher/master/internal/dispatch"
)

// api answers on the control socket: each request when what it asks for is
// done, with 200 and an object, or with 409 and {"error":"…"}; 400 if it cannot
// be understood, 404 and 405 if there is nothing of that path, or method.
//
//	GET  /v1/status   a Status
//	POST /v1/scale    {"by":-1} or {"to":4}; answers {"workers":4,…} when they are ready
//	POST /v1/move     {"from":0,"to":1,"count":5}, to and count optional; answers
//	                  when so many have moved, or no more can
//	POST /v1/reload   answers {"generation":2,…} when that one serves, and the
//	                  connections of the one before have moved as far as they can
//	POST /v1/upgrade  answers {"version":"…"} when the new program has taken over
//	POST /v1/stop     {"now":true} for a quick one; answers when all workers are gone
//	POST /v1/logs     reopens the log file and the access log; answers {"log_file":true,
//	                  "access_log":true} when nothing more is written to the old ones
//	POST /v1/workers/SLOT/restart  answers {"slot":0,"pid":123,…} when a successor, in
//	                  another slot, serves in the place of that process
//	POST /v1/workers/SLOT/drain    as scale by -1, of that slot; answers {"slot":0,"workers":3,…}
//	GET  /v1/events   every transition, as server-sent events: see eventstream.go
//	GET  /v1/config   an InForce
//	GET  /v1/connections?worker=&listener=&limit=&cursor=   Connections
//	GET  /v1/log-level   LogLevels
//	POST /v1/log-level   {"level":"debug"}, worker or master optional; answers as GET does
//	GET  /v1/workers/SLOT/stacks, /v1/master/stacks   text
//	GET  /v1/workers/SLOT/profile?kind=&seconds=, /v1/master/profile   for go tool pprof
//	                  or go tool trace
//	GET  /metrics     what is measured, as Prometheus reads it: see metrics.go
//	GET  /livez       200 and "ok" if the master does its work, else 503 and why not
//	GET  /readyz      likewise, if new connections are served
//
// scale, move, reload, restart and drain answer besides what became of the connections of workers
// that left: {"moved":5,"drained":0,"staying":1,"lost":0}, and "incomplete", which
// says what these leave out, if they do.
//
// Its methods run on the goroutine of each request: they send the supervisor a value of
// requests.go, and wait for the answer.
type api struct {
	supervisor *supervisor
	lists      chan struct{} // a value for each list of connections that is being made
}

func newAPI(s *supervisor) http.Handler {
	return api{s, make(chan struct{}, maxLists)}.endpoints().mux
}

func (a api) endpoints() *endpoints {
	e := newEndpoints()
	for pattern, answer := range map[string]func(*http.Request) (any, error){
		"GET /v1/status":  a.status,
		"POST /v1/scale":  a.scale,
		"POST /v1/move":   a.move,
		"POST /v1/reload": a.reload,
		"POST /v1/stop":   a.stop,
		"POST /v1/logs":   a.logs,

		"POST /v1/workers/{slot}/restart": a.restart,
		"POST /v1/workers/{slot}/drain":   a.drain,

		"GET /v1/config":      a.inForce,
		"GET /v1/connections": a.connections,
		"GET /v1/log-level":   a.getLogLevel,
		"POST /v1/log-level":  a.setLogLevel,
	} {
		e.handle(pattern, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
			body, err := answer(r)
			write(w, body, err)
		})
	}
	e.handle("POST /v1/upgrade", a.upgrade)
	e.handle("GET /v1/events", a.events)
	e.handle("GET /v1/workers/{slot}/stacks", a.stacks)
	e.handle("GET /v1/workers/{slot}/profile", a.profile)
	e.handle("GET /v1/master/stacks", a.masterStacks)
	e.handle("GET /v1/master/profile", a.masterProfile)
	a.handleReads(e)
	return e
}

// maxRequest is the longest request body, in bytes.
const maxRequest = 4096

// errRequest is what errors about a request that cannot be understood wrap.
var errRequest = errors.New("bad request")

func write(w http.ResponseWriter, body any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		code := http.StatusConflict
		switch {
		case errors.Is(err, errRequest):
			code = http.StatusBadRequest
		case errors.Is(err, errBusy):
			code = http.StatusServiceUnavailable
		case errors.Is(err, errNoEndpoint):
			code = http.StatusNotFound
		case errors.Is(err, errWrongMethod):
			code = http.StatusMethodNotAllowed
		}
		w.WriteHeader(code)
		body = struct {
			Error string `json:"error"`
		}{err.Error()}
	}
	_ = json.NewEncoder(w).Encode(body) // it fails if the client has gone
}

// read fills request from the body, which is an object and nothing else, or is empty.
func read(r *http.Request, request any) error {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(request)
	if err == io.EOF {
		return nil
	}
	if err == nil {
		if _, more := decoder.Token(); more == io.EOF {
			return nil
		}
		err = errors.New("something follows the object")
	}
	return fmt.Errorf("%w: %w", errRequest, err)
}

// readNothing is read for what takes no fields.
func readNothing(r *http.Request) error { return read(r, &struct{}{}) }

// parameters returns those of the request's URL.
func parameters(r *http.Request) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRequest, err)
	}
	return values, nil
}

func (a api) status(r *http.Request) (any, error) {
	m, err := a.measure(r)
	if err != nil {
		return nil, err
	}
	m.Status.readProcesses()
	return m.Status, nil
}

// measure returns what the supervisor measures.
func (a api) measure(r *http.Request) (measures, error) {
	answer := make(chan measures, 1)
	a.supervisor.inbox.Put(measureRequest{answer})
	return await(a, r, answer)
}

func (a api) scale(r *http.Request) (any, error) {
	var request struct{ By, To *int32 }
	if err := read(r, &request); err != nil {
		return nil, err
	}
	if (request.By == nil) == (request.To == nil) {
		return nil, fmt.Errorf("%w: want by or to", errRequest)
	}
	c := &scaling{done: make(chan scaled, 1)}
	a.supervisor.inbox.Put(scaleRequest{c, request.By, request.To})
	result, err := await(a, r, c.done)
	if err != nil {
		a.supervisor.inbox.Put(scaleDropped{c})
		return nil, err
	}
	return struct {
		Workers int `json:"workers"`
		departures
		Incomplete string `json:"incomplete,omitempty"`
	}{result.workers, result.departures, text(result.incomplete)}, result.beside(result.err)
}

// text is what an error says; empty without one.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// slotOf returns the slot that a path names.
func slotOf(r *http.Request) (int, error) {
	number, err := strconv.ParseUint(r.PathValue("slot"), 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%w: %q is no slot", errRequest, r.PathValue("slot"))
	}
	return int(number), readNothing(r)
}

func (a api) restart(r *http.Request) (any, error) {
	number, err := slotOf(r)
	if err != nil {
		return nil, err
	}
	m := &restart{done: make(chan restarted, 1)}
	a.supervisor.inbox.Put(restartRequest{number, m})
	result, err := await(a, r, m.done)
	if err != nil {
		a.supervisor.inbox.Put(restartDropped{m})
		return nil, err
	}
	return struct {
		Slot int `json:"slot"`
		PID  int `json:"pid"`
		departures
		Incomplete string `json:"incomplete,omitempty"`
	}{number, result.pid, result.departures, text(result.incomplete)}, result.beside(result.err)
}

func (a api) drain(r *http.Request) (any, error) {
	number, err := slotOf(r)
	if err != nil {
		return nil, err
	}
	c := &scaling{done: make(chan scaled, 1)}
	a.supervisor.inbox.Put(drainRequest{number, c})
	result, err := await(a, r, c.done)
	if err != nil {
		a.supervisor.inbox.Put(scaleDropped{c})
		return nil, err
	}
	return struct {
		Slot    int `json:"slot"`
		Workers int `json:"workers"`
		departures
		Incomplete string `json:"incomplete,omitempty"`
	}{number, result.workers, result.departures, text(result.incomplete)}, result.beside(result.err)
}

func (a api) move(r *http.Request) (any, error) {
	var request struct {
		From      *int
		To, Count *int32
	}
	if err := read(r, &request); err != nil {
		return nil, err
	}
	if request.From == nil || request.To != nil && *request.To < 0 || request.Count != nil && *request.Count < 1 {
		return nil, fmt.Errorf("%w: want from, a slot, to, if given, to be one, and count, if given, to be at least 1", errRequest)
	}
	m := moveRequest{from: *request.From, to: dispatch.Nobody, count: math.MaxInt32, done: make(chan moveAnswer, 1)}
	if request.To != nil {
		m.to = int(*request.To)
	}
	if request.Count != nil {
		m.count = int(*request.Count)
	}
	a.supervisor.inbox.Put(&m)
	result, err := await(a, r, m.done)
	if err != nil {
		a.supervisor.inbox.Put(moveDropped{&m})
		return nil, err
	}
	return struct {
		departures
		Incomplete string `json:"incomplete,omitempty"`
	}{result.departures, text(result.incomplete)}, result.beside(result.err)
}

func (a api) reload(r *http.Request) (any, error) {
	if err := readNothing(r); err != nil {
		return nil, err
	}
	done := make(chan outcome, 1)
	a.supervisor.inbox.Put(reloadRequest{done})
	result, err := await(a, r, done)
	if err != nil {
		return nil, err
	}
	return struct {
		Generation int `json:"generation"`
		departures
		Incomplete string `json:"incomplete,omitempty"`
	}{result.generation, result.departures, text(result.incomplete)}, result.beside(result.err)
}

func (a api) stop(r *http.Request) (any, error) {
	var request struct{ Now bool }
	if err := read(r, &request); err != nil {
		return nil, err
	}
	mode := stopGraceful
	if request.Now {
		mode = stopQuick
	}
	a.supervisor.inbox.Put(stopRequest{mode})
	select {
	case <-a.supervisor.done:
		return struct{}{}, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

func (a api) logs(r *http.Request) (any, error) {
	if err := readNothing(r); err != nil {
		return nil, err
	}
	answer := make(chan logsAnswer, 1)
	a.supervisor.inbox.Put(logsRequest{answer})
	said, err := await(a, r, answer)
	if err != nil {
		return nil, err
	}
	return said, said.err
}

// upgrade gives the client's connection to the supervisor: the new program answers on
// it, once it has taken over.
func (a api) upgrade(w http.ResponseWriter, r *http.Request) {
	client, err := -1, readNothing(r)
	if err == nil {
		client, err = hijack(w)
	}
	if err != nil {
		write(w, nil, err)
		return
	}
	taken := make(chan bool, 1)
	a.supervisor.inbox.Put(upgradeRequest{client, taken})
	always := r.WithContext(context.WithoutCancel(r.Context())) // the client is no longer net/http's
	if _, err := await(a, always, taken); err != nil {
		answerUpgrade(client, "", err)
	}
}

// hijack returns an owned descriptor of the client's connection.
func hijack(w http.ResponseWriter) (int, error) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return -1, err
	}
	defer conn.Close() // it lives on in the duplicate
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return -1, err
	}
	return descriptor.Duplicate(raw)
}

// await returns what done is sent, unless nobody is left to send or to listen.
func await[R any](a api, r *http.Request, done <-chan R) (result R, err error) {
	select {
	case result = <-done:
		return result, nil
	case <-a.supervisor.done:
		select {
		case result = <-done: // it was the last that the supervisor did
			return result, nil
		default:
			return result, errStopping
		}
	case <-r.Context().Done():
		return result, r.Context().Err()
	}
}
