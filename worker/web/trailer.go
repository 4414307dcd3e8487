package web

import (
	"net/http"
	"strings"
)

// mayTrail reports whether the field, whose name is canonical, may stand behind a body:
// those that say how the message or the connection is to be read may not (RFC 9110
// section 6.5.1). It is net/http's list.
func mayTrail(name string) bool {
	switch name {
	case "Authorization", "Cache-Control", "Connection", "Content-Encoding", "Content-Length",
		"Content-Range", "Content-Type", "Expect", "Host", "Keep-Alive", "Max-Forwards", "Pragma",
		"Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Range", "Realm", "Te",
		"Trailer", "Transfer-Encoding", "Www-Authenticate":
		return false
	}
	return !strings.HasPrefix(name, "If-")
}

// declareTrailers notes the fields that the header's Trailer names (RFC 9110 section
// 6.6.2). Their values are those of the header when the handler has returned.
func (w *response) declareTrailers() {
	for _, list := range w.header["Trailer"] {
		for name := range strings.SplitSeq(list, ",") {
			name = http.CanonicalHeaderKey(strings.Trim(name, " \t\r\n"))
			if name != "" && mayTrail(name) {
				w.trailers = append(w.trailers, name)
			}
		}
	}
}

// appendTrailer appends the trailer section (RFC 9112 section 7.1.2) and the empty line
// behind it to b: the declared fields, and those with http.TrailerPrefix.
func (w *response) appendTrailer(b []byte) []byte {
	var trailer http.Header
	for name, values := range w.header {
		if name, found := strings.CutPrefix(name, http.TrailerPrefix); found {
			if trailer == nil {
				trailer = make(http.Header)
			}
			trailer[name] = values
		}
	}
	for _, name := range w.trailers {
		if trailer == nil {
			trailer = make(http.Header)
		}
		for _, value := range w.header[name] {
			trailer.Add(name, value)
		}
	}
	return append(appendFields(b, trailer), "\r\n"...)
}
