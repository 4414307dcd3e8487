package credentials

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/certtest"
	"golang.org/x/crypto/ocsp"
)

// answer makes an OCSP answer about a certificate, by a responder, for an issuer.
func answer(t testing.TB, issuer, responder *certtest.Pair, about *x509.Certificate, change func(*ocsp.Response)) []byte {
	t.Helper()
	template := ocsp.Response{
		Status: ocsp.Good, SerialNumber: about.SerialNumber, IssuerHash: crypto.SHA1,
		ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour),
	}
	if responder != issuer {
		template.Certificate = responder.Chain[0]
	}
	if change != nil {
		change(&template)
	}
	der, err := ocsp.CreateResponse(issuer.Chain[0], responder.Chain[0], template, responder.Key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func signsOCSP(cert *x509.Certificate) {
	cert.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
}

// An answer about a certificate goes to that one; others are refused; one that is not
// valid now is left out.
func TestOCSP(t *testing.T) {
	tests := map[string]struct {
		answers func(p *place, issuer *certtest.CA) [][]byte
		err     string // of the error; empty: none
		warning string // empty: none
		stapled bool
	}{
		"none": {func(p *place, issuer *certtest.CA) [][]byte { return nil }, "", "", false},
		"good": {func(p *place, issuer *certtest.CA) [][]byte {
			return [][]byte{answer(p, &issuer.Pair, &issuer.Pair, p.one.Chain[0], nil)}
		}, "", "", true},
		"without an end": {func(p *place, issuer *certtest.CA) [][]byte {
			return [][]byte{answer(p, &issuer.Pair, &issuer.Pair, p.one.Chain[0], func(r *ocsp.Response) { r.NextUpdate = time.Time{} })}
		}, "", "", true},
		"by a responder": {func(p *place, issuer *certtest.CA) [][]byte {
			return [][]byte{answer(p, &issuer.Pair, issuer.Issue(p, certtest.Want{Change: signsOCSP}), p.one.Chain[0], nil)}
		}, "", "", true},
		"by who may not": {func(p *place, issuer *certtest.CA) [][]byte {
			return [][]byte{answer(p, &issuer.Pair, issuer.Issue(p, certtest.Want{}), p.one.Chain[0], nil)}
		}, "about DIR/one.pem: is signed by somebody whom the certificate's issuer does not let answer", "", false},
		"by another CA": {func(p *place, issuer *certtest.CA) [][]byte {
			return [][]byte{answer(p, &p.ca.Pair, &p.ca.Pair, p.one.Chain[0], nil)}
		}, "tls-ocsp DIR/0.ocsp: about DIR/one.pem: bad OCSP signature", "", false},
		"about none": {func(p *place, issuer *certtest.CA) [][]byte {
			return [][]byte{answer(p, &issuer.Pair, &issuer.Pair, p.one.Chain[0], func(r *ocsp.Response) { r.SerialNumber = big.NewInt(1) })}
		}, "tls-ocsp DIR/0.ocsp: is no OCSP answer, in DER, about one of the certificates: no response matching", "", false},
		"two": {func(p *place, issuer *certtest.CA) [][]byte {
			one := answer(p, &issuer.Pair, &issuer.Pair, p.one.Chain[0], nil)
			return [][]byte{one, one}
		}, "tls-ocsp DIR/1.ocsp: is the second answer about DIR/one.pem; name one", "", false},
		"revoked": {func(p *place, issuer *certtest.CA) [][]byte {
			return [][]byte{answer(p, &issuer.Pair, &issuer.Pair, p.one.Chain[0], func(r *ocsp.Response) { r.Status, r.RevokedAt = ocsp.Revoked, time.Now() })}
		}, "about DIR/one.pem: says that it was revoked on 20", "", false},
		"unknown": {func(p *place, issuer *certtest.CA) [][]byte {
			return [][]byte{answer(p, &issuer.Pair, &issuer.Pair, p.one.Chain[0], func(r *ocsp.Response) { r.Status = ocsp.Unknown })}
		}, "about DIR/one.pem: says that its issuer does not know it", "", false},
		"expired": {func(p *place, issuer *certtest.CA) [][]byte {
			return [][]byte{answer(p, &issuer.Pair, &issuer.Pair, p.one.Chain[0], func(r *ocsp.Response) { r.NextUpdate = time.Now().Add(-time.Minute) })}
		}, "", "tls-ocsp DIR/0.ocsp: expired on 20", false},
		"early": {func(p *place, issuer *certtest.CA) [][]byte {
			return [][]byte{answer(p, &issuer.Pair, &issuer.Pair, p.one.Chain[0], func(r *ocsp.Response) { r.ThisUpdate = time.Now().Add(time.Minute) })}
		}, "", "tls-ocsp DIR/0.ocsp: is not valid before 20", false},
		"an error": {func(p *place, issuer *certtest.CA) [][]byte { return [][]byte{ocsp.TryLaterErrorResponse} }, "error from server: try later", "", false},
		"PEM":      {func(p *place, issuer *certtest.CA) [][]byte { return [][]byte{p.one.CertPEM()} }, "is no OCSP answer, in DER, about one of the certificates; fetch it anew", "", false},
		"empty":    {func(p *place, issuer *certtest.CA) [][]byte { return [][]byte{nil} }, "tls-ocsp DIR/0.ocsp: is empty", "", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			issuer := p.ca.Intermediate(t, "middle")
			p.issue("other", certtest.Want{Names: []string{"other.example"}})
			p.one = issuer.Issue(t, certtest.Want{Names: []string{"one.example"}})
			p.one.Write(t, p.dir, "one")
			f := p.files("other", "one")
			for i, der := range test.answers(p, issuer) {
				f.OCSP = append(f.OCSP, p.write(string(rune('0'+i))+".ocsp", der))
			}
			c, warnings, err := Load(f, time.Now())
			if test.err != "" {
				if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), p.dir, "DIR"), test.err) {
					t.Errorf("%v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.ReplaceAll(strings.Join(warnings, "\n"), p.dir, "DIR"); !strings.HasPrefix(got, test.warning) || (got == "") != (test.warning == "") {
				t.Errorf("warnings %s, want %s", got, test.warning)
			}
			message := Encode(c, NewTicketKeys(time.Now()))
			restored, _, err := Decode(message)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []*Credentials{c, restored} {
				seen, _, err := handshake(t, c.Config("", nil, NewTicketKeys(time.Now())), &tls.Config{ServerName: "one.example", RootCAs: p.ca.Pool()})
				if err != nil || (len(seen.OCSPResponse) > 0) != test.stapled {
					t.Errorf("OCSP answer of %d bytes, %v", len(seen.OCSPResponse), err)
				}
			}
			if stapled := c.certificates[1].stapled; test.stapled {
				ends := c.certificates[1].stapleEnds
				if ends.IsZero() {
					ends = time.Now().Add(1000 * time.Hour)
				}
				if c.certificates[1].at(ends.Add(-time.Second)) != stapled || !c.certificates[1].stapleEnds.IsZero() && c.certificates[1].at(ends) == stapled {
					t.Error("it does not end when it expires")
				}
			}
		})
	}
}

// A certificate without that of its issuer can have no answer.
func TestOCSPNeedsTheIssuer(t *testing.T) {
	p := newPlace(t)
	f := p.files("one")
	f.OCSP = []string{p.write("one.ocsp", answer(t, &p.ca.Pair, &p.ca.Pair, p.one.Chain[0], nil))}
	_, _, err := Load(f, time.Now())
	if err == nil || !strings.Contains(err.Error(), "cannot be checked without the certificate of its issuer, which must be the second in that file") {
		t.Errorf("%v", err)
	}
	p.write("one.pem", bytes.Join([][]byte{p.one.CertPEM(), p.ca.CertPEM()}, nil))
	if _, _, err := Load(f, time.Now()); err != nil {
		t.Error(err)
	}
}
