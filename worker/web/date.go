package web

import (
	"net/http"
	"sync/atomic"
	"time"
)

// dateLine is the Date field of the responses of one second (RFC 9110 section 6.6.1).
type dateLine struct {
	second int64
	line   string // "Date: Fri, 27 Nov 2026 05:06:07 GMT\r\n"
}

// today is the line that was made last, by whichever goroutine came first in its second.
var today atomic.Pointer[dateLine]

// appendDate appends the Date field of now to b. It is for any goroutine.
func appendDate(b []byte, now time.Time) []byte {
	second := now.Unix()
	d := today.Load()
	if d == nil || d.second != second {
		d = &dateLine{second, "Date: " + now.UTC().Format(http.TimeFormat) + "\r\n"}
		today.Store(d)
	}
	return append(b, d.line...)
}
