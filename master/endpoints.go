package master

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// What errors about a request wrap that asks for nothing that there is.
var (
	errNoEndpoint  = errors.New("there is no such endpoint")
	errWrongMethod = errors.New("wrong method")
)

// endpoints routes requests, and says as JSON, like every other answer, that a path or a
// method is wrong.
type endpoints struct {
	mux     *http.ServeMux
	methods map[string][]string // by path
}

func newEndpoints() *endpoints {
	e := &endpoints{http.NewServeMux(), make(map[string][]string)}
	e.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		write(w, nil, fmt.Errorf("%w: %s%s", errNoEndpoint, r.URL.Path, e.others()))
	})
	return e
}

// others says which endpoints there are, if those are few.
func (e *endpoints) others() string {
	if len(e.methods) > 5 {
		return ""
	}
	return "; there are " + strings.Join(slices.Sorted(maps.Keys(e.methods)), ", ")
}

// handle adds an endpoint: a method and a path.
func (e *endpoints) handle(pattern string, answer http.HandlerFunc) {
	method, path, _ := strings.Cut(pattern, " ")
	if e.methods[path] == nil {
		e.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			allowed := strings.Join(slices.Sorted(slices.Values(e.methods[path])), ", ")
			w.Header().Set("Allow", allowed)
			write(w, nil, fmt.Errorf("%w: %s %s; it takes %s", errWrongMethod, r.Method, r.URL.Path, allowed))
		})
	}
	e.methods[path] = append(e.methods[path], method)
	e.mux.HandleFunc(pattern, answer)
}
