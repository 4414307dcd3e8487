package credentials

import (
	"crypto/x509"
	"fmt"
)

// clientCAs reads the CAs of which clients must show a certificate. One of several may
// have expired; what it has issued is no longer taken.
func (l *loader) clientCAs(file string) ([]*x509.Certificate, error) {
	all, err := readCertificates(settingClientCA, file)
	if err != nil {
		return nil, err
	}
	var problem error
	valid := 0
	for i, ca := range all {
		which := fmt.Sprintf("its certificate %d ", i+1)
		err := l.checkTime(settingClientCA, file, which, ca)
		if err == nil {
			valid++
		} else if problem == nil {
			problem = err
		}
		if !ca.IsCA {
			l.warn(settingClientCA, file, "%sis not one of a CA: it lets in the client that has its key, and no other", which)
		}
	}
	if valid == 0 {
		return nil, problem // no client could come in
	}
	if problem != nil {
		l.warnings = append(l.warnings, problem.Error())
	}
	return all, nil
}
