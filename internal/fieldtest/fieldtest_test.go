package fieldtest

import (
	"net/netip"
	"reflect"
	"testing"
	"time"
)

type sample struct {
	Text   string
	Flag   bool
	Number int32
	Count  uint8
	Share  float64
	Wait   time.Duration
	Peer   netip.AddrPort
	Prefix netip.Prefix
	List   []struct{ A, B int }
	To     *struct{ C uint64 }
}

func TestFill(t *testing.T) {
	var s sample
	Fill(&s)
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s is not set", v.Type().Field(i).Name)
		}
	}
	if len(s.List) != 2 || s.List[0] == s.List[1] || s.List[1].B == 0 || s.To.C == 0 {
		t.Errorf("%+v, %+v: want what differs, and is not zero", s.List, *s.To)
	}
}

func TestKnown(t *testing.T) {
	type pair struct{ A, B int }
	for name, test := range map[string]struct {
		fields map[string]string
		fails  bool
	}{
		"all":       {map[string]string{"A": "x", "B": "y"}, false},
		"one short": {map[string]string{"A": "x"}, true},
		"one more":  {map[string]string{"A": "x", "B": "y", "C": "z"}, true},
		"unsaid":    {map[string]string{"A": "x", "B": ""}, true},
	} {
		var inner testing.T
		Known(&inner, pair{}, test.fields, "what of it?")
		if inner.Failed() != test.fails {
			t.Errorf("%s: failed is %t", name, inner.Failed())
		}
	}
}
