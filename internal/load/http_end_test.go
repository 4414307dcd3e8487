package load

import (
	"bufio"
	"io"
	"net"
	nethttp "net/http"
	"testing"
)

// httpPlan is for a server of HTTP.
func httpPlan(address string) *Plan {
	p := plan()
	p.Mode, p.Address, p.Size, p.Path = HTTP, address, 0, "/"
	return &p
}

// answering serves each request on a connection with what answer writes, until
// that says that the connection ends.
func answering(answer func(w io.Writer) (more bool)) func(net.Conn) {
	return func(c net.Conn) {
		in := bufio.NewReader(c)
		for {
			if _, err := nethttp.ReadRequest(in); err != nil {
				return
			}
			if !answer(c) {
				return
			}
		}
	}
}

func write(w io.Writer, s string) { _, _ = io.WriteString(w, s) } // the client sees what it lacks

// Answers that end with their connection, as of many a server of HTTP/1.0, and
// those with something in advance, are right.
func TestHTTPServersOfOtherKinds(t *testing.T) {
	tests := map[string]func(w io.Writer) (more bool){
		"until the end": func(w io.Writer) bool {
			write(w, "HTTP/1.0 200 OK\r\n\r\nhello")
			return false
		},
		"until the end, of nothing": func(w io.Writer) bool {
			write(w, "HTTP/1.1 200 OK\r\n\r\n")
			return false
		},
		"early hints": func(w io.Writer) bool {
			write(w, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
			write(w, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			return true
		},
	}
	for name, answer := range tests {
		for _, churn := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				p := httpPlan(serveConns(t, answering(answer)))
				p.Churn = churn
				report, err := Run(t.Context(), p, nil, nil)
				if err != nil || !report.OK || report.Requests != p.Requests || len(report.Errors) > 0 {
					t.Errorf("%+v, %v; want %d answers", report, err, p.Requests)
				}
			})
		}
	}
}

// One that breaks off before is not: neither by an end within the header nor by
// one within a body of a known length.
func TestHTTPServersThatBreakOff(t *testing.T) {
	for name, answer := range map[string]string{
		"in the header": "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n",
		"in the body":   "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
		"in advance":    "HTTP/1.1 100 Continue\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			served := 0
			p := httpPlan(serveConns(t, answering(func(w io.Writer) bool {
				if served++; served == 1 {
					write(w, answer)
				} else {
					write(w, "HTTP/1.1 200 OK\r\n\r\nhello")
				}
				return false
			})))
			p.Conns, p.Requests = 1, 3
			report, err := Run(t.Context(), p, nil, nil)
			if err != nil || report.Requests != 2 || report.Errors[KindCut] != 1 {
				t.Errorf("%+v, %v; want 2 answers, and one that was cut short", report, err)
			}
		})
	}
}
