package profile_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/profile"
)

func TestStacks(t *testing.T) {
	if text := profile.Stacks(); !bytes.Contains(text, []byte("TestStacks")) {
		t.Errorf("this test is not among them:\n%s", text)
	}
}

// One that is canceled is whole all the same.
func TestMake(t *testing.T) {
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	tests := []struct {
		kind   string
		limit  int
		prefix string
		err    string // empty: it is made
	}{
		{"heap", 1 << 20, "\x1f\x8b", ""},
		{"cpu", 1 << 20, "\x1f\x8b", ""},
		{"trace", 64 << 20, "go 1.", ""},
		{"heap", 10, "", "longer than 10 bytes: ask for fewer seconds"},
		{"cpu", 10, "", "longer than 10 bytes"},
		{"trace", 10, "", "longer than 10 bytes"},
		{"sleep", 1 << 20, "", `no profile "sleep"`},
		{"", 1 << 20, "", `no profile ""`},
	}
	for _, test := range tests {
		t.Run(test.kind+" "+test.err, func(t *testing.T) {
			text, err := profile.Make(canceled, test.kind, time.Hour, test.limit)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("%d bytes, %v; want %s", len(text), err, test.err)
				}
				return
			}
			if err != nil || !bytes.HasPrefix(text, []byte(test.prefix)) {
				t.Errorf("%.20q, %v; want %q", text, err, test.prefix)
			}
		})
	}
}

// A trace that has become too long does not go on for its time.
func TestTooLongEndsEarly(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if _, err := profile.Make(ctx, "trace", time.Hour, 10); err == nil {
		t.Error("it fits")
	}
}

// There is one CPU profile at a time, whoever makes it.
func TestOneAtATime(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	results := make(chan error, 2)
	for range cap(results) {
		go func() {
			_, err := profile.Make(ctx, "cpu", time.Hour, 1<<20)
			results <- err
		}()
	}
	if err := <-results; err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("the second one: %v", err)
	}
	cancel()
	if err := <-results; err != nil {
		t.Errorf("the first one: %v", err)
	}
}
