package master

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/usher-go/usher/internal/certtest"
	"github.com/usher-go/usher/internal/leaktest"
)

// tlsFiles are what a configuration names.
type tlsFiles struct {
	t               *testing.T
	folder          string
	cert, key       string
	ticketKeys      string
	ticketKeysInUse bool
}

func newTLSFiles(t *testing.T) *tlsFiles {
	f := &tlsFiles{t: t, folder: t.TempDir()}
	f.ticketKeys = filepath.Join(f.folder, "ticket-keys")
	f.renew("first.test")
	return f
}

// renew writes another certificate, which is valid in a bubble's time, too.
func (f *tlsFiles) renew(name string) {
	f.t.Helper()
	want := certtest.Want{Names: []string{name}, NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2049, 1, 1, 0, 0, 0, 0, time.UTC)}
	f.cert, f.key = certtest.NewCA(f.t, "test").Issue(f.t, want).Write(f.t, f.folder, "server")
}

func (f *tlsFiles) writeTicketKeys(text string) {
	f.t.Helper()
	if err := os.WriteFile(f.ticketKeys, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// in has a configuration name the files.
func (f *tlsFiles) in(c *Config) {
	c.Listen = []string{"tls://127.0.0.1:0"}
	c.TLSCerts, c.TLSKeys, c.TLSTicketKeys = []string{f.cert}, []string{f.key}, ""
	if f.ticketKeysInUse {
		c.TLSTicketKeys = f.ticketKeys
	}
}

// loaded is in for the start, at which a fakeMaster reads nothing.
func (f *tlsFiles) loaded(c *Config) {
	f.in(c)
	if err := c.loadTLS(time.Now()); err != nil {
		panic(err)
	}
}

// reloadTLS reloads, with what the files hold now.
func (fm *fakeMaster) reloadTLS(t *testing.T, f *tlsFiles) error {
	t.Helper()
	done := make(chan outcome, 1)
	fm.look(func() {
		fm.rewrite = f.in
		fm.askReload(done)
	})
	return (<-done).err
}

// certificates are the names in the credentials of each living worker's hello.
func (fm *fakeMaster) certificates() (names []string) {
	fm.look(func() {
		for _, w := range fm.live {
			names = append(names, w.certificate)
		}
	})
	slices.Sort(names)
	return names
}

// Each reload brings the certificates of its time to its workers, and to no others; the
// ticket keys stay, and nothing of an earlier generation is left when it is gone.
func TestReloadsOfCertificates(t *testing.T) {
	leaktest.Descriptors(t)
	f := newTLSFiles(t)
	synctest.Test(t, func(t *testing.T) {
		fm := newFakeMasterOf(2, 4, true, f.loaded)
		synctest.Wait()
		keys := fm.checkKeys(t, 2)
		descriptors := leaktest.Count(t)
		for _, name := range []string{"second.test", "third.test"} {
			f.renew(name)
			fm.look(func() { // one that crashes before the reload is of its generation still
				for pid := range fm.live {
					fm.exit(pid, 1)
					break
				}
			})
			pass(time.Second)
			if got := fm.certificates(); slices.Contains(got, name) {
				t.Errorf("certificates %v before the reload", got)
			}
			if err := fm.reloadTLS(t, f); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
			if got := fm.certificates(); !slices.Equal(got, []string{name, name}) {
				t.Errorf("certificates %v after the reload, want %s", got, name)
			}
			if !fm.checkKeys(t, 2).Equal(keys) {
				t.Error("a reload has changed the ticket keys")
			}
			if got := leaktest.Count(t); got != descriptors {
				t.Errorf("%d descriptors, were %d", got, descriptors)
			}
		}
		fm.abandon()
	})
}

// Files that are wrong refuse a reload, and change nothing.
func TestReloadRefusedForItsFiles(t *testing.T) {
	leaktest.Descriptors(t)
	f := newTLSFiles(t)
	synctest.Test(t, func(t *testing.T) {
		fm := newFakeMasterOf(2, 4, true, f.loaded)
		synctest.Wait()
		keys := fm.checkKeys(t, 2)
		f.ticketKeysInUse = true
		f.writeTicketKeys("junk\n")
		if err := fm.reloadTLS(t, f); err == nil {
			t.Error("it reloads with ticket keys that are none")
		}
		f.writeTicketKeys(keyOfFile + "\n")
		if err := os.WriteFile(f.key, []byte("junk"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := fm.reloadTLS(t, f); err == nil {
			t.Error("it reloads with a key that is none")
		}
		pass(time.Second)
		fm.look(func() {
			for pid := range fm.live {
				fm.exit(pid, 1)
				break
			}
		})
		pass(time.Second)
		if got := fm.certificates(); !slices.Equal(got, []string{"first.test", "first.test"}) || !fm.checkKeys(t, 2).Equal(keys) {
			t.Errorf("certificates %v, or other ticket keys", got)
		}
		fm.abandon()
	})
}

// Ticket keys of a file replace the master's own in all workers, those that drain
// included; and are replaced by others when the file is read again.
func TestReloadsOfTicketKeys(t *testing.T) {
	leaktest.Descriptors(t)
	f := newTLSFiles(t)
	synctest.Test(t, func(t *testing.T) {
		fm := newFakeMasterOf(1, 4, true, f.loaded)
		synctest.Wait()
		own := fm.checkKeys(t, 1)
		fm.look(func() { // it stays beside the next generations
			for _, w := range fm.live {
				w.stubborn = true
			}
		})
		f.ticketKeysInUse = true
		for _, text := range []string{keyOfFile, otherKeyOfFile + "\n" + keyOfFile} {
			f.writeTicketKeys(text)
			if err := fm.reloadTLS(t, f); err != nil {
				t.Fatal(err)
			}
			if !fm.checkKeys(t, 2).Equal(testTicketKeys(t, text)) {
				t.Error("the workers do not have the keys of the file")
			}
		}
		fm.look(func() {
			if fm.secrets.own != nil || len(fm.secrets.sealed) != 1 {
				t.Errorf("the master keeps its own ticket keys, or what was sealed before: %d", len(fm.secrets.sealed))
			}
		})
		f.ticketKeysInUse = false
		if err := fm.reloadTLS(t, f); err != nil {
			t.Fatal(err)
		}
		if now := fm.checkKeys(t, 2); now.FromFile() || now.Equal(own) {
			t.Error("without a file, the master is to make new keys")
		}
		fm.abandon()
	})
}

// A reload that fails after it was read leaves nothing of its secrets.
func TestFailedReloadLeavesNoSecrets(t *testing.T) {
	leaktest.Descriptors(t)
	f := newTLSFiles(t)
	synctest.Test(t, func(t *testing.T) {
		fm := newFakeMasterOf(1, 2, true, f.loaded)
		synctest.Wait()
		keys := fm.checkKeys(t, 1)
		descriptors := leaktest.Count(t)
		f.ticketKeysInUse = true
		f.writeTicketKeys(keyOfFile)
		fm.look(func() { fm.mute = true })
		if err := fm.reloadTLS(t, f); err == nil {
			t.Fatal("it reloads though the new worker is not ready")
		}
		pass(time.Second)
		if !fm.checkKeys(t, 1).Equal(keys) {
			t.Error("the worker has other ticket keys")
		}
		if got := leaktest.Count(t); got != descriptors {
			t.Errorf("%d descriptors, were %d", got, descriptors)
		}
		fm.abandon()
	})
}
