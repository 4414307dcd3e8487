package master

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/usher-go/usher/internal/profile"
	"github.com/usher-go/usher/ipc"
)

// This file is what the master's process, or a worker's, is doing: its stacks, and profiles.
// They come as they are, not as JSON, for the tools that read them.

const (
	// stacksLimit is how long a worker has to answer with its stacks, and profileLimit with
	// a profile, beyond the seconds that were asked for.
	stacksLimit  = 5 * time.Second
	profileLimit = 10 * time.Second
	// defaultProfileSeconds is how long a profile takes if nobody says.
	defaultProfileSeconds = 5
)

// stacks is GET /v1/workers/SLOT/stacks, and masterStacks of the master.
func (a api) stacks(w http.ResponseWriter, r *http.Request) {
	a.pass(w, r, ipc.Stacks{}, stacksLimit)
}

func (a api) masterStacks(w http.ResponseWriter, _ *http.Request) {
	contentOf(w, ipc.Stacks{})
	_, _ = w.Write(profile.Stacks()) // it fails if the client has gone
}

// profile is GET /v1/workers/SLOT/profile, and masterProfile of the master.
func (a api) profile(w http.ResponseWriter, r *http.Request) {
	question, err := parseProfile(r)
	if err != nil {
		write(w, nil, err)
		return
	}
	a.pass(w, r, question, profileLimit+time.Duration(question.Seconds)*time.Second)
}

func (a api) masterProfile(w http.ResponseWriter, r *http.Request) {
	question, err := parseProfile(r)
	var made []byte
	if err == nil {
		made, err = profile.Make(r.Context(), question.Kind, time.Duration(question.Seconds)*time.Second, ipc.MaxAnswer)
	}
	if err != nil {
		write(w, nil, err)
		return
	}
	contentOf(w, question)
	_, _ = w.Write(made) // it fails if the client has gone
}

// parseProfile reads the parameters of a URL.
func parseProfile(r *http.Request) (ipc.Profile, error) {
	question := ipc.Profile{Kind: ipc.ProfileCPU, Seconds: defaultProfileSeconds}
	given, err := parameters(r)
	if err != nil {
		return question, err
	}
	for key, values := range given {
		switch {
		case len(values) > 1:
			return question, fmt.Errorf("%w: %s is there twice", errRequest, key)
		case key == "kind":
			question.Kind = values[0]
		case key == "seconds":
			seconds, err := strconv.Atoi(values[0])
			if err != nil || seconds < 1 || seconds > ipc.MaxProfileSeconds {
				return question, fmt.Errorf("%w: %q seconds, want 1 to %d", errRequest, values[0], ipc.MaxProfileSeconds)
			}
			question.Seconds = seconds
		default:
			return question, fmt.Errorf("%w: %q, want kind or seconds", errRequest, key)
		}
	}
	if !slices.Contains(ipc.ProfileKinds(), question.Kind) {
		return question, fmt.Errorf("%w: kind %q, want one of %s", errRequest, question.Kind, strings.Join(ipc.ProfileKinds(), ", "))
	}
	if question.Kind == ipc.ProfileHeap {
		if given.Has("seconds") {
			return question, fmt.Errorf("%w: a heap profile takes no seconds", errRequest)
		}
		question.Seconds = 0
	}
	return question, nil
}

// pass asks the worker that the path names, and passes on what comes with its answer.
func (a api) pass(w http.ResponseWriter, r *http.Request, question ipc.Question, limit time.Duration) {
	asked, err := a.worker(r, r.PathValue("slot"))
	if err != nil {
		write(w, nil, err)
		return
	}
	_, memory, bytes, err := asked.ask(r.Context(), question, limit)
	if err != nil {
		write(w, nil, fmt.Errorf("worker %d, pid %d: %w", asked.slot, asked.pid, err))
		return
	}
	defer memory.Close()
	contentOf(w, question)
	w.Header().Set("Content-Length", strconv.FormatInt(bytes, 10))
	_, _ = io.Copy(w, io.NewSectionReader(memory, 0, bytes)) // it fails if the client has gone
}

// contentOf says what kind of answer follows.
func contentOf(w http.ResponseWriter, question ipc.Question) {
	kind := "application/octet-stream"
	if _, text := question.(ipc.Stacks); text {
		kind = "text/plain; charset=utf-8"
	}
	w.Header().Set("Content-Type", kind)
}
