package main

import (
	"fmt"
	"io"
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
