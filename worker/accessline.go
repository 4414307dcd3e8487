package worker

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// The lines of an access log. What is in one comes from a stranger, who must not be able to
// begin another line, or another field.

// maxAccessLine is the most bytes of a line, its line feed included: that many a pipe takes
// whole.
const maxAccessLine = pipeWrite

// accessFormat is how a line is written.
type accessFormat uint8

const (
	accessOff accessFormat = iota // not at all
	accessCombined
	accessJSON
)

// accessStamp is the time of a line, as far as it is the same for all lines of a second.
type accessStamp struct {
	second int64 // since 1970
	text   string
}

// stampOf returns the stamp of a time in the sink's format. Requests of one second share it.
func (s *accessSink) stampOf(t time.Time) string {
	second := t.Unix()
	if stamp := s.stamp.Load(); stamp != nil && stamp.second == second {
		return stamp.text
	}
	stamp := &accessStamp{second, stampAccess(t, s.format)}
	s.stamp.Store(stamp)
	return stamp.text
}

func stampAccess(t time.Time, format accessFormat) string {
	if format == accessJSON {
		return t.UTC().Format("2006-01-02T15:04:05.") // and milliseconds
	}
	return t.Local().Format("02/Jan/2006:15:04:05 -0700")
}

// fieldLimits are the most bytes that the fields of a line take that others have written.
type fieldLimits struct{ user, host, method, uri, proto, referer, userAgent int }

var (
	unlimited = fieldLimits{maxAccessLine, maxAccessLine, maxAccessLine, maxAccessLine, maxAccessLine, maxAccessLine, maxAccessLine}
	// shortened leaves some 350 bytes for all else in a line.
	shortened = fieldLimits{user: 64, host: 256, method: 32, uri: 2048, proto: 32, referer: 768, userAgent: 512}
)

// appendAccess appends the line of a in a format to b. stamp is that of a.Time.
func appendAccess(b []byte, a *Access, format accessFormat, stamp string) []byte {
	begin := len(b)
	if len(a.User)+len(a.Host)+len(a.Method)+len(a.URI)+len(a.Proto)+len(a.Referer)+len(a.UserAgent) < maxAccessLine {
		if b = appendFields(b, a, format, stamp, &unlimited); len(b)-begin <= maxAccessLine {
			return b
		}
	}
	return appendFields(b[:begin], a, format, stamp, &shortened)
}

func appendFields(b []byte, a *Access, format accessFormat, stamp string, most *fieldLimits) []byte {
	if format == accessJSON {
		return appendJSON(b, a, stamp, most)
	}
	return appendCombined(b, a, stamp, most)
}

// appendCombined appends a line as nginx writes it by its log_format combined, which is that
// of Apache httpd but for the bytes of an empty answer, 0 and not a dash.
//
//	192.0.2.1 - - [27/Nov/2026:05:08:45 +0000] "GET / HTTP/1.1" 200 13 "-" "curl/8.14.1"
//
// Quotes, backslashes, and bytes that are no printable ASCII are \xHH, and in the user's name
// blanks are, too.
func appendCombined(b []byte, a *Access, stamp string, most *fieldLimits) []byte {
	b = appendRemote(b, a, "unix:")
	b = append(b, " - "...)
	b = appendOrDash(b, a.User, most.user, &inName)
	b = append(append(append(b, " ["...), stamp...), `] "`...)
	b = appendOrDash(b, a.Method, most.method, &inQuotes)
	if a.URI != "" || a.Proto != "" { // else there was no request line
		b = append(b, ' ')
		b = appendHex(b, a.URI, most.uri, &inQuotes)
		b = append(b, ' ')
		b = appendHex(b, a.Proto, most.proto, &inQuotes)
	}
	b = append(b, `" `...)
	b = appendPadded(b, int64(a.Status), 3)
	b = append(b, ' ')
	b = strconv.AppendInt(b, a.Bytes, 10)
	b = append(b, ` "`...)
	b = appendOrDash(b, a.Referer, most.referer, &inQuotes)
	b = append(b, `" "`...)
	b = appendOrDash(b, a.UserAgent, most.userAgent, &inQuotes)
	return append(b, '"', '\n')
}

