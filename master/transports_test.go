package master

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/listen"
)

// The workers of a generation are told of its transports, and then of those with which
// connections may come that are on their way; the listener has the new one's number.
func TestTransportsThroughReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fm := startAt(proxied, true)
		told := func(w *fakeWorker) (numbers []uint8) {
			for _, transport := range w.spec.Hello.Transports {
				numbers = append(numbers, transport.Number)
			}
			return numbers
		}
		for _, step := range []struct {
			listen string
			number uint8
			told   []uint8
		}{
			{proxied + "&trust=10.0.0.0/8", 2, []uint8{2, 1}},
			{plain, 0, []uint8{2, 1}},
			{proxied + "&trust=10.0.0.0/9", 3, []uint8{3, 2, 1}},
			{proxied, 1, []uint8{1, 3, 2}},
		} {
			done := make(chan outcome, 1)
			fm.look(func() { fm.rewrite = func(c *Config) { c.Listen = []string{step.listen} }; fm.askReload(done) })
			if result := <-done; result.err != nil {
				t.Fatalf("%s: %v", step.listen, result.err)
			}
			synctest.Wait()
			fm.look(func() {
				if err := fm.check(); err != nil {
					t.Error(err)
				}
				if number := fm.listening[0].Transport; number != step.number {
					t.Errorf("%s has number %d, want %d", step.listen, number, step.number)
				}
				for _, slot := range fm.ofGeneration(fm.generation) {
					if got := told(fm.live[slot.pid()]); !reflect.DeepEqual(got, step.told) {
						t.Errorf("%s: a worker is told of %d, want %d", step.listen, got, step.told)
					}
				}
			})
		}
		fm.abandon()
	})
}

// A configuration with more transports than a hello holds is refused; those that are no
// listener's any more are left out of it.
func TestTransportsFitIntoHello(t *testing.T) {
	config := Config{Program: []string{"worker"}, Workers: 1}
	var networks []string
	for i := range 255 {
		networks = append(networks, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i)}), 16).String())
	}
	config.Listen = []string{":1?proxy=on&trust=" + strings.Join(networks, ","), ":2?proxy=on&trust=" + strings.Join(networks[:200], ",")}
	if err := config.Check(); err != nil {
		t.Fatal(err)
	}
	config.FillIn()
	s := newSupervisor(&config, new(eventLog), nil, processes{}, goSleeper())
	if err := s.numberTransports(&config); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		config.Listen = append(config.Listen, fmt.Sprintf(":%d?proxy=on&trust=%s", 3+i, strings.Join(networks[1+i:], ",")))
	}
	if err := config.Check(); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "listen has 5 different settings of TLS and PROXY, of which a worker can be told 4; have trust name fewer networks") {
		t.Errorf("got %v", err)
	}
	next := config
	next.Listen = config.Listen[2:]
	if err := s.numberTransports(&next); err != nil {
		t.Fatal(err)
	}
	hello := s.hello(&slot{config: &next})
	if _, err := ipc.EncodeMessage(hello); err != nil || len(hello.Transports) != 4 || hello.Transports[0].Number != 3 || hello.Transports[3].Number != 1 {
		t.Errorf("%d transports, %v", len(hello.Transports), err)
	}
}

// As many settings as there are numbers may be in force at a time, and no more.
func TestTooManyTransports(t *testing.T) {
	config := Config{Program: []string{"worker"}, Workers: 1}
	for i := range listen.MaxTransports + 1 {
		config.Listen = append(config.Listen, fmt.Sprintf("unix:///%d?tls=on&cert=%d", i, i))
	}
	if err := config.checkNumbers(); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "listen has 256 different settings of TLS and PROXY, there may be 255") {
		t.Errorf("got %v", err)
	}
	before, after := config, config
	before.Listen, after.Listen = config.Listen[:200], config.Listen[100:]
	if err := errors.Join(before.checkNumbers(), after.checkNumbers()); err != nil {
		t.Fatal(err)
	}
	before.FillIn()
	s := newSupervisor(&before, new(eventLog), nil, processes{}, goSleeper())
	for _, address := range before.addresses() {
		s.listeners = append(s.listeners, &listen.Listener{From: address})
	}
	if err := s.numberTransports(&after); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "change them in two steps") {
		t.Errorf("got %v", err)
	}
}

// Connections move from a worker that knows transports to one that does not only where
// none has come with one.
func TestMovesToWhoKnowsTransports(t *testing.T) {
	for name, test := range map[string]struct {
		used, from, to bool
		want           bool
	}{
		"both know":                {true, true, true, true},
		"the new one does not":     {true, true, false, false},
		"none was ever used":       {false, true, false, true},
		"the old one had none":     {true, false, false, true},
		"the new one knows, alone": {true, false, true, true},
	} {
		s := new(supervisor)
		if test.used {
			s.numbers.Rows = make([]listen.Numbered, 1)
		}
		from, to := &slot{ready: ipc.Ready{Moves: true, TLS: test.from}}, &slot{ready: ipc.Ready{Moves: true, Proxy: test.to}}
		if got := s.takesFrom(to, from); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
		if to.ready.Moves = false; s.takesFrom(to, from) {
			t.Errorf("%s: to one that cannot thaw", name)
		}
	}
}
