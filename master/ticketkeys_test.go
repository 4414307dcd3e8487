package master

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/credentials"
	"github.com/usher-go/usher/internal/leaktest"
	"golang.org/x/sys/unix"
)

// withTLS has a fakeMaster serve TLS.
func withTLS(tls *loadedTLS) func(*Config) {
	return func(c *Config) {
		c.Listen = []string{"tls://127.0.0.1:0"}
		c.TLSCerts, c.TLSKeys = []string{"tls is what they hold"}, []string{""}
		c.tls = tls
	}
}

// keysOf returns the ticket keys of each living worker, by pid.
func (fm *fakeMaster) keysOf() map[int]*credentials.TicketKeys {
	keys := make(map[int]*credentials.TicketKeys)
	fm.look(func() {
		for pid, w := range fm.live {
			keys[pid] = w.keys
		}
	})
	return keys
}

// checkKeys fails the test unless so many workers live, all with the same ticket keys,
// which it returns.
func (fm *fakeMaster) checkKeys(t *testing.T, workers int) (all *credentials.TicketKeys) {
	t.Helper()
	keys := fm.keysOf()
	if len(keys) != workers {
		t.Fatalf("%d workers, want %d", len(keys), workers)
	}
	for pid, k := range keys {
		if all == nil {
			all = k
		}
		if k == nil || !k.Equal(all) {
			t.Errorf("pid %d has other ticket keys", pid)
		}
	}
	fm.look(func() {
		if err := fm.check(); err != nil {
			t.Error(err)
		}
	})
	return all
}

// pass lets so much of the bubble's time pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// All living workers have the same ticket keys, however they were started and whatever has
// changed since; so each can resume what another began.
func TestTicketKeysOfWorkers(t *testing.T) {
	leaktest.Descriptors(t)
	tls := &loadedTLS{credentials: testCredentials(t, "own.test")}
	synctest.Test(t, func(t *testing.T) {
		fm := newFakeMasterOf(3, 4, true, withTLS(tls))
		synctest.Wait()
		first := fm.checkKeys(t, 3)
		pass(time.Hour)
		if !fm.checkKeys(t, 3).Equal(first) {
			t.Error("new keys after an hour")
		}
		pass(25 * time.Hour)
		second := fm.checkKeys(t, 3)
		if second.Equal(first) {
			t.Error("no new keys after a day")
		}
		fm.look(func() { // a worker that crashes and one more than before
			for pid := range fm.live {
				fm.exit(pid, unix.WaitStatus(unix.SIGSEGV))
				break
			}
			fm.scaleOne(+1)
		})
		pass(time.Second)
		if !fm.checkKeys(t, 4).Equal(second) {
			t.Error("new keys of new workers")
		}
		fm.abandon()
	})
}

// A worker that is not ready yet when the keys change is told when it is.
func TestTicketKeysOfStartingWorker(t *testing.T) {
	tls := &loadedTLS{credentials: testCredentials(t, "own.test")}
	synctest.Test(t, func(t *testing.T) {
		fm := newFakeMasterOf(1, 2, true, withTLS(tls))
		synctest.Wait()
		fm.look(func() { fm.mute = true; fm.scaleOne(+1) })
		synctest.Wait()
		fm.look(func() {
			fm.rotateTicketKeys(time.Now().Add(25 * time.Hour)) // now: the worker has little time
			for _, w := range fm.live {
				if w.spec.Slot == 1 {
					w.ready()
				}
			}
		})
		synctest.Wait()
		fm.checkKeys(t, 2)
		fm.abandon()
	})
}

// A worker that does not do TLS is told nothing.
func TestTicketKeysOfOthers(t *testing.T) {
	tls := &loadedTLS{credentials: testCredentials(t, "own.test")}
	synctest.Test(t, func(t *testing.T) {
		fm := newFakeMasterOf(2, 2, true, withTLS(tls))
		synctest.Wait()
		first := fm.checkKeys(t, 2)
		fm.look(func() {
			for slot := range fm.slots.all() {
				slot.ready.TLS = false
			}
		})
		pass(25 * time.Hour)
		if !fm.checkKeys(t, 2).Equal(first) {
			t.Error("they are told of new keys")
		}
		fm.abandon()
	})
}

