package master

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/certtest"
	"github.com/usher-go/usher/internal/credentials"
	"github.com/usher-go/usher/internal/leaktest"
	"golang.org/x/sys/unix"
)

// testCredentials are those of a certificate for name.
func testCredentials(t *testing.T, name string) *credentials.Credentials {
	t.Helper()
	cert, key := certtest.NewCA(t, "test").Issue(t, certtest.Want{Names: []string{name}}).Write(t, t.TempDir(), "server")
	c, _, err := credentials.Load(credentials.Files{Certs: []string{cert}, Keys: []string{key}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// testTicketKeys are keys of a file, as several machines share them.
func testTicketKeys(t *testing.T, lines ...string) *credentials.TicketKeys {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ticket-keys")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, _, err := credentials.LoadTicketKeys(file)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

const (
	keyOfFile      = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	otherKeyOfFile = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY="
)

// inMemory returns what a worker finds in the memfd of its hello.
func inMemory(memory int) (*credentials.Credentials, *credentials.TicketKeys, error) {
	message, err := fdpass.ReadSealed(memory, credentials.MaxEncoded)
	if err != nil {
		return nil, nil, err
	}
	return credentials.Decode(message)
}

// isOpen reports whether the descriptor is, and is close-on-exec.
func isOpen(memory int) bool {
	flags, err := unix.FcntlInt(uintptr(memory), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC != 0
}

// A configuration has one memfd, until the keys in it are replaced, or nobody uses it.
func TestSecretsOfConfigurations(t *testing.T) {
	leaktest.Descriptors(t)
	var s secrets
	defer s.close()
	began := time.Now()
	own := &loadedTLS{credentials: testCredentials(t, "own.test")}
	shared := &loadedTLS{credentials: testCredentials(t, "shared.test"), ticketKeys: testTicketKeys(t, keyOfFile)}
	memory := func(of *loadedTLS) int {
		fd, err := s.memory(of)
		if err != nil || !isOpen(fd) {
			t.Fatalf("memory %d, %v", fd, err)
		}
		c, keys, err := inMemory(fd)
		if err != nil || !c.Has(of.credentials.Certificates()[0].Names[0]) || !keys.Equal(s.ticketKeys(of)) {
			t.Fatalf("%v and %v, %v", c, keys, err)
		}
		return fd
	}
	first, sharedOne := memory(own), memory(shared)
	if memory(own) != first || memory(shared) != sharedOne {
		t.Error("a configuration has a second memfd")
	}
	if s.rotate(began.Add(23 * time.Hour)) {
		t.Error("new keys within a day")
	}
	if !s.rotate(began.Add(25*time.Hour)) || isOpen(first) || !isOpen(sharedOne) {
		t.Error("new keys after a day: the memfd with those of before is to be closed, and no other")
	}
	memory(own)
	s.forget(func(of *loadedTLS) bool { return of == own })
	if isOpen(sharedOne) || len(s.sealed) != 1 {
		t.Error("what nobody uses is there still")
	}
}

// Ticket keys are rotated by the wall clock: the monotonic one stands still while a machine
// sleeps. One that slept for days catches up at once, with one key.
func TestTicketKeysCatchUp(t *testing.T) {
	var s secrets
	defer s.close()
	of := &loadedTLS{credentials: testCredentials(t, "own.test")}
	s.ticketKeys(of)
	if now := wallClock(time.Now()); strings.Contains(now.String(), "m=") {
		t.Errorf("%v has a monotonic reading", now)
	}
	if s.rotate(time.Now().Add(time.Minute)) {
		t.Error("new keys after a minute")
	}
	days := wallClock(time.Now()).Add(9 * 24 * time.Hour)
	if !s.rotate(days) || s.rotate(days.Add(time.Hour)) {
		t.Error("after nine days there is to be one new key")
	}
	if got := s.own.String(); got != "2 ticket keys" {
		t.Errorf("%s, want 2", got)
	}
	for i := range 10 {
		if !s.rotate(days.Add(time.Duration(i+1) * 24 * time.Hour)) {
			t.Errorf("no new key on day %d", i)
		}
	}
	if got, want := s.own.String(), fmt.Sprintf("%d ticket keys", credentials.MaxTicketKeys); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// What is handed over by an upgrade in place is in force in the next program, and is the
// memfd of its workers.
func TestSecretsAreHandedOver(t *testing.T) {
	for name, before := range map[string]*loadedTLS{
		"own ticket keys": {credentials: testCredentials(t, "own.test")},
		"keys of a file":  {credentials: testCredentials(t, "own.test"), ticketKeys: testTicketKeys(t, keyOfFile, otherKeyOfFile)},
	} {
		t.Run(name, func(t *testing.T) {
			leaktest.Descriptors(t)
			var old, next secrets
			defer next.close()
			memory, err := old.memory(before)
			if err != nil {
				t.Fatal(err)
			}
			var config Config
			if err := next.restore(&config, memory); err != nil {
				t.Fatal(err)
			}
			if !config.tls.hasCredentials() || !config.tls.credentials.Has("own.test") {
				t.Errorf("%v", config.tls.credentials)
			}
			if !next.ticketKeys(config.tls).Equal(old.ticketKeys(before)) || (next.own == nil) != (before.ticketKeys != nil) {
				t.Error("other ticket keys")
			}
			if same, err := next.memory(config.tls); same != memory || err != nil {
				t.Errorf("memory %d, %v, want the one that was handed over, %d", same, err, memory)
			}
		})
	}
}

func TestSecretsThatAreNone(t *testing.T) {
	leaktest.Descriptors(t)
	junk, err := fdpass.Seal("junk", []byte("junk"))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(junk)
	for _, memory := range []int{junk, 1 << 20} {
		var s secrets
		var config Config
		if err := s.restore(&config, memory); err == nil || config.tls != nil || len(s.sealed) > 0 {
			t.Errorf("memory %d: %v", memory, err)
		}
	}
}

// Nothing of what is secret is in what anybody prints.
func TestSecretsPrintNothing(t *testing.T) {
	var s secrets
	defer s.close()
	of := &loadedTLS{credentials: testCredentials(t, "own.test"), ticketKeys: testTicketKeys(t, keyOfFile)}
	if _, err := s.memory(of); err != nil {
		t.Fatal(err)
	}
	s.own = credentials.NewTicketKeys(time.Now())
	secret := credentials.EncodeTicketKeys(s.own)
	for _, key := range []string{"0123456789012345", string(secret[len(secret)-32:])} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
			for _, value := range []any{s, &s, of, *of, Config{tls: of}, &slot{config: &Config{tls: of}}} {
				text := fmt.Sprintf(verb, value)
				if slices.ContainsFunc([]string{key, fmt.Sprintf("%x", key), fmt.Sprint([]byte(key))}, func(s string) bool { return strings.Contains(text, s) }) {
					t.Errorf("%s of %T: %s", verb, value, text)
				}
			}
		}
	}
}
