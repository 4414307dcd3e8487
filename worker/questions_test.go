package worker

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// answered waits for the next answer at the master's end, and returns what came with it.
func answered(t *testing.T, master int) (answer ipc.Answer, text []byte) {
	t.Helper()
	poll := []unix.PollFd{{Fd: int32(master), Events: unix.POLLIN}}
	if n, err := unix.Poll(poll, 20_000); n != 1 {
		t.Fatalf("no answer: %v", err)
	}
	var receiver fdpass.Receiver
	payload, fds := make([]byte, ipc.MaxMessage), make([]int, 1)
	n, descriptors, err := receiver.Receive(master, payload, fds, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer fdpass.CloseAll(fds[:descriptors])
	m, err := ipc.ParseMessage(payload[:n])
	if err != nil {
		t.Fatal(err)
	}
	answer, ok := m.(ipc.Answer)
	if !ok || answer.Memory != (descriptors == 1) {
		t.Fatalf("%#v with %d descriptors", m, descriptors)
	}
	if answer.Memory {
		if text, err = fdpass.ReadSealed(fds[0], ipc.MaxAnswer); err != nil {
			t.Fatal(err)
		}
	}
	return answer, text
}

// Questions are answered by the listener's goroutine and its helpers: there is no loop here.
func TestQuestions(t *testing.T) {
	tests := []struct {
		name     string
		question ipc.Message
		id       uint64
		prefix   string // of what comes with the answer; empty: nothing does
		err      string
		level    string
	}{
		{"stacks", ipc.Stacks{ID: 1}, 1, "goroutine ", "", ""},
		{"a heap profile", ipc.Profile{ID: 2, Kind: ipc.ProfileHeap}, 2, "\x1f\x8b", "", ""},
		{"a CPU profile", ipc.Profile{ID: 3, Kind: ipc.ProfileCPU, Seconds: 1}, 3, "\x1f\x8b", "", ""},
		{"a profile of no time", ipc.Profile{ID: 4, Kind: ipc.ProfileCPU}, 4, "", "0 seconds, want 1 to 60", ""},
		{"a profile of too long a time", ipc.Profile{ID: 5, Kind: ipc.ProfileTrace, Seconds: 61}, 5, "", "61 seconds, want 1 to 60", ""},
		{"a profile of no kind that there is", ipc.Profile{ID: 6, Kind: "sleep", Seconds: 1}, 6, "", `no profile "sleep"`, ""},
		{"which level", ipc.LogLevel{ID: 7}, 7, "", "", "warn"},
		{"another level", ipc.LogLevel{ID: 8, Level: "trace"}, 8, "", "", "trace"},
		{"a level that there is not", ipc.LogLevel{ID: 9, Level: "loud"}, 9, "", `no level "loud"`, ""},
		{"it is still the other", ipc.LogLevel{ID: 10}, 10, "", "", "trace"},
		{"the first level", ipc.LogLevel{ID: 11, Level: ipc.LevelDefault}, 11, "", "", "warn"},
	}
	c, master := newTestControl(t, hclog.NewNullLogger())
	q := newQuestions(c, hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: new(bytes.Buffer)}))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			q.answer(test.question)
			answer, text := answered(t, master)
			if answer.ID != test.id || answer.Level != test.level || !strings.Contains(answer.Error, test.err) || test.err == "" && answer.Error != "" {
				t.Errorf("%+v", answer)
			}
			if answer.Memory != (test.prefix != "") || !bytes.HasPrefix(text, []byte(test.prefix)) {
				t.Errorf("%.20q, want %q", text, test.prefix)
			}
		})
	}
}

// A program whose log has no level says so.
func TestNoLevel(t *testing.T) {
	c, master := newTestControl(t, hclog.NewNullLogger())
	newQuestions(c, hclog.New(&hclog.LoggerOptions{Level: hclog.Off})).answer(ipc.LogLevel{ID: 1})
	if answer, _ := answered(t, master); !strings.Contains(answer.Error, "no level") {
		t.Errorf("%+v", answer)
	}
}

// A profile that nobody waits for any more ends, and so does that of a worker that ends;
// meanwhile there is no other.
func TestProfilesEnd(t *testing.T) {
	c, master := newTestControl(t, hclog.NewNullLogger())
	q := newQuestions(c, hclog.NewNullLogger())
	hour := func(id uint64) ipc.Profile {
		return ipc.Profile{ID: id, Kind: ipc.ProfileTrace, Seconds: ipc.MaxProfileSeconds}
	}
	q.answer(hour(1))
	q.answer(hour(2))
	if answer, _ := answered(t, master); answer.ID != 2 || answer.Error != errProfiling.Error() {
		t.Errorf("%+v, want that one is under way", answer)
	}
	q.answer(ipc.Profile{ID: 2}) // not that one
	q.answer(ipc.Profile{ID: 1})
	if answer, _ := answered(t, master); answer.ID != 1 || !answer.Memory {
		t.Errorf("%+v, want the first", answer)
	}
	q.answer(hour(3))
	q.end()
	if answer, _ := answered(t, master); answer.ID != 3 || !answer.Memory {
		t.Errorf("%+v, want the third", answer)
	}
	q.answer(hour(4))
	if answer, _ := answered(t, master); answer.ID != 4 || answer.Error != errEnding.Error() {
		t.Errorf("%+v, want that the worker ends", answer)
	}
}

// Answers wait for a master that does not read, and no longer than control is open.
func TestAnswersWaitForRoom(t *testing.T) {
	c, master := newTestControl(t, hclog.NewNullLogger())
	q := newQuestions(c, hclog.NewNullLogger())
	for {
		if _, err := unix.SendmsgN(c.fd, make([]byte, 1), nil, nil, unix.MSG_DONTWAIT); err != nil {
			break // no room
		}
	}
	q.answer(ipc.Stacks{ID: 1})
	for n, b := 1, make([]byte, 1); n == 1; { // up to the answer, which is longer
		poll := []unix.PollFd{{Fd: int32(master), Events: unix.POLLIN}}
		if ready, err := unix.Poll(poll, 20_000); ready != 1 {
			t.Fatalf("no answer: %v", err)
		}
		var err error
		if n, _, err = unix.Recvfrom(master, b, unix.MSG_PEEK|unix.MSG_TRUNC); err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			_, _ = unix.Read(master, b) // it is there
		}
	}
	if answer, _ := answered(t, master); answer.ID != 1 || !answer.Memory {
		t.Errorf("%+v", answer)
	}
	for {
		if _, err := unix.SendmsgN(c.fd, make([]byte, 1), nil, nil, unix.MSG_DONTWAIT); err != nil {
			break
		}
	}
	q.answer(ipc.Stacks{ID: 2})
	c.close() // waits for the goroutine of the answer
}
