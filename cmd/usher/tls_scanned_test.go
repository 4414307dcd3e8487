package main

import (
	"context"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// What sslscan finds is what docs/tls.md says: two versions, and nine suites that are AEADs
// with ephemeral keys.
func TestScanned(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("sslscan")
	if err != nil {
		t.Skip("sslscan is not installed")
	}
	_, flags := secureFlags(t)
	s := serve(t, append(flags, "--workers", "2")...)
	address := s.until("all are ready", ready(2)).Listeners[1].Address // the first is plain
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "--no-colour", "--sni-name=both.example", address).CombinedOutput()
	if err != nil {
		t.Fatalf("sslscan: %v\n%s", err, out)
	}
	found := string(out)
	for _, want := range []string{
		`SSLv2 +disabled`, `SSLv3 +disabled`, `TLSv1.0 +disabled`, `TLSv1.1 +disabled`, `TLSv1.2 +enabled`, `TLSv1.3 +enabled`,
		`Session renegotiation not supported`, `TLSv1.2 not vulnerable to heartbleed`,
	} {
		if !regexp.MustCompile(want).MatchString(found) {
			t.Errorf("not found: %s", want)
		}
	}
	suites := regexp.MustCompile(`(?m)^(?:Preferred|Accepted) +TLSv\S+ +\d+ bits +(\S+)`).FindAllStringSubmatch(found, -1)
	if len(suites) != 9 {
		t.Errorf("%d suites, want 9", len(suites))
	}
	for _, suite := range suites {
		if name := suite[1]; !strings.HasPrefix(name, "TLS_") && !strings.HasPrefix(name, "ECDHE-") ||
			!strings.Contains(name, "GCM") && !strings.Contains(name, "POLY1305") {
			t.Errorf("suite %s", name)
		}
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}
