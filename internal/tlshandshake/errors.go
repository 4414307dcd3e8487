package tlshandshake

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"unicode"
)

// Reason is why a handshake has failed, in a few words: a counter or a log can be kept by
// it, since there are only these.
type Reason string

// All but Internal are the peer's doing.
const (
	NotTLS             Reason = "not TLS"
	PlainHTTP          Reason = "plain HTTP"
	UnsupportedVersion Reason = "unsupported version"
	NoSharedCipher     Reason = "no shared cipher"   // or key exchange, or kind of signature
	NoSharedProtocol   Reason = "no shared protocol" // of ALPN
	NoCertificate      Reason = "no certificate"     // of the client's, where one is required
	BadCertificate     Reason = "bad certificate"    // of the client's
	Refused            Reason = "refused by peer"    // it has sent an alert
	Malformed          Reason = "malformed"          // anything else that breaks the protocol
	Closed             Reason = "closed"             // the peer has finished sending
	Timeout            Reason = "timeout"            // for the caller, which has the clock, to say
	Internal           Reason = "internal"           // our own doing
)

// Error is why a handshake has failed. Its text is at most maxText printable bytes, though a
// part of it may be what the peer has chosen; no secret is in it.
type Error struct {
	Reason Reason
	text   string
	answer string
}

// maxText bounds the text of an Error. crypto/tls quotes lists of the client's, which may
// take tens of kilobytes.
const maxText = 200

func (e *Error) Error() string { return "tlshandshake: " + string(e.Reason) + ": " + e.text }

// Ours reports whether the peer has had no part in it: an operator, or a developer, must act.
func (e *Error) Ours() bool { return e.Reason == Internal }

// Answer returns what to send before the connection is closed, or nil.
func (e *Error) Answer() []byte {
	if e.answer == "" {
		return nil
	}
	return []byte(e.answer)
}

var (
	errAbandoned = &Error{Reason: Closed, text: "the connection is closed"}
	errOverfed   = internal("more was fed than may be held")
	errGoexit    = internal("a callback has ended its goroutine")
)

// internal returns an error that is our own doing.
func internal(format string, args ...any) *Error {
	return &Error{Reason: Internal, text: printable(fmt.Sprintf(format, args...))}
}

// texts tells reasons by how the text of crypto/tls's error begins, for its errors have
// no types. What is not in it, and is crypto/tls's, is the peer's breach of the protocol.
var texts = []struct {
	prefix string
	reason Reason
}{
	{"remote error: ", Refused},
	{"local error: ", Malformed},
	{"tls: first record does not look like a TLS handshake", NotTLS},
	{"tls: unsupported SSLv2 handshake", UnsupportedVersion},
	{"tls: client offered only unsupported versions", UnsupportedVersion},
	{"tls: client using inappropriate protocol fallback", UnsupportedVersion},
	{"tls: no cipher suite supported by both", NoSharedCipher},
	{"tls: no key exchanges supported by both", NoSharedCipher},
	{"tls: peer doesn't support", NoSharedCipher},
	{"tls: client requested unsupported application protocols", NoSharedProtocol},
	{"tls: client didn't provide a certificate", NoCertificate},
	{"tls: failed to verify certificate", BadCertificate},
	{"tls: failed to parse client certificate", BadCertificate},
	{"tls: client sent certificate", BadCertificate},
	{"tls: client certificate", BadCertificate},
	{"tls: invalid signature by the client certificate", BadCertificate},
	{"tls: no certificates configured", Internal},
	{"tls: internal error", Internal},
	{"tls: failed to sign", Internal},
	{"tls: unsupported signing key", Internal},
	{"tls: unsupported decryption key", Internal},
	{"tls: unsupported certificate", Internal},
	{"tls: certificate ", Internal},
	{"tls: CurvePreferences", Internal},
	{"tls: ", Malformed},
}

// classify makes an Error of what crypto/tls has returned.
func classify(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e // of Read or Write
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{Reason: Closed, text: "the peer has closed the connection"}
	}
	e := &Error{Reason: Internal, text: printable(err.Error())} // a callback's, if nothing fits
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		e.Reason = BadCertificate
		return e
	}
	for _, t := range texts {
		if strings.HasPrefix(e.text, t.prefix) {
			e.Reason = t.reason
			break
		}
	}
	return e
}

// panicked makes an Error of a panic in crypto/tls or a callback. It says where it
// happened, and what only if that is the runtime's: other values may hold anything.
func panicked(value any) *Error {
	what := fmt.Sprintf("%T", value)
	if err, ok := value.(runtime.Error); ok {
		what = err.Error()
	}
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		frame, more := frames.Next()
		if !strings.HasPrefix(frame.Function, "runtime.") || !more {
			return internal("panic: %s, in %s, line %d", what, frame.Function, frame.Line)
		}
	}
}

// printable cuts text, and replaces what a log should not have.
func printable(text string) string {
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "..."
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}
