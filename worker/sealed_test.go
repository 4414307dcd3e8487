package worker_test

import (
	"crypto/tls"
	"slices"
	"testing"
)

// What is true of plain connections is true of those with TLS: the tests of each way that
// bytes go, with crypto/tls as the client.
func TestSealed(t *testing.T) {
	for _, test := range slices.Concat(ways, streamWays) {
		if test.name == "end before the worker has it" {
			continue // a client sends nothing before its handshake
		}
		t.Run(test.name, func(t *testing.T) {
			seal(t, tls.VersionTLS13)
			test.test(t)
		})
	}
}
