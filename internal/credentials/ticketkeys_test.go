package credentials

import (
	"crypto/tls"
	"encoding/base64"
	"os"
	"strings"
	"testing"
	"time"
)

// A key seals for a day, and opens for six more.
func TestRotate(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	k := NewTicketKeys(start)
	first := *k.keys[0].secret
	for day := 1; day <= 10; day++ {
		at := start.Add(time.Duration(day) * rotateEvery)
		if k.Rotate(at.Add(-time.Second)) {
			t.Fatalf("it rotates before day %d", day)
		}
		if !k.NextRotation().Equal(at) || !k.Rotate(at) {
			t.Fatalf("it does not rotate on day %d, but at %v", day, k.NextRotation())
		}
		if want := min(day+1, MaxTicketKeys); len(k.keys) != want || *k.keys[0].secret == *k.keys[1].secret {
			t.Fatalf("%v on day %d", k, day)
		}
		if found := *k.keys[len(k.keys)-1].secret == first; found != (day < MaxTicketKeys) {
			t.Errorf("the first key is there on day %d: %v", day, found)
		}
	}
	// A clock that was ahead is set right.
	if !k.Rotate(start) || k.Rotate(start.Add(time.Hour)) {
		t.Error("keys from the future seal on")
	}
}

// A ticket that any of the keys sealed resumes, and no other.
func TestTicketsResume(t *testing.T) {
	p := newPlace(t)
	c := mustLoad(t, p.files("one"))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		now := time.Now()
		k := NewTicketKeys(now)
		config := c.Config("", nil, k)
		client := &tls.Config{ServerName: "one.example", RootCAs: p.ca.Pool(), MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		resumes := func(config *tls.Config, want bool, what string) {
			t.Helper()
			seen, _, err := handshake(t, config, client)
			if err != nil || seen.DidResume != want {
				t.Errorf("%s, %s: resumed %v, %v", tls.VersionName(version), what, seen.DidResume, err)
			}
		}
		resumes(config, false, "the first time")
		resumes(config, true, "the second time")
		k.Rotate(now.Add(rotateEvery))
		message := EncodeTicketKeys(k)
		next, err := DecodeTicketKeys(message)
		if err != nil {
			t.Fatal(err)
		}
		resumes(c.Config("", nil, next), true, "by another process, a day later")
		next.SetOn(config)
		resumes(config, true, "with the keys renewed")
		resumes(c.Config("", nil, NewTicketKeys(now)), false, "with keys that nobody shares")
	}
}

func TestTicketKeysFile(t *testing.T) {
	p := newPlace(t)
	key := func(c string) string { return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(c, 32))) }
	good := map[string]struct {
		text string
		want int
	}{
		"one":                  {key("a") + "\n", 1},
		"without an end":       {key("a"), 1},
		"with comments":        {"# today\r\n" + key("a") + "\r\n\n  # yesterday\n\t" + key("b") + "\n", 2},
		"as many as there may": {strings.Join([]string{key("a"), key("b"), key("c"), key("d"), key("e"), key("f"), key("g")}, "\n"), 7},
	}
	for name, test := range good {
		k, warnings, err := LoadTicketKeys(p.write("keys", []byte(test.text)))
		if err != nil || len(warnings) > 0 || len(k.keys) != test.want || string(k.keys[0].secret[:]) != strings.Repeat("a", 32) || !k.FromFile() || k.Rotate(time.Now()) || !k.NextRotation().IsZero() {
			t.Errorf("%s: %v, %q, %v", name, k, warnings, err)
			continue
		}
		if again, err := DecodeTicketKeys(EncodeTicketKeys(k)); err != nil || !again.Equal(k) {
			t.Errorf("%s: encoded and decoded: %v, %v", name, again, err)
		}
	}
	bad := map[string]struct{ text, want string }{
		"nothing":      {"", "is empty"},
		"no key":       {"# none\n\n", "has no key; make one: openssl rand -base64 32"},
		"no base64":    {"hello!\n", "line 1 is not the base64 of a key; make it by: openssl rand -base64 32"},
		"another size": {"\n" + base64.StdEncoding.EncodeToString(make([]byte, 48)), "line 2 is a key of 48 bytes, want 32"},
		"zeros":        {base64.StdEncoding.EncodeToString(make([]byte, 32)), "line 1 is a key of zeros"},
		"one again":    {key("a") + "\n" + key("b") + "\n" + key("a"), "line 3 is key 1 again"},
		"one too many": {strings.Join([]string{key("a"), key("b"), key("c"), key("d"), key("e"), key("f"), key("g"), key("h")}, "\n"), "line 8 is one too many: at most 7 keys are used"},
		"raw bytes":    {strings.Repeat("\x00\xff", 24), "line 1 is not the base64 of a key"},
	}
	for name, test := range bad {
		path := p.write("keys", []byte(test.text))
		if k, _, err := LoadTicketKeys(path); k != nil || err == nil || !strings.HasPrefix(err.Error(), "tls-ticket-keys "+path+": "+test.want) {
			t.Errorf("%s: %v, %v; want %s", name, k, err, test.want)
		}
	}
	path := p.write("keys", []byte(key("a")))
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, warnings, err := LoadTicketKeys(path); err != nil || len(warnings) != 0 {
		t.Errorf("for a group: %q, %v", warnings, err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, warnings, err := LoadTicketKeys(path); err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "every user of this machine may read or write it (mode 0644)") {
		t.Errorf("for all: %q, %v", warnings, err)
	}
}

// Two with the same keys are equal.
func TestTicketKeysEqual(t *testing.T) {
	now := time.Now()
	a, b := NewTicketKeys(now), NewTicketKeys(now)
	if !a.Equal(a) || a.Equal(b) {
		t.Error("one key")
	}
	c, err := DecodeTicketKeys(EncodeTicketKeys(a))
	if err != nil || !a.Equal(c) {
		t.Error(err)
	}
	if c.Rotate(now.Add(rotateEvery)); a.Equal(c) {
		t.Error("one and two")
	}
	b.Wipe()
}
