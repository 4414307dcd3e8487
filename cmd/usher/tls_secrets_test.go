package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/usher-go/usher/internal/certtest"
)

// secrets are bytes that nobody may read in a text, each with what it is.
type secrets map[string][]byte

// addKey adds what is private of a certificate's key.
func (s secrets) addKey(t *testing.T, name string, of *certtest.Pair) {
	t.Helper()
	switch key := of.Key.(type) {
	case *ecdsa.PrivateKey:
		private, err := key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		s["the key of "+name] = private
	case *rsa.PrivateKey:
		s["the exponent of "+name] = key.D.Bytes()
		for i, prime := range key.Primes {
			s[fmt.Sprintf("prime %d of %s", i, name)] = prime.Bytes()
		}
	default:
		t.Fatalf("%s has a key of type %T", name, key)
	}
}

// addTicketKey adds a ticket key, and what crypto/tls makes of it.
func (s secrets) addTicketKey(key []byte) {
	made := sha512.Sum512(key)
	s["a ticket key"], s["what seals tickets"] = key, made[16:]
}

// addKeyLog adds what the key log of a client has, and what follows from that: keys, nonces,
// and the secrets after a key update, which a log leaves out. serverRandom is that of a
// connection of TLS 1.2, which are to have AES-128 and SHA-256.
func (s secrets) addKeyLog(t *testing.T, name, log string, serverRandom []byte) {
	t.Helper()
	for line := range strings.Lines(log) {
		var label string
		var random, secret []byte
		if strings.HasPrefix(line, "#") {
			continue
		}
		if _, err := fmt.Sscanf(line, "%s %x %x\n", &label, &random, &secret); err != nil {
			t.Fatalf("key log of %s: %q: %v", name, line, err)
		}
		name := name + " " + label
		s[name] = secret
		switch {
		case label == "CLIENT_RANDOM":
			keys := expand12(secret, "key expansion", serverRandom, random, 40) // two keys and two nonces
			s[name+" keys"] = keys
		case strings.Contains(label, "TRAFFIC"):
			s.addTraffic(t, name, secret)
			for n := range 3 {
				secret = expand13(t, secret, "traffic upd", len(secret))
				s.addTraffic(t, fmt.Sprintf("%s after %d updates", name, n+1), secret)
			}
		}
	}
}

func (s secrets) addTraffic(t *testing.T, name string, secret []byte) {
	s[name] = secret
	for _, length := range []int{16, 32} { // of AES-128, and of the others
		s[fmt.Sprintf("%s key of %d bytes", name, length)] = expand13(t, secret, "key", length)
	}
	s[name+" nonce"] = expand13(t, secret, "iv", 12)
}

