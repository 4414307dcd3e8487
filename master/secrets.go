package master

import (
	"fmt"
	"slices"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/credentials"
)

// secrets are what workers prove the server with: the credentials of each configuration
// that some worker is of, as a sealed memfd which their hello brings, and the keys of
// session tickets. They belong to the supervisor's goroutine. The zero value has none.
//
//	files ──loadTLS──► loadedTLS ──memory──► memfd ──hello──► the workers of a configuration
//	                       own   ──────────────┘
//	                        └──rotate──────► memfd ──ticket-keys──► all living workers
//
// Ticket keys are the master's own, unless the configuration names a file of them. They
// outlive configurations, and this program in an upgrade in place, so that a ticket of any
// worker can be opened by any other.
type secrets struct {
	own    *credentials.TicketKeys // nil: nobody has needed them
	sealed map[*loadedTLS]int      // owned; -1: it could not be made yet
}

// ticketKeys returns those of a configuration that has credentials, and makes some if
// there are none.
func (s *secrets) ticketKeys(of *loadedTLS) *credentials.TicketKeys {
	if of.ticketKeys != nil {
		return of.ticketKeys
	}
	if s.own == nil {
		s.own = credentials.NewTicketKeys(wallClock(time.Now()))
	}
	return s.own
}

// wallClock returns a time whose differences count what the machine slept, too.
func wallClock(now time.Time) time.Time { return now.Round(0) }

// memory returns the memfd of a configuration that has credentials, borrowed: until the
// ticket keys change, or it is forgotten.
func (s *secrets) memory(of *loadedTLS) (int, error) {
	if memory, ok := s.sealed[of]; ok && memory >= 0 {
		return memory, nil
	}
	message := credentials.Encode(of.credentials, s.ticketKeys(of))
	defer credentials.Wipe(message)
	memory, err := fdpass.Seal("usher-credentials", message)
	s.put(of, memory)
	if err != nil {
		return -1, fmt.Errorf("credentials: %w", err)
	}
	return memory, nil
}

func (s *secrets) put(of *loadedTLS, memory int) {
	if s.sealed == nil {
		s.sealed = make(map[*loadedTLS]int)
	}
	s.sealed[of] = memory
}

// rotate makes a new key of the master's own, if the newest is a day old by the wall clock,
// and reports whether it did. The memfds that have the keys of before are closed.
func (s *secrets) rotate(now time.Time) bool {
	if s.own == nil || !s.own.Rotate(wallClock(now)) {
		return false
	}
	for of, memory := range s.sealed {
		if of.ticketKeys == nil {
			closeMemory(memory)
			s.sealed[of] = -1
		}
	}
	return true
}

// dropOwn wipes the master's own keys: those of a file are in force, or none.
func (s *secrets) dropOwn() {
	if s.own != nil {
		s.own.Wipe()
		s.own = nil
	}
}

// forget closes and wipes what is of configurations that are not in use any more.
func (s *secrets) forget(inUse func(*loadedTLS) bool) {
	for of, memory := range s.sealed {
		if !inUse(of) {
			closeMemory(memory)
			of.wipe()
			delete(s.sealed, of)
		}
	}
}

// close wipes all, and closes every memfd.
func (s *secrets) close() {
	s.forget(func(*loadedTLS) bool { return false })
	s.dropOwn()
}

func closeMemory(memory int) { fdpass.CloseAll([]int{memory}) } // -1 is none

// restore takes over what the program before has sealed: it takes ownership of memory,
// unless it returns an error. The configuration has the credentials from then on that were
// in force there.
func (s *secrets) restore(config *Config, memory int) error {
	message, err := fdpass.ReadSealed(memory, credentials.MaxEncoded)
	if err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	defer credentials.Wipe(message)
	c, keys, err := credentials.Decode(message)
	if err != nil {
		return err
	}
	config.tls = &loadedTLS{credentials: c}
	if keys.FromFile() {
		config.tls.ticketKeys = keys
	} else {
		s.own = keys
	}
	s.put(config.tls, memory)
	return nil
}

// forgetSecrets drops the secrets of configurations with which no worker is started any
// more, though some may go on that were.
func (s *supervisor) forgetSecrets() {
	s.secrets.forget(func(of *loadedTLS) bool { return of == s.config.tls || of == s.newestConfig().tls })
}

// hasCredentials reports whether there is something to prove the server with. Without a
// configuration that was read there is not.
func (t *loadedTLS) hasCredentials() bool { return t != nil && t.credentials != nil }

// wipe overwrites the ticket keys that were read: nobody uses them any more. What
// packages of Go keep of private keys is the collector's.
func (t *loadedTLS) wipe() {
	if t != nil && t.ticketKeys != nil {
		t.ticketKeys.Wipe()
	}
}

// servesTLS reports whether workers are to be given credentials: some listener has TLS.
func (c *Config) servesTLS() bool {
	return c.tls.hasCredentials() && slices.ContainsFunc(c.addresses(), func(a Address) bool { return a.Transport.TLS })
}
