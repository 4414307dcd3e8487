package credentials

import (
	"crypto/x509"
	"net"
	"strings"
)

// names finds certificates by the names that they are for (subjectAltName): in lower case,
// *.example.com as such, IP addresses as text. Those of one name are in the order of the
// configuration.
type names map[string][]*certificate

func newNames(certificates []*certificate) names {
	byName := make(names)
	for _, one := range certificates {
		for _, name := range namesOf(one.leaf()) {
			key := lower(name)
			if list := byName[key]; len(list) == 0 || list[len(list)-1] != one { // a certificate may say a name twice
				byName[key] = append(list, one)
			}
		}
	}
	return byName
}

// namesOf returns the DNS names of a certificate as it spells them, then its IP addresses.
func namesOf(leaf *x509.Certificate) []string {
	found := append([]string{}, leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		found = append(found, ip.String())
	}
	return found
}

// find returns the certificates for a name: first those that say it, then those that have
// a * in the place of its first label (RFC 9525, section 6.3). A name that begins with *
// finds those that say just that.
func (n names) find(name string) []*certificate {
	name = lower(strings.TrimSuffix(name, "."))
	if ip := net.ParseIP(name); ip != nil {
		return n[ip.String()] // however it is spelled
	}
	exact := n[name]
	_, parent, found := strings.Cut(name, ".")
	if !found || strings.HasPrefix(name, "*.") {
		return exact
	}
	wild := n["*."+parent]
	if len(exact) == 0 {
		return wild
	}
	return append(exact[:len(exact):len(exact)], wild...)
}

// lower makes ASCII letters small: names on the wire have no others (RFC 6066, section 3).
func lower(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name)
}