// appendJSON appends a line that is a JSON object (RFC 8259). All keys are always there, in
// this order.
//
//	{"time":"2026-11-27T05:08:45.123Z","remote":"192.0.2.1","user":"","host":"example.org","method":"GET","uri":"/",
//	 "proto":"HTTP/1.1","status":200,"bytes":13,"duration":0.000412,"referer":"","user_agent":"curl/8.14.1"}
//
// time is in UTC, duration in seconds. What is no UTF-8 is U+FFFD, as package encoding/json
// has it.
func appendJSON(b []byte, a *Access, stamp string, most *fieldLimits) []byte {
	b = append(append(b, `{"time":"`...), stamp...)
	b = appendPadded(b, int64(a.Time.Nanosecond()/1e6), 3)
	b = append(b, `Z","remote":"`...)
	b = appendRemote(b, a, "")
	for _, field := range [...]struct {
		key, text string
		most      int
	}{
		{`","user":"`, a.User, most.user},
		{`","host":"`, a.Host, most.host},
		{`","method":"`, a.Method, most.method},
		{`","uri":"`, a.URI, most.uri},
		{`","proto":"`, a.Proto, most.proto},
	} {
		b = appendJSONText(append(b, field.key...), field.text, field.most)
	}
	b = strconv.AppendInt(append(b, `","status":`...), int64(a.Status), 10)
	b = strconv.AppendInt(append(b, `,"bytes":`...), a.Bytes, 10)
	micros := max(0, a.Duration).Microseconds()
	b = strconv.AppendInt(append(b, `,"duration":`...), micros/1e6, 10)
	b = appendPadded(append(b, '.'), micros%1e6, 6)
	b = appendJSONText(append(b, `,"referer":"`...), a.Referer, most.referer)
	b = appendJSONText(append(b, `","user_agent":"`...), a.UserAgent, most.userAgent)
	return append(b, '"', '}', '\n')
}

// appendRemote appends the client's address, or what stands for that of a Unix socket. A
// zone is left out that is not the plain name of an interface: a proxy may have said
// anything.
func appendRemote(b []byte, a *Access, unix string) []byte {
	remote := a.Remote.Unmap()
	if !remote.IsValid() {
		return append(b, unix...)
	}
	const longest = 15 // IFNAMSIZ, netdevice(7)
	if zone := remote.Zone(); len(zone) > longest || inName.prefix(zone) < len(zone) {
		remote = remote.WithZone("")
	}
	return remote.AppendTo(b)
}

// appendPadded appends a number with zeros before it, if it has fewer digits than that.
func appendPadded(b []byte, n int64, digits int) []byte {
	least := int64(1)
	for range digits - 1 {
		least *= 10
	}
	for ; n >= 0 && n < least && least > 1; least /= 10 {
		b = append(b, '0')
	}
	return strconv.AppendInt(b, n, 10)
}

// plainBytes says which bytes stand for themselves.
type plainBytes [256]bool

var (
	inQuotes = printable(`"\\`)  // in a field of combined
	inName   = printable(`"\\ `) // in one that no quotes enclose
)

// printable returns the printable bytes of ASCII, but for some.
func printable(without string) (plain plainBytes) {
	for c := byte(' '); c <= '~'; c++ {
		plain[c] = true
	}
	for _, c := range []byte(without) {
		plain[c] = false
	}
	return plain
}

// prefix returns how many of the first bytes of s stand for themselves.
func (p *plainBytes) prefix(s string) int {
	for i := range len(s) {
		if !p[s[i]] {
			return i
		}
	}
	return len(s)
}

// ellipsis ends what was cut.
const ellipsis = "..."

func appendOrDash(b []byte, s string, most int, plain *plainBytes) []byte {
	if s == "" {
		return append(b, '-')
	}
	return appendHex(b, s, most, plain)
}

// appendHex appends s with the bytes as \xHH that are not plain, most bytes in all.
func appendHex(b []byte, s string, most int, plain *plainBytes) []byte {
	const digits = "0123456789ABCDEF"
	n := plain.prefix(s)
	if n == len(s) && n <= most {
		return append(b, s...)
	}
	begin, fits := len(b), len(b) // fits: with an ellipsis behind it
	for i := range len(s) {
		if c := s[i]; plain[c] {
			b = append(b, c)
		} else {
			b = append(b, '\\', 'x', digits[c>>4], digits[c&15])
		}
		if len(b)-begin > most {
			return append(b[:fits], ellipsis...)
		}
		if len(b)-begin <= most-len(ellipsis) {
			fits = len(b)
		}
	}
	return b
}

// appendJSONText appends s as it is between the quotes of a JSON string, most bytes in all.
// Besides what has to be, it escapes all that a terminal or a reader of lines could take
// for more than text: DEL, U+0080 to U+009F, U+2028 and U+2029.
func appendJSONText(b []byte, s string, most int) []byte {
	n := inQuotes.prefix(s)
	if n == len(s) && n <= most {
		return append(b, s...)
	}
	begin, fits := len(b), len(b) // fits: with an ellipsis behind it
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == utf8.RuneError && size == 1:
			b = append(b, `\ufffd`...)
		case r < ' ' || r >= 0x7f && r <= 0x9f || r == '\u2028' || r == '\u2029':
			b = appendUnicode(b, r)
		default:
			b = append(b, s[i:i+size]...)
		}
		i += size
		if len(b)-begin > most {
			return append(b[:fits], ellipsis...)
		}
		if len(b)-begin <= most-len(ellipsis) {
			fits = len(b)
		}
	}
	return b
}

// appendUnicode appends a rune below U+10000 as \uHHHH.
func appendUnicode(b []byte, r rune) []byte {
	const digits = "0123456789abcdef"
	return append(b, '\\', 'u', digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15])
}
