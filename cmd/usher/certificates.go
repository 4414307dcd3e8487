package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/usher-go/usher/master"
)

// printCertificates prints a line for each: the first is the default.
func printCertificates(w io.Writer, certificates []master.CertificateStatus) {
	for _, c := range certificates {
		names := strings.Join(c.Names, ", ")
		if names == "" {
			names = "no name"
		}
		fmt.Fprintf(w, "certificate %s for %s, expires %s\n", c.File, names, c.NotAfter.Format(time.RFC3339))
	}
}

// transportOf says what a listener's connections pass, beside what its address does.
func transportOf(l master.ListenerStatus) string {
	text := ""
	if l.TLS && !strings.HasPrefix(l.URL(), "tls://") {
		text += ", TLS"
	}
	if l.Cert != "" {
		text += ", certificate " + l.Cert
	}
	if l.Proxy {
		text += ", PROXY headers"
	}
	if l.Trust != "" {
		text += " from " + l.Trust
	}
	return text
}

// printPassages prints what became of TLS handshakes and PROXY headers, where a listener
// has them. Connections that are refused by them are among those closed.
func printPassages(w io.Writer, s master.Status) {
	n := s.Counters
	if slices.ContainsFunc(s.Listeners, func(l master.ListenerStatus) bool { return l.TLS }) {
		fmt.Fprintf(w, "TLS handshakes: %d done, %d of them resumed a session, %d refused\n",
			n["handshakes"], n["resumed"], n["handshakes_refused"])
	}
	if slices.ContainsFunc(s.Listeners, func(l master.ListenerStatus) bool { return l.Proxy }) {
		fmt.Fprintf(w, "PROXY headers refused: %d untrusted, %d malformed, %d late\n",
			n["proxy_untrusted"], n["proxy_malformed"], n["proxy_late"])
	}
}