// expand13 is HKDF-Expand-Label without a context: RFC 8446, section 7.1.
func expand13(t *testing.T, secret []byte, label string, length int) []byte {
	t.Helper()
	hashed := sha256.New
	if len(secret) == sha512.Size384 {
		hashed = sha512.New384
	}
	info := append([]byte{0, byte(length), byte(len("tls13 ") + len(label))}, "tls13 "+label+"\x00"...)
	made, err := hkdf.Expand(hashed, secret, string(info), length)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// expand12 is the PRF with SHA-256: RFC 5246, section 5.
func expand12(secret []byte, label string, server, client []byte, length int) (made []byte) {
	seed := append(append([]byte(label), server...), client...)
	mac := func(parts ...[]byte) []byte {
		var h hash.Hash = hmac.New(sha256.New, secret)
		for _, part := range parts {
			h.Write(part)
		}
		return h.Sum(nil)
	}
	for a := mac(seed); len(made) < length; a = mac(a) {
		made = append(made, mac(a, seed)...)
	}
	return made[:length]
}

// piece is how much of a secret is looked for, at each multiple of it.
const piece = 8

// spelling is a way to write bytes, and what a text is to be made into to find it. The ways
// of package fmt, of JSON, of Go's strings and of dumps are among them.
type spelling struct {
	name  string
	text  func(text string) string
	write func(piece []byte) string // of piece bytes, or one more
}

var (
	betweenDigits = regexp.MustCompile(`[^0-9]+`)
	noHex         = regexp.MustCompile(`0x|\\x|[^0-9a-f]+`)
)

var spellingsOfSecrets = []spelling{
	{"raw", func(text string) string { return text }, func(piece []byte) string { return string(piece[:8]) }},
	{"quoted", func(text string) string { return text }, func(piece []byte) string {
		quoted := strconv.Quote(string(piece[:8]))
		return quoted[1 : len(quoted)-1]
	}},
	{"hexadecimal",
		func(text string) string { return noHex.ReplaceAllString(strings.ToLower(text), "") },
		func(piece []byte) string { return hex.EncodeToString(piece[:8]) }},
	{"decimal",
		func(text string) string { return betweenDigits.ReplaceAllString(text, " ") },
		func(piece []byte) string { return strings.Trim(fmt.Sprint(piece[:8]), "[]") }},
	{"base64",
		strings.NewReplacer("-", "+", "_", "/", "\n", "").Replace,
		func(piece []byte) string { return base64.StdEncoding.EncodeToString(piece[:len(piece)/3*3]) }},
	{"words of a stack", // in which functions have their arguments
		func(text string) string { return text },
		func(piece []byte) string { return fmt.Sprintf("%#x", binary.LittleEndian.Uint64(piece)) }},
}

// find returns which secrets a text tells some of, and how.
func (s secrets) find(text string) (found []string) {
	for _, spelling := range spellingsOfSecrets {
		text := []byte(spelling.text(text))
		for name, secret := range s {
			for at := 0; at+piece <= len(secret); at++ {
				// In base64 what stands where depends on what is before it.
				if spelling.name != "base64" && at%piece != 0 || at > 2 && at%piece > 2 {
					continue
				}
				if bytes.Contains(text, []byte(spelling.write(secret[at:min(len(secret), at+piece+1)]))) {
					found = append(found, fmt.Sprintf("%s from byte %d, as %s", name, at, spelling.name))
					break
				}
			}
		}
	}
	return found
}

// What a text tells of a secret is found in it, however it is written.
func TestSecretsAreFound(t *testing.T) {
	t.Parallel()
	secret := pseudo(3, 48)
	s := secrets{"it": secret, "another": pseudo(4, 32)}
	part := secret[20:40]
	var words [2]uint64
	for i := range words {
		words[i] = binary.LittleEndian.Uint64(secret[24+8*i:])
	}
	for _, told := range []string{
		string(part), fmt.Sprint(part), fmt.Sprintf("%x", part), fmt.Sprintf("% X", part), fmt.Sprintf("%#v", part),
		fmt.Sprintf("%q", part), fmt.Sprintf("%+q", fmt.Sprintf("%x", part)), hex.Dump(part), strings.ReplaceAll(fmt.Sprintf("% x", part), " ", ":"),
		"\\x" + strings.ReplaceAll(fmt.Sprintf("% x", part), " ", "\\x"), strings.ReplaceAll(fmt.Sprint(part), " ", ","),
		base64.StdEncoding.EncodeToString(part), base64.RawURLEncoding.EncodeToString(part),
		base64.StdEncoding.EncodeToString(append([]byte("x"), part...)), base64.StdEncoding.EncodeToString(append([]byte("xx"), part...)),
		fmt.Sprintf("main.f({%#x, %#x, ...}, 0x1)", words[0], words[1]),
	} {
		if found := s.find("a line\nand " + told + " and more\n"); len(found) == 0 || !strings.HasPrefix(found[0], "it from byte ") {
			t.Errorf("in %q it finds %q", told, found)
		}
	}
	if found := s.find(fmt.Sprint("nothing but other numbers ", pseudo(5, 1000), hex.EncodeToString(pseudo(6, 1000)))); len(found) > 0 {
		t.Errorf("without a secret it finds %q", found)
	}
}
