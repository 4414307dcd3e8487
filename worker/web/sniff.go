package web

import (
	"net/http"
	"strings"
)

// sniffed is how many bytes of a body tell its type at most.
const sniffed = 512

// contentTypeOf is http.DetectContentType, with a shorter way for plain text: most
// answers that a handler leaves to be sniffed are short texts.
func contentTypeOf(data []byte) string {
	data = data[:min(len(data), sniffed)]
	if isPlain(data) {
		return "text/plain; charset=utf-8"
	}
	return http.DetectContentType(data)
}

// signed are the first bytes, other than control characters and those beyond ASCII, that
// begin a signature which consists of text, as "GIF89a" does.
const signed = "%.<BFGIMOPRtw"

// isPlain reports whether data is text for certain: it has no binary byte, and
// begins as no signature does. "LP" at 34 could belong to an embedded font.
func isPlain(data []byte) bool {
	if len(data) == 0 || data[0] <= ' ' || data[0] >= 0x7f || strings.IndexByte(signed, data[0]) >= 0 {
		return false
	}
	if len(data) > 35 && data[34] == 'L' && data[35] == 'P' {
		return false
	}
	for _, c := range data {
		if c < ' ' && isBinary[c] {
			return false
		}
	}
	return true
}

// isBinary are the control characters that no text has: all but tab, line feed, form
// feed, carriage return and escape (https://mimesniff.spec.whatwg.org/#binary-data-byte).
var isBinary = func() (binary [' ']bool) {
	for c := range binary {
		binary[c] = strings.IndexByte("\t\n\f\r\x1b", byte(c)) < 0
	}
	return binary
}()
