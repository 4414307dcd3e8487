package tlsrecord

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// maxSecret is the length of the longest key material: a traffic secret of SHA-384.
const maxSecret = 48

// Secret is key material of up to 48 bytes, for one direction of a connection: a traffic
// secret (TLS 1.3), or a key and the fixed part of its nonces (TLS 1.2). The zero value
// is none.
//
// It prints nothing by any verb of package fmt, as JSON, as text, or in a log of slog. That
// takes two things, since not all that prints asks: fmt does not call the methods of what
// it finds in another struct's unexported field, or in the argument of a wrong verb, and
// a goroutine's trace shows the words of its arguments. So the bytes are kept under a
// mask, which is drawn at random once for the process: without it they are noise.
type Secret struct {
	quiet
	masked [maxSecret]byte
}

// mask is set once, before main.
var mask = func() (m [maxSecret]byte) {
	rand.Read(m[:]) // which never fails: crypto/rand
	return m
}()

// put keeps a copy of b, which is at most maxSecret bytes.
func (s *Secret) put(b []byte) {
	s.masked = mask
	subtle.XORBytes(s.masked[:], s.masked[:len(b)], b)
}

// reveal returns a copy of the first n bytes. Whoever calls it clears it.
func (s *Secret) reveal(n int) []byte {
	b := make([]byte, n)
	subtle.XORBytes(b, s.masked[:n], mask[:])
	return b
}

// Wipe overwrites the secret.
func (s *Secret) Wipe() { clear(s.masked[:]) }

// quiet is part of what must not print: whatever asks gets one word.
type quiet struct{}

const quietWord = "[secret]"

func (quiet) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, quietWord) // as fmt's own printing, which tells nobody of errors
}
func (quiet) String() string               { return quietWord }
func (quiet) GoString() string             { return quietWord }
func (quiet) LogValue() slog.Value         { return slog.StringValue(quietWord) }
func (quiet) MarshalText() ([]byte, error) { return []byte(quietWord), nil }
