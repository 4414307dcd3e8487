package web

import (
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

// head is the head of a response while it is made: the status line and the handler's
// fields, as they were when the status was written, and what was seen in them. Whether
// some of the lines may stay is known only later, when the first bytes of the body are
// here; then they are cut out, so that the header need not be copied for that.
//
//	HTTP/1.1 200 OK | A: … | Connection: … | Content-Length: … | T: … | Transfer-Encoding: … ║ Date: … | …
//	                        └────── the lines that may have to go ──────────────────────────┘ ║ our own
type head struct {
	connection       field
	contentLength    field
	transferEncoding field
	contentType      bool // is set, be it to nothing
	date             bool // likewise
	encoded          bool // has a Content-Encoding: a body that is not to be sniffed
	upgrade          bool // 101, and the fields that belong to it
	trailer          bool // fields are to come behind the body
}

// field is one of the fields that may have to go again.
type field struct {
	set        bool   // is in the header, be it with no value
	value      string // its first value, as the handler wrote it
	start, end int    // its lines in the head
}

// entry is one field of a header.
type entry struct {
	name   string
	values []string
}

// usualFields is how many fields a response has at most for the sorting to cost no
// allocation.
const usualFields = 16

// compose appends status line and lines of header for a response of the status to b, and
// notes what it saw. As net/http it leaves out names that are none, has spaces for line
// ends within values, and tells no type of what was not modified.
func (h *head) compose(b []byte, http11 bool, status int, header http.Header) []byte {
	b = appendStatusLine(b, http11, status)
	if len(header) == 0 {
		return b
	}
	var room [usualFields]entry
	for _, e := range sortedFields(room[:0], header) {
		switch e.name {
		case "Connection":
			b = h.connection.compose(b, e)
		case "Content-Length":
			b = h.contentLength.compose(b, e)
		case "Transfer-Encoding":
			b = h.transferEncoding.compose(b, e)
		case "Content-Type":
			h.contentType = true
			if status != http.StatusNotModified {
				b = appendLines(b, e)
			}
		default:
			h.note(e)
			b = appendLines(b, e)
		}
	}
	if status == http.StatusSwitchingProtocols {
		h.upgrade = header.Get("Upgrade") != "" && slices.ContainsFunc(header["Connection"], func(list string) bool { return hasToken(list, "upgrade") })
	}
	return b
}

// note remembers what matters of a field that stays.
func (h *head) note(e entry) {
	switch e.name {
	case "Date":
		h.date = true
	case "Content-Encoding":
		h.encoded = len(e.values) > 0 && e.values[0] != ""
	case "Trailer":
		h.trailer = h.trailer || len(e.values) > 0
	default:
		h.trailer = h.trailer || strings.HasPrefix(e.name, http.TrailerPrefix)
	}
}

// compose appends the field's lines to b and notes where they are.
func (f *field) compose(b []byte, e entry) []byte {
	f.set = true
	if len(e.values) > 0 {
		f.value = e.values[0]
	}
	f.start = len(b)
	b = appendLines(b, e)
	f.end = len(b)
	return b
}

// cut takes the field's lines out of b. Fields that stand behind it in b are to be cut
// first.
func (f *field) cut(b []byte) []byte {
	if f.end > f.start {
		b = slices.Delete(b, f.start, f.end)
	}
	*f = field{}
	return b
}

// sortedFields appends the fields of header to room, in the order of their names.
func sortedFields(room []entry, header http.Header) []entry {
	for name, values := range header {
		room = append(room, entry{name, values})
	}
	if len(room) > usualFields {
		slices.SortFunc(room, func(a, b entry) int { return strings.Compare(a.name, b.name) })
		return room
	}
	for i := 1; i < len(room); i++ {
		for j := i; j > 0 && room[j].name < room[j-1].name; j-- {
			room[j], room[j-1] = room[j-1], room[j]
		}
	}
	return room
}

// appendFields appends the lines of header to b, in the order of their names.
func appendFields(b []byte, header http.Header) []byte {
	var room [usualFields]entry
	for _, e := range sortedFields(room[:0], header) {
		b = appendLines(b, e)
	}
	return b
}

// appendLines appends a line for each value of a field to b.
func appendLines(b []byte, e entry) []byte {
	if !isToken(e.name) {
		return b
	}
	for _, value := range e.values {
		b = append(b, e.name...)
		b = append(b, ": "...)
		b = appendValue(b, value)
		b = append(b, "\r\n"...)
	}
	return b
}

// appendValue appends a field's value to b, without the white space around it, and with
// spaces for the line ends in it: what a handler puts there makes no field of its own.
func appendValue(b []byte, value string) []byte {
	start := len(b)
	b = append(b, textproto.TrimString(value)...)
	for i, c := range b[start:] {
		if c == '\n' || c == '\r' {
			b[start+i] = ' '
		}
	}
	return b
}

// appendStatusLine appends a status line (RFC 9112 section 4) to b.
func appendStatusLine(b []byte, http11 bool, status int) []byte {
	if http11 && status == http.StatusOK {
		return append(b, "HTTP/1.1 200 OK\r\n"...)
	}
	if http11 {
		b = append(b, "HTTP/1.1 "...)
	} else {
		b = append(b, "HTTP/1.0 "...)
	}
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	if text := http.StatusText(status); text != "" {
		b = append(b, text...)
	} else {
		b = append(b, "status code "...)
		b = strconv.AppendInt(b, int64(status), 10)
	}
	return append(b, "\r\n"...)
}

// bodyAllowed reports whether a response of the status may have a body (RFC 9110 section
// 6.4.1).
func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// isToken reports whether name can be that of a field (RFC 9110 section 5.6.2).
func isToken(name string) bool {
	for i := range len(name) {
		if !inToken[name[i]] {
			return false
		}
	}
	return name != ""
}

// inToken are the characters of tokens.
var inToken = func() (in [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") {
		in[c] = true
	}
	return in
}()

// hasToken reports whether token, which is in lower case, is one of those in value, as
// net/http splits it: at commas, spaces and tabs.
func hasToken(value, token string) bool {
	for len(value) >= len(token) {
		end := strings.IndexAny(value, ", \t")
		if end < 0 {
			end = len(value)
		}
		if end == len(token) && equalFold(value[:end], token) {
			return true
		}
		value = value[min(end+1, len(value)):]
	}
	return false
}

// equalFold reports whether s is lower, which is in lower case and as long, but for the
// case of its ASCII letters.
func equalFold(s, lower string) bool {
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
