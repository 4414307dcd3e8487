package credentials

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/certtest"
)

// sameSession gives a client the ticket that it got last, wherever it is.
type sameSession struct{ state *tls.ClientSessionState }

func (s *sameSession) Get(string) (*tls.ClientSessionState, bool) { return s.state, s.state != nil }
func (s *sameSession) Put(_ string, state *tls.ClientSessionState) {
	if state != nil {
		s.state = state
	}
}

// A ticket is good at every listener, as far as that would let the client in by itself; it
// takes no client past what is asked for there.
func TestTicketsAtOtherListeners(t *testing.T) {
	p := newPlace(t)
	p.issue("two", certtest.Want{Names: []string{"two.example"}})
	both, demanding := p.files("one", "two"), p.files("one", "two")
	demanding.ClientCA = p.path("ca.pem")
	keys := NewTicketKeys(time.Now())
	open, strict := mustLoad(t, both), mustLoad(t, demanding)
	at := func(c *Credentials, cert string, protos ...string) *tls.Config { return c.Config(cert, protos, keys) }
	pair := p.ca.Issue(t, certtest.Want{Client: true}).TLS()
	tests := []struct {
		name          string
		first, second *tls.Config
		shows         int // handshakes for which the client has a certificate
		resumes, good bool
	}{
		{"another default certificate", at(open, "one.example"), at(open, "two.example"), 0, true, true},
		{"another protocol", at(open, "", "a"), at(open, "", "b"), 0, true, true},
		{"a certificate is asked for, and not there", at(open, ""), at(strict, ""), 0, false, false},
		{"a certificate is asked for, and is there", at(open, ""), at(strict, ""), 2, false, true},
		{"a certificate was asked for", at(strict, ""), at(open, ""), 1, false, true},
		{"a certificate was asked for here, too", at(strict, ""), at(strict, "two.example"), 1, true, true},
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, test := range tests {
			t.Run(tls.VersionName(version)+", "+test.name, func(t *testing.T) {
				client := &tls.Config{
					ServerName: "one.example", RootCAs: p.ca.Pool(), MinVersion: version, MaxVersion: version,
					ClientSessionCache: &sameSession{}, NextProtos: []string{"a", "b"},
				}
				shown := 0
				client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					if shown++; shown > test.shows {
						return new(tls.Certificate), nil
					}
					return &pair, nil
				}
				if _, serverErr, err := handshake(t, test.first, client); serverErr != nil || err != nil {
					t.Fatal(serverErr, err)
				}
				seen, serverErr, _ := handshake(t, test.second, client)
				if (serverErr == nil) != test.good || test.good && seen.DidResume != test.resumes {
					t.Errorf("resumed: %v, %v", seen.DidResume, serverErr)
				}
				if protos := test.second.NextProtos; len(protos) > 0 && seen.NegotiatedProtocol != protos[0] {
					t.Errorf("the protocol is %q", seen.NegotiatedProtocol)
				}
			})
		}
	}
}
