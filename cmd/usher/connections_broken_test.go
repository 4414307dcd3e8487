package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/usher-go/usher/master"
)

// A list that breaks off between two pages, since its worker has died, is printed as far as it
// came, with where to go on, and the command fails.
func TestConnectionsBrokenOff(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/connections", func(w http.ResponseWriter, r *http.Request) {
		if cursor := r.FormValue("cursor"); cursor != "" {
			w.WriteHeader(http.StatusConflict)
			fmt.Fprintf(w, `{"error":"nothing at %s"}`, cursor)
			return
		}
		_, _ = w.Write([]byte(`{"connections":[{"id":17,"worker":2}],"cursor":"2.18",
			"unanswered":[{"worker":1,"pid":5,"connections":3,"error":"late","cursor":"1.7"}]}`))
	})
	control := standIn(t, mux)
	got := usher(t, "connections", "--control", control)
	if got.code != exitFailed || got.stderr != "usher: nothing at 2.18\n" || !strings.HasPrefix(got.stdout, "id ") ||
		!strings.Contains(got.stdout, "\n17 ") || !strings.Contains(got.stdout, "there are more: --cursor 2.18\n") || !strings.Contains(got.stdout, "the rest: --worker 1 --cursor 1.7\n") {
		t.Errorf("%+v, want connection 17, and two places to go on", got)
	}
	got = usher(t, "connections", "--json", "--control", control)
	var answer struct {
		master.Connections
		Error string
	}
	if err := json.Unmarshal([]byte(got.stdout), &answer); err != nil || got.code != exitFailed || len(answer.Connections.Connections) != 1 || answer.Cursor != "2.18" || answer.Error != "nothing at 2.18" {
		t.Errorf("%+v, %v; want connection 17, a cursor and the error", got, err)
	}
}