// What could not be told is told later; but a worker that does not read is killed.
func TestTicketKeysThatCannotBeTold(t *testing.T) {
	leaktest.Descriptors(t)
	tls := &loadedTLS{credentials: testCredentials(t, "own.test")}
	synctest.Test(t, func(t *testing.T) {
		fm := newFakeMasterOf(2, 2, true, withTLS(tls))
		synctest.Wait()
		first := fm.checkKeys(t, 2)
		fm.look(func() { fm.failKeys = fdpass.ErrTooManyRefs })
		pass(25 * time.Hour)
		if !fm.checkKeys(t, 2).Equal(first) {
			t.Error("they have new keys, which they were not told")
		}
		fm.look(func() { fm.failKeys = nil })
		pass(2 * longestRest)
		second := fm.checkKeys(t, 2)
		if second.Equal(first) {
			t.Error("they were not told later")
		}
		before := fm.keysOf()
		fm.look(func() { fm.failKeys = errors.New("it does not read its messages") })
		pass(25 * time.Hour)
		fm.look(func() { fm.failKeys = nil })
		pass(time.Second)
		third := fm.checkKeys(t, 2)
		for pid := range fm.keysOf() {
			if before[pid] != nil {
				t.Errorf("pid %d was not told, and lives", pid)
			}
		}
		if third.Equal(second) {
			t.Error("those in their place have the keys of before")
		}
		fm.abandon()
	})
}

// An upgrade in place hands over the memfd of the configuration in force, with the ticket
// keys that workers have, and which workers are still to be told of new ones.
func TestTicketKeysAreHandedOver(t *testing.T) {
	leaktest.Descriptors(t)
	tls := &loadedTLS{credentials: testCredentials(t, "own.test")}
	synctest.Test(t, func(t *testing.T) {
		fm := newFakeMasterOf(2, 2, true, withTLS(tls))
		synctest.Wait()
		fm.look(func() { fm.failKeys = fdpass.ErrTooManyRefs })
		pass(25 * time.Hour)
		var state *upgradeState
		var config Config
		var next secrets
		fm.look(func() {
			fm.failExecute = errors.New("it goes on")
			fm.onExecute = func() {
				var err error
				if state, err = readUpgradeState(fm.handedOver[len(fm.handedOver)-1]); err == nil {
					err = next.restore(&config, state.Credentials)
				}
				if err != nil || !slices.Contains(fm.handedOver, state.Credentials) {
					fm.fault("%d in %v, %v", state.Credentials, fm.handedOver, err)
				}
			}
			fm.askUpgrade(-1)
		})
		synctest.Wait()
		fm.look(func() {
			if !next.ticketKeys(config.tls).Equal(fm.secrets.own) || !config.tls.credentials.Has("own.test") {
				t.Error("the next program has other ticket keys")
			}
			for _, slot := range state.Slots {
				if !slot.KeysDue {
					t.Errorf("slot %d is not to be told", slot.Number)
				}
			}
			fm.failKeys = nil
		})
		pass(2 * longestRest)
		fm.checkKeys(t, 2) // it went on
		fm.abandon()
	})
}

// Without TLS nothing is handed over.
func TestNoTicketKeysAreHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fm := newFakeMaster(1, 1)
		synctest.Wait()
		fm.look(func() {
			fm.failExecute = errors.New("it goes on")
			fm.onExecute = func() {
				if state, err := readUpgradeState(fm.handedOver[len(fm.handedOver)-1]); err != nil || state.Credentials != 0 {
					fm.fault("%+v, %v", state, err)
				}
			}
			fm.askUpgrade(-1)
		})
		synctest.Wait()
		fm.look(func() {
			if err := fm.check(); err != nil || fm.handedOver == nil || fm.secrets.own != nil {
				t.Errorf("%v, handed over %v, %v", err, fm.handedOver, fm.secrets.own)
			}
		})
		fm.abandon()
	})
}
