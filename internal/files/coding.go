package files

import (
	"strconv"
	"strings"
)

// coding is a way in which a file may lie beside another, compressed.
type coding struct {
	name   string // as in Content-Encoding
	ending string // of the file's name
}

// codings are all, the one that is taken first if a client likes several as much.
var codings = [...]coding{{"zstd", ".zst"}, {"br", ".br"}, {"gzip", ".gz"}}

// identity stands for none of the codings.
const identity = -1

// quality is how much a client likes something, in thousandths; 0: not at all.
type quality int

const unsaid quality = -1

// taste is what a client says of codings (RFC 9110, section 12.5.3).
type taste struct {
	codings  [len(codings)]quality
	identity quality
	rest     quality // of those that it does not name: "*"
}

// tasteOf reads values of Accept-Encoding. What it cannot read it takes as not said.
func tasteOf(values []string) taste {
	t := taste{identity: unsaid, rest: unsaid}
	for i := range t.codings {
		t.codings[i] = unsaid
	}
	for _, value := range values {
		for part := range strings.SplitSeq(value, ",") {
			t.take(part)
		}
	}
	return t
}

// take reads one element of the list.
func (t *taste) take(part string) {
	name, parameters, _ := strings.Cut(part, ";")
	q, ok := qualityOf(parameters)
	if !ok {
		return
	}
	name = strings.TrimSpace(name)
	switch {
	case name == "*":
		t.rest = q
	case strings.EqualFold(name, "identity"):
		t.identity = q
	}
	for i := range codings {
		if strings.EqualFold(strings.TrimPrefix(strings.ToLower(name), "x-"), codings[i].name) { // RFC 9110, section 8.4.1.3
			t.codings[i] = q
		}
	}
}

// qualityOf returns the weight among parameters: 1 if there is none.
func qualityOf(parameters string) (q quality, ok bool) {
	const most = 1000
	for parameter := range strings.SplitSeq(parameters, ";") {
		key, value, _ := strings.Cut(parameter, "=")
		if !strings.EqualFold(strings.TrimSpace(key), "q") {
			continue
		}
		value = strings.TrimSpace(value)
		weight, err := strconv.ParseFloat(value, 64)
		if err != nil || len(value) > len("0.000") || !(weight >= 0 && weight <= 1) {
			return 0, false
		}
		return quality(weight*most + 0.5), true
	}
	return most, true
}

// of returns how much it likes a coding.
func (t *taste) of(i int) quality {
	switch {
	case t.codings[i] != unsaid:
		return t.codings[i]
	case t.rest != unsaid:
		return t.rest
	}
	return 0
}

// choose returns the coding to send, of those that there are, or identity: that is sent
// when nothing else will do, too, though a client may have refused it, and to a client
// that likes it better than any other and says so.
func (t *taste) choose(there func(i int) bool) int {
	best, most := identity, quality(0)
	for i := range codings {
		if q := t.of(i); q > most && there(i) {
			best, most = i, q
		}
	}
	if t.identity > most {
		return identity
	}
	return best
}
