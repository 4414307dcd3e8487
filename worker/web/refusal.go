package web

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// refusal is what a request is answered that reaches no handler, as net/http answers it.
// The connection ends behind it.
type refusal struct {
	status   int
	text     string // behind the status, in its line and in the body; empty: none
	body     string // in the place of the status and the text
	before11 bool   // the request is of HTTP/1.0 (of 417 only: the rest is not told apart)
	head     bool   // the request is HEAD (of 417 only)
}

var (
	errBad           = &refusal{status: http.StatusBadRequest}
	errHostMissing   = &refusal{status: http.StatusBadRequest, text: "missing required Host header"}
	errHostMalformed = &refusal{status: http.StatusBadRequest, text: "malformed Host header"}
	errName          = &refusal{status: http.StatusBadRequest, text: "invalid header name"}
	errVersion       = &refusal{status: http.StatusHTTPVersionNotSupported, text: "unsupported protocol version"}
	errTooLarge      = &refusal{status: http.StatusRequestHeaderFieldsTooLarge}
	errCoding        = &refusal{status: http.StatusNotImplemented, body: "Unsupported transfer encoding"}
	// Ours alone:
	errLengths = &refusal{status: http.StatusBadRequest, text: "more than one length"}
	errFraming = &refusal{status: http.StatusBadRequest, text: "malformed head"}
)

// Error implements error.
func (r *refusal) Error() string { return "http: " + r.line() }

func (r *refusal) line() string {
	line := strconv.Itoa(r.status) + " " + http.StatusText(r.status)
	if r.text != "" {
		line += ": " + r.text
	}
	return line
}

// append appends the whole answer to b and returns it.
func (r *refusal) append(b []byte) []byte {
	if r.status == http.StatusExpectationFailed {
		return r.appendExpectation(b)
	}
	return fmt.Appendf(b, "HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n%s", r.line(), r.said())
}

// said is the answer's body, but for 417, which has none.
func (r *refusal) said() string {
	if r.body == "" {
		return r.line()
	}
	return r.body
}

// bodyBytes is how long the answer's body is.
func (r *refusal) bodyBytes() int64 {
	if r.status == http.StatusExpectationFailed {
		return 0
	}
	return int64(len(r.said()))
}

// appendExpectation appends what net/http answers by the way of a handler, and so with the
// lines of an ordinary answer.
func (r *refusal) appendExpectation(b []byte) []byte {
	version := "1.1"
	if r.before11 {
		version = "1.0"
	}
	b = fmt.Appendf(b, "HTTP/%s %s\r\nConnection: close\r\nDate: ", version, r.line())
	b = time.Now().UTC().AppendFormat(b, http.TimeFormat)
	if !r.head {
		b = append(b, "\r\nContent-Length: 0"...)
	}
	return append(b, "\r\n\r\n"...)
}

// isUnsupportedCoding tells whether http.ReadRequest has failed for a Transfer-Encoding
// other than chunked alone. Its error has a type that has no name outside of net/http, and
// no method by which to ask.
func isUnsupportedCoding(err error) bool {
	return fmt.Sprintf("%T", err) == "*http.unsupportedTEError"
}
