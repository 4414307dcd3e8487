package master

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// An answer that the supervisor has given counts, also when it has ended since.
func TestLastAnswerCounts(t *testing.T) {
	a := api{supervisor: &supervisor{done: make(chan struct{})}}
	close(a.supervisor.done)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for range 100 { // a select between two that are ready takes either
		answer := make(chan bool, 1)
		answer <- true
		if got, err := await(a, r, answer); !got || err != nil {
			t.Fatalf("%t, %v; want the answer", got, err)
		}
	}
	if _, err := await(a, r, make(chan bool)); err != errStopping {
		t.Errorf("without an answer: %v", err)
	}
}
