package master

import (
	"math"
	"sort"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/listen"
)

// This file is what workers are told of TLS and PROXY: the numbers by which a connection
// says what its bytes pass (listen.Numbers).

// transports returns those of all addresses, of a configuration that was checked.
func (c *Config) transports() (transports []listen.Transport) {
	for _, address := range c.addresses() {
		transports = append(transports, address.Transport)
	}
	return transports
}

// transportsOf returns those of listeners.
func transportsOf(listeners []*listen.Listener) (transports []listen.Transport) {
	for _, l := range listeners {
		transports = append(transports, l.From.Transport)
	}
	return transports
}

// checkNumbers refuses more transports than a worker can be told of.
func (c *Config) checkNumbers() error {
	var numbers listen.Numbers
	if err := numbers.Use(c.transports()); err != nil {
		return wrong("listen", "has %v", err)
	}
	hello := c.hello()
	hello.TLS, hello.Transports, hello.Further = true, numbers.Describe(nil), ipc.Place{Offset: math.MaxInt64, Length: ipc.FurtherSize}
	for i := range hello.Transports {
		hello.Transports[i].Number = listen.MaxTransports // none is longer
	}
	if fits := fitting(hello); fits < len(hello.Transports) {
		return wrong("listen", "has %d different settings of TLS and PROXY, of which a worker can be told %d; have trust name fewer networks, or listeners share their settings",
			len(hello.Transports), fits)
	}
	return nil
}

// fitting returns how many of its transports fit into a hello.
func fitting(hello ipc.Hello) int {
	all := hello.Transports
	return sort.Search(len(all), func(n int) bool {
		hello.Transports = all[:n+1]
		_, err := ipc.EncodeMessage(hello)
		return err != nil
	})
}

// hello is what the slot's worker is told first. The transports of its own configuration
// are in it, and as many as fit of those before, with which connections may come that are
// queued or move.
func (s *supervisor) hello(slot *slot) ipc.Hello {
	hello := slot.config.hello()
	hello.Transports, hello.Further = s.numbers.Describe(slot.config.transports()), slot.further
	hello.Transports = hello.Transports[:fitting(hello)]
	return hello
}

// numberTransports gives numbers to the transports of a configuration that a reload is
// about to start workers for, beside those of the listeners that there are.
func (s *supervisor) numberTransports(next *Config) error {
	err := s.numbers.Use(append(transportsOf(s.listeners), next.transports()...))
	if err != nil {
		return wrong("listen", "has, with the listeners that there are, %v; change them in two steps", err)
	}
	return nil
}

// takesFrom reports whether a worker's connections may move to another one. Once some
// have come with a transport, they may not where nobody knows what that is.
func (s *supervisor) takesFrom(to, from *slot) bool {
	return to.ready.Moves && (len(s.numbers.Rows) == 0 || to.knowsTransports() || !from.knowsTransports())
}

func (s *slot) knowsTransports() bool { return s.ready.TLS || s.ready.Proxy }
