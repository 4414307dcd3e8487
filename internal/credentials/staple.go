package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"
)

// A certificate may have an OCSP answer (RFC 6960), by which its CA says that it is not
// revoked, and which a handshake passes on (RFC 6066, section 8). One that is not about
// one of the certificates, or is not the CA's, or says anything but good, is a mistake of
// whoever fetched it, and refused. One that is not valid now is left out with a warning:
// clients do without, and a fetch that has failed for some days should not keep a server
// from starting.

// staple reads an OCSP answer, and gives it to the certificate that it is about.
func (l *loader) staple(file string, certificates []*certificate) error {
	answer, err := read(settingOCSP, file)
	if err != nil {
		return err
	}
	refuse := func(format string, args ...any) error {
		return &Error{settingOCSP, file, fmt.Sprintf(format, args...)}
	}
	one, err := about(answer, certificates)
	if err != nil {
		return refuse("%v; fetch it anew: openssl ocsp -respout FILE", err)
	}
	if one.stapled != nil {
		return refuse("is the second answer about %s; name one", one.file)
	}
	ends, err := one.checkStaple(answer, l.now)
	if early, is := errors.AsType[*notValidNow](err); is {
		l.warn(settingOCSP, file, "%v, and is left out; fetch it anew", early)
		return nil
	}
	if err != nil {
		return refuse("about %s: %v", one.file, err)
	}
	one.setStaple(answer, ends)
	return nil
}

// about returns the certificate that an answer is about, by its serial number alone.
func about(answer []byte, certificates []*certificate) (*certificate, error) {
	err := errors.New("there is no certificate for an OCSP answer")
	for _, one := range certificates {
		if _, err = ocsp.ParseResponseForCert(answer, one.leaf(), nil); err == nil {
			return one, nil
		}
	}
	const problem = "is no OCSP answer, in DER, about one of the certificates"
	if _, is := errors.AsType[ocsp.ResponseError](err); !is {
		if _, is := errors.AsType[ocsp.ParseError](err); !is {
			return nil, errors.New(problem) // package asn1's errors tell a reader nothing
		}
	}
	return nil, fmt.Errorf("%s: %w", problem, err)
}

// notValidNow is an answer that is too old, or too new.
type notValidNow struct{ problem string }

func (e *notValidNow) Error() string { return e.problem }

// checkStaple returns when an answer about the certificate expires, or an error: of the
// type notValidNow if it is good but for the time.
func (c *certificate) checkStaple(answer []byte, now time.Time) (ends time.Time, err error) {
	issuer, err := c.issuer()
	if err != nil {
		return ends, err
	}
	parsed, err := ocsp.ParseResponseForCert(answer, c.leaf(), issuer)
	if err != nil {
		return ends, err
	}
	if responder := parsed.Certificate; responder != nil && !responder.Equal(issuer) {
		if !slices.Contains(responder.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) { // RFC 6960, section 4.2.2.2
			return ends, errors.New("is signed by somebody whom the certificate's issuer does not let answer")
		}
	}
	switch parsed.Status {
	case ocsp.Revoked:
		return ends, fmt.Errorf("says that it was revoked on %s; replace the certificate", day(parsed.RevokedAt))
	case ocsp.Unknown:
		return ends, errors.New("says that its issuer does not know it; is it the right responder's?")
	}
	switch {
	case !parsed.NextUpdate.IsZero() && !now.Before(parsed.NextUpdate):
		return ends, &notValidNow{"expired on " + day(parsed.NextUpdate)}
	case now.Before(parsed.ThisUpdate):
		return ends, &notValidNow{"is not valid before " + day(parsed.ThisUpdate)}
	}
	return parsed.NextUpdate, nil
}

// issuer returns the certificate of the certificate's issuer.
func (c *certificate) issuer() (*x509.Certificate, error) {
	leaf := c.leaf()
	if len(c.pair.Certificate) > 1 {
		if issuer, err := x509.ParseCertificate(c.pair.Certificate[1]); err == nil && leaf.CheckSignatureFrom(issuer) == nil {
			return issuer, nil
		}
	} else if leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil {
		return leaf, nil // by itself
	}
	return nil, errors.New("cannot be checked without the certificate of its issuer, which must be the second in that file")
}

// setStaple has handshakes pass an answer on, until it expires.
func (c *certificate) setStaple(answer []byte, ends time.Time) {
	stapled := new(tls.Certificate)
	*stapled = *c.pair
	stapled.OCSPStaple = answer
	c.stapled, c.stapleEnds = stapled, ends
}
