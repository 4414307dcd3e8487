package poller_test

import (
	"testing"

	"github.com/usher-go/usher/internal/poller"
	"github.com/usher-go/usher/internal/poller/pollertest"
)

// The backend of this build, in each of its ways to wait.
func TestConform(t *testing.T) {
	for name, prepare := range map[string]func(*poller.Set) error{
		"raw":                   nil,
		"through the scheduler": func(s *poller.Set) error { s.Yield(true); return nil },
		"parked":                (*poller.Set).Park,
	} {
		t.Run(name, func(t *testing.T) { pollertest.Conform(t, pollertest.Of(prepare)) })
	}
}
