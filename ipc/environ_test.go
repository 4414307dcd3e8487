package ipc

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestEnviron(t *testing.T) {
	identity := Identity{Protocol: 1, Slot: 0, Generation: 12}
	ours := []string{"USHER_PROTOCOL=1", "USHER_SLOT=0", "USHER_GENERATION=12"}
	tests := []struct {
		name string
		base []string
		kept []string
	}{
		{"empty", nil, nil},
		{"others are kept, in order", []string{"B=2", "A=1", "EMPTY=", "ODD"}, []string{"B=2", "A=1", "EMPTY=", "ODD"}},
		{"the master's own are not", []string{"USHER_LISTEN=:80", "A=1", "USHER_=x", "USHER_SLOT"}, []string{"A=1"}},
		{"what is for debugging is kept", []string{"USHER_DEBUG=1", "USHER_DEBUGGER=1", "USHER_DEBUG"}, []string{"USHER_DEBUG=1"}},
		{"an identity of before is replaced", []string{"USHER_SLOT=9", "USHER_GENERATION=9"}, nil},
		{"names that are nearly ours", []string{"USHERS=1", "usher_x=1", "MY_USHER_SLOT=1"}, []string{"USHERS=1", "usher_x=1", "MY_USHER_SLOT=1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			base := slices.Clone(test.base)
			if got, want := Environ(base, identity), slices.Concat(test.kept, ours); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			if !slices.Equal(base, test.base) {
				t.Error("base was changed")
			}
		})
	}
}

func TestIdentityFromEnviron(t *testing.T) {
	tests := []struct {
		name    string
		environ []string
		want    Identity
		ok      bool
		err     string
	}{
		{"nothing", nil, Identity{}, false, ""},
		{"others only", []string{"A=1", "USHER_LISTEN=:80"}, Identity{}, false, ""},
		{"an identity", []string{"USHER_GENERATION=3", "A=1", "USHER_SLOT=2", "USHER_PROTOCOL=1"}, Identity{1, 2, 3}, true, ""},
		{"the first counts", []string{"USHER_PROTOCOL=1", "USHER_SLOT=2", "USHER_GENERATION=3", "USHER_SLOT=x"}, Identity{1, 2, 3}, true, ""},
		{"no protocol", []string{"USHER_SLOT=2", "USHER_GENERATION=3"}, Identity{}, true, "USHER_PROTOCOL is not set"},
		{"no slot", []string{"USHER_PROTOCOL=1", "USHER_GENERATION=3"}, Identity{}, true, "USHER_SLOT is not set"},
		{"no generation", []string{"USHER_PROTOCOL=1", "USHER_SLOT=2"}, Identity{}, true, "USHER_GENERATION is not set"},
		{"no number", []string{"USHER_PROTOCOL=1", "USHER_SLOT=two", "USHER_GENERATION=3"}, Identity{}, true, `USHER_SLOT="two" is not a number`},
		{"empty", []string{"USHER_PROTOCOL=", "USHER_SLOT=2", "USHER_GENERATION=3"}, Identity{}, true, `USHER_PROTOCOL="" is not a number`},
		{"negative", []string{"USHER_PROTOCOL=1", "USHER_SLOT=-2", "USHER_GENERATION=3"}, Identity{}, true, `USHER_SLOT="-2" is not a number`},
		{"too large", []string{"USHER_PROTOCOL=1", "USHER_SLOT=99999999999999999999", "USHER_GENERATION=3"}, Identity{}, true, "is not a number"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, ok, err := IdentityFromEnviron(test.environ)
			if got != test.want || ok != test.ok {
				t.Errorf("got %+v, %v; want %+v, %v", got, ok, test.want, test.ok)
			}
			if (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("got %v, want %q", err, test.err)
			}
		})
	}
}

func TestAnyIdentitySurvives(t *testing.T) {
	number := rapid.IntMin(0)
	rapid.Check(t, func(t *rapid.T) {
		identity := Identity{number.Draw(t, "protocol"), number.Draw(t, "slot"), number.Draw(t, "generation")}
		base := rapid.SliceOf(rapid.StringMatching(`(USHER_|A)[A-Z]{0,3}=?[0-9]*`)).Draw(t, "base")
		got, ok, err := IdentityFromEnviron(Environ(base, identity))
		if got != identity || !ok || err != nil {
			t.Fatalf("got %+v, %v, %v; want %+v", got, ok, err, identity)
		}
	})
}
