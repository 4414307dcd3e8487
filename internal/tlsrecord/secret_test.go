package tlsrecord

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// needles are what a text would hold that shows some bytes of a secret, however they are
// written, by the name of that.
func needles(secrets map[string][]byte) map[string]string {
	words := func(separator string, one func(b byte) string) func(b []byte) string {
		return func(b []byte) string {
			var all []string
			for _, b := range b {
				all = append(all, one(b))
			}
			return strings.Join(all, separator)
		}
	}
	base := func(n int) func(byte) string {
		return func(b byte) string { return strconv.FormatUint(uint64(b), n) }
	}
	found := make(map[string]string)
	for how, form := range map[string]func(b []byte) string{
		"raw":                 func(b []byte) string { return string(b) },
		"hexadecimal":         hex.EncodeToString,
		"spaced hexadecimal":  words(" ", func(b byte) string { return fmt.Sprintf("%02x", b) }),
		"hexadecimal numbers": words(" ", base(16)),
		"Go syntax":           words(", ", func(b byte) string { return fmt.Sprintf("%#x", b) }),
		"decimal":             words(" ", base(10)),
		"JSON":                words(",", base(10)),
		"octal":               words(" ", base(8)),
		"binary":              words(" ", base(2)),
		"code points":         words(" ", func(b byte) string { return fmt.Sprintf("u%x", b) }),
		"characters":          words(" ", func(b byte) string { return string(rune(b)) }),
		"base64":              func(b []byte) string { return base64.StdEncoding.EncodeToString(b)[:6] },
	} {
		for name, secret := range secrets {
			for at := 0; at+6 <= len(secret); at += 6 { // and so base64 is in step
				found[fmt.Sprint(name, " as ", how, " from byte ", at)] = strings.ToLower(form(secret[at : at+6]))
			}
		}
	}
	return found
}

// dressing and spaces are what package fmt puts around the numbers of a list.
var (
	dressing = regexp.MustCompile(`%!.\(uint8=|[+,)]|\b0[xbo]?0*| '.'`)
	spaces   = regexp.MustCompile(` +`)
)

// shows says whether a text shows a secret, of which these are the needles.
func shows(text string, needles map[string]string) (how string, found bool) {
	text = strings.ToLower(text)
	text += spaces.ReplaceAllString(dressing.ReplaceAllString(text, ""), " ")
	for how, needle := range needles {
		if strings.Contains(text, needle) {
			return how, true
		}
	}
	return "", false
}

// verbs are all that package fmt knows, and some that it does not.
const verbs = "vTtbcdoOqxXUeEfFgGsqp" + "wyz!"

// formatted returns what becomes of values, each text once, by the name of one that it
// became of.
func formatted(values map[string]any) map[string]string {
	texts := make(map[string]string)
	defer func() {
		seen := make(map[string]bool)
		maps.DeleteFunc(texts, func(_, text string) bool {
			again := seen[text]
			seen[text] = true
			return again
		})
	}()
	for name, v := range values {
		for _, flags := range []string{"", "+", "#", " ", "+#", "20"} {
			for _, verb := range verbs {
				format := "%" + flags + string(verb)
				texts[name+" by "+format] = fmt.Sprintf(format, v)
			}
		}
		texts[name+" printed"] = fmt.Sprint(v) + fmt.Sprintln(v)
		texts[name+" in an error"] = fmt.Errorf("it is %v: %w", v, fmt.Errorf("%+v", v)).Error()
		for coding, marshal := range map[string]func(any) ([]byte, error){"JSON": json.Marshal, "XML": xml.Marshal} {
			b, err := marshal(v)
			texts[name+" as "+coding] = fmt.Sprint(string(b), err)
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("text", "v", v, slog.Group("g", "v", v))
		slog.New(slog.NewJSONHandler(&log, nil)).Info("JSON", "v", v, slog.Group("g", "v", v))
		texts[name+" in a log"] = log.String()
	}
	return texts
}

func TestNothingPrintsASecret(t *testing.T) {
	t.Parallel()
	// Characters that print, so that no form hides them.
	client, server := []byte("Kq7xWv2mZr9tLp4sHn8dGc3fJb6yTk5w"), []byte("Xe1uPo0iQa7sWd4fRg6hYj9kUl2zMx3c")
	l, err := NewTLS13(Server, suites[0].id, client, server, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	var cache Cache
	l.SetCache(&cache)
	l.Seal(nil, []byte("a")) // so that there are ciphers
	l.reading()
	fixed := l.entry.ciphers.write.fixed
	values := map[string]any{
		"a secret":                         l.read.secret,
		"a pointer":                        &l.read.secret,
		"a layer":                          l,
		"its value":                        *l,
		"a field":                          struct{ Layer *Layer }{l},
		"unexported":                       struct{ layer Layer }{*l},
		"a pointer in an unexported field": struct{ layer *Layer }{l},
		"a list":                           []Secret{l.read.secret, l.write.secret},
		"a map":                            map[string]*Layer{"key": l},
		"half":                             l.write,
		"a cache":                          &cache,
		"an error":                         l.Open([]byte("GET / HTTP/1.1")).Err,
	}
	secrets := needles(map[string][]byte{"the client's secret": client, "the server's secret": server, "a nonce": fixed[:]})
	for name, text := range formatted(values) {
		if how, found := shows(text, secrets); found {
			t.Errorf("%s shows %s: %s", name, how, text)
		}
	}
}

// What shows looks for is really found.
func TestShows(t *testing.T) {
	secret := []byte("Kq7xWv2mZr9tLp4sHn8dGc3fJb6yTk5w")
	needles := needles(map[string][]byte{"it": secret})
	for name, text := range formatted(map[string]any{"bytes": secret, "an array": [32]byte(secret)}) {
		format := name[strings.LastIndex(name, " ")+1:]
		// A type, an address, or nothing at all.
		if strings.HasSuffix(format, "T") || strings.HasSuffix(format, "p") || format == "XML" {
			continue
		}
		if _, found := shows(text, needles); !found {
			t.Errorf("%s: not found in %s", name, text)
		}
	}
}

func TestSecret(t *testing.T) {
	for n := range maxSecret + 1 {
		var s Secret
		b := secretOf('x', n)
		s.put(b)
		if got := s.reveal(n); !bytes.Equal(got, b) {
			t.Fatalf("of %d bytes come %x, not %x", n, got, b)
		}
		if n >= 4 && bytes.Contains(s.masked[:], b[:4]) {
			t.Fatalf("%d bytes are kept as they are", n)
		}
		s.Wipe()
		if s != (Secret{}) {
			t.Fatal("a wiped secret is not empty")
		}
	}
}
