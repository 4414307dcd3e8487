package web

import (
	"crypto/tls"
	"crypto/x509"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/usher-go/usher/worker"
)

// A handler finds in Request.TLS all that a connection keeps of its handshake, and what is
// not kept does no harm.
func TestConnectionState(t *testing.T) {
	leaf, issuer := &x509.Certificate{Raw: []byte("leaf")}, &x509.Certificate{Raw: []byte("issuer")}
	chain := []*x509.Certificate{leaf, issuer}
	tests := []struct {
		name string
		of   worker.TLSState
		want tls.ConnectionState
	}{
		{"nothing", worker.TLSState{}, tls.ConnectionState{HandshakeComplete: true}},
		{"all", worker.TLSState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256, ServerName: "a.example", ALPN: "http/1.1", Resumed: true, PeerCertificates: chain},
			tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256, ServerName: "a.example", NegotiatedProtocol: "http/1.1", DidResume: true, HandshakeComplete: true, PeerCertificates: chain, VerifiedChains: [][]*x509.Certificate{chain}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := connectionState(test.of)
			if diff := cmp.Diff(test.want, *got, cmpopts.IgnoreUnexported(tls.ConnectionState{}), cmpopts.IgnoreFields(tls.ConnectionState{}, "NegotiatedProtocolIsMutual"), cmp.Comparer(func(a, b *x509.Certificate) bool { return a == b })); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if key, err := got.ExportKeyingMaterial("label", nil, 32); err == nil {
				t.Errorf("%x is a key of no handshake", key)
			}
		})
	}
	all := reflect.ValueOf(tests[1].of)
	for i := range all.NumField() {
		if all.Field(i).IsZero() {
			t.Errorf("the test says nothing of %s", all.Type().Field(i).Name)
		}
	}
}
