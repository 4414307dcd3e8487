package master

import (
	"errors"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/credentials"
)

// This file is how workers that do TLS go on with new keys for session tickets, on the
// supervisor's goroutine. A worker has those of its hello until it is told others.

// rotateTicketKeys makes a new ticket key once a day, and passes on what is due.
func (s *supervisor) rotateTicketKeys(now time.Time) {
	if s.secrets.rotate(now) {
		s.log.Info("new key for session tickets")
		for slot := range s.slots.all() {
			if t := s.tlsOf(slot); slot.process != nil && t.hasCredentials() && t.ticketKeys == nil {
				slot.keysDue = true
			}
		}
	}
	s.giveTicketKeys()
}

// switchTicketKeys has workers of earlier generations go on with the ticket keys of the
// configuration that is in force now, if they differ.
func (s *supervisor) switchTicketKeys(before *loadedTLS) {
	now := s.config.tls
	if before.hasCredentials() && now.hasCredentials() && !s.secrets.ticketKeys(before).Equal(s.secrets.ticketKeys(now)) {
		for slot := range s.slots.all() {
			slot.keysDue = slot.keysDue || slot.process != nil && slot.generation < s.generation
		}
		s.giveTicketKeys()
	}
	if !now.hasCredentials() || now.ticketKeys != nil {
		s.secrets.dropOwn()
	}
}

// giveTicketKeys tells workers that do TLS the ticket keys, where these have changed since
// they were told. What is not possible now is tried again at the next sample.
func (s *supervisor) giveTicketKeys() {
	memories := make(map[*credentials.TicketKeys]int)
	defer func() {
		for _, memory := range memories {
			closeMemory(memory)
		}
	}()
	for slot := range s.slots.all() {
		if !slot.keysDue || !slot.ready.TLS || slot.process == nil || !s.tlsOf(slot).hasCredentials() {
			continue
		}
		keys := s.secrets.ticketKeys(s.tlsOf(slot))
		memory, ok := memories[keys]
		if !ok {
			var err error
			if memory, err = sealTicketKeys(keys); err != nil {
				s.log.Warn("cannot pass on session ticket keys, retrying", "error", err)
				return
			}
			memories[keys] = memory
		}
		s.tellKeys(slot, memory)
	}
}

func (s *supervisor) tellKeys(slot *slot, memory int) {
	err := slot.process.TellKeys(memory)
	slot.keysDue = errors.Is(err, fdpass.ErrTooManyRefs)
	if !slot.keysDue {
		s.told(slot, err)
	}
}

func sealTicketKeys(keys *credentials.TicketKeys) (memory int, err error) {
	message := credentials.EncodeTicketKeys(keys)
	defer credentials.Wipe(message)
	return fdpass.Seal("usher-ticket-keys", message)
}

// tlsOf returns whose ticket keys a slot's worker is to have: those of the configuration in
// force, unless it is of the generation that a reload is starting.
func (s *supervisor) tlsOf(slot *slot) *loadedTLS {
	if slot.generation == s.newest() {
		return s.newestConfig().tls
	}
	return s.config.tls
}
