package master

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/leaktest"
	"golang.org/x/sys/unix"
)

// What is asked is looked at, each time anew, and what is found is the answer, but for
// more of it than an answer has room for. Who hangs up has no answer.
func TestSelfTestAnswers(t *testing.T) {
	leaktest.Descriptors(t)
	mine, its, err := fdpass.Pair()
	if err != nil {
		t.Fatal(err)
	}
	found := make(chan error, 1)
	over := make(chan error)
	go func() {
		over <- answerQuestions(its, func(memory int) error {
			if _, err := unix.FcntlInt(uintptr(memory), unix.F_GETFD, 0); err != nil {
				return err
			}
			return <-found
		})
	}()
	memory, err := unix.MemfdCreate("question", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(memory)
	test := &testedChild{answers: os.NewFile(uintptr(mine), "self-test")}
	for _, want := range []error{nil, errors.New("it has another format"), errors.New(strings.Repeat("x", 2*maxAnswer)), nil} {
		found <- want
		got := test.ask(memory, time.Minute)
		if (got == nil) != (want == nil) || got != nil && got.Error() != want.Error()[:min(len(want.Error()), maxAnswer)] {
			t.Errorf("%v, want %v", got, want)
		}
	}
	_ = test.answers.Close()
	if err := <-over; err != nil {
		t.Error(err)
	}

	mine, its, err = fdpass.Pair()
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(its)
	test.answers = os.NewFile(uintptr(mine), "self-test")
	if err := test.ask(memory, time.Minute); !errors.Is(err, errNoAnswer) {
		t.Errorf("%v, want %v", err, errNoAnswer)
	}
	_ = test.answers.Close()
}
