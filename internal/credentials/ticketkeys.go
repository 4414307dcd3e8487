package credentials

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// TicketKeys seal session tickets (RFC 8446, section 4.6.1; RFC 5077), and open them: the
// first seals, all open. There are 1 to MaxTicketKeys. It belongs to one goroutine at a
// time.
type TicketKeys struct {
	keys     []*ticketKey // the newest first
	fromFile bool         // they are rotated by who writes the file
}

// ticketKey is one. Its secret is behind a pointer of its own: fmt follows one, even of a
// field that is not exported, to explain that a verb is wrong.
type ticketKey struct {
	secret *ticketSecret
	made   time.Time // zero: of a file
}

const ticketKeyLen = 32

type ticketSecret = [ticketKeyLen]byte

// MaxTicketKeys is how many keys there may be. Each is the first for a day, and a ticket is
// good for 7 days (RFC 8446, section 4.6.1).
const MaxTicketKeys = 7

// rotateEvery is how long a key seals.
const rotateEvery = 24 * time.Hour

// NewTicketKeys makes one key.
func NewTicketKeys(now time.Time) *TicketKeys {
	k := new(TicketKeys)
	k.add(now)
	return k
}

func (k *TicketKeys) add(now time.Time) {
	key := &ticketKey{new(ticketSecret), now}
	rand.Read(key.secret[:]) // it does not fail
	k.keys = append([]*ticketKey{key}, k.keys...)
}

// Rotate makes a new first key if the first is a day old, or from the future, as a clock
// that was wrong may have it, and drops those that are too many. It reports whether it
// did. Keys of a file stay.
func (k *TicketKeys) Rotate(now time.Time) (changed bool) {
	age := now.Sub(k.keys[0].made)
	if k.fromFile || age >= 0 && age < rotateEvery {
		return false
	}
	k.add(now)
	for _, old := range k.keys[min(len(k.keys), MaxTicketKeys):] {
		clear(old.secret[:])
	}
	k.keys = k.keys[:min(len(k.keys), MaxTicketKeys)]
	return true
}

// NextRotation is when Rotate would make a key; the zero value: never.
func (k *TicketKeys) NextRotation() time.Time {
	if k.fromFile {
		return time.Time{}
	}
	return k.keys[0].made.Add(rotateEvery)
}

// FromFile reports whether the keys are those of a file, which Rotate leaves alone.
func (k *TicketKeys) FromFile() bool { return k.fromFile }

// Equal reports whether the keys are the same, in the same order.
func (k *TicketKeys) Equal(other *TicketKeys) bool {
	if len(k.keys) != len(other.keys) || k.fromFile != other.fromFile {
		return false
	}
	for i, key := range k.keys {
		if *key.secret != *other.keys[i].secret {
			return false
		}
	}
	return true
}

// SetOn has a configuration seal and open tickets with the keys, from now on. It may be in
// use by other goroutines; clones that were made of it before do not change.
func (k *TicketKeys) SetOn(config *tls.Config) {
	secrets := make([]ticketSecret, len(k.keys))
	for i, key := range k.keys {
		secrets[i] = *key.secret
	}
	config.SetSessionTicketKeys(secrets) // which keeps what it makes of them
	clear(secrets)
}

// Wipe overwrites the keys, of which nothing may be asked after that. Configurations that
// they were set on have their own.
func (k *TicketKeys) Wipe() {
	for _, key := range k.keys {
		clear(key.secret[:])
	}
	k.keys = nil
}

// String says how many there are.
func (k *TicketKeys) String() string {
	if k == nil {
		return "no ticket keys"
	}
	return fmt.Sprintf("%d ticket keys", len(k.keys))
}

// Format writes String, whatever the verb is.
func (k *TicketKeys) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, k.String()) } // fmt's buffer does not fail

// LogValue is String, for log/slog.
func (k *TicketKeys) LogValue() slog.Value { return slog.StringValue(k.String()) }

// LoadTicketKeys reads keys that several machines share: a line each, which is the base64
// of 32 bytes, as openssl rand -base64 32 prints it. The first seals. Empty lines, and
// those that begin with #, are passed over. Its errors are as Load's.
//
// To change keys without a client noticing, a new one is first added as the second line
// on every machine, then made the first.
func LoadTicketKeys(file string) (k *TicketKeys, warnings []string, err error) {
	var l loader
	data, err := l.readSecret(settingTicketKeys, file)
	if err != nil {
		return nil, nil, err
	}
	defer clear(data)
	k = &TicketKeys{fromFile: true}
	number := 0
	for line := range bytes.Lines(data) {
		number++
		if line = bytes.TrimSpace(line); len(line) == 0 || line[0] == '#' {
			continue
		}
		if problem := k.addLine(line); problem != "" {
			k.Wipe()
			return nil, nil, &Error{settingTicketKeys, file, fmt.Sprintf("line %d %s", number, problem)}
		}
	}
	if len(k.keys) == 0 {
		return nil, nil, &Error{settingTicketKeys, file, "has no key; make one: openssl rand -base64 32"}
	}
	return k, l.warnings, nil
}

// addLine adds a key as the last one, or says what is wrong with its line.
func (k *TicketKeys) addLine(line []byte) (problem string) {
	const advice = "; make it by: openssl rand -base64 32"
	secret, err := base64.StdEncoding.AppendDecode(nil, line)
	defer clear(secret)
	key := &ticketKey{secret: new(ticketSecret)}
	switch {
	case err != nil:
		return "is not the base64 of a key" + advice
	case len(secret) != ticketKeyLen:
		return fmt.Sprintf("is a key of %d bytes, want %d", len(secret), ticketKeyLen) + advice
	case len(k.keys) == MaxTicketKeys:
		return fmt.Sprintf("is one too many: at most %d keys are used; leave the oldest out", MaxTicketKeys)
	}
	copy(key.secret[:], secret)
	if *key.secret == (ticketSecret{}) {
		return "is a key of zeros" + advice
	}
	for i, other := range k.keys {
		if *other.secret == *key.secret {
			return fmt.Sprintf("is key %d again; leave one out", i+1)
		}
	}
	k.keys = append(k.keys, key)
	return ""
}
