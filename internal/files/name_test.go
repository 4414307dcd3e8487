package files

import (
	"strings"
	"testing"
)

// What a path asks for, and which ask for nothing.
func TestNameOf(t *testing.T) {
	const none = "\x00"
	tests := []struct{ name, path, want string }{
		{"root", "/", ""},
		{"file", "/a.txt", "a.txt"},
		{"in a folder", "/a/b.txt", "a/b.txt"},
		{"folder", "/a/", "a/"},
		{"doubled slashes", "//a///b", "a/b"},
		{"doubled at the end", "/a//", "a/"},
		{"slashes alone", "///", ""},
		{"dots within a name", "/a..b/c.", "a..b/c."},
		{"backslash", `/a\b`, `a\b`},
		{"well-known", "/.well-known/acme-challenge/x", ".well-known/acme-challenge/x"},
		{"well-known alone", "/.well-known", ".well-known"},
		{"well-known after two slashes", "//.well-known/x", ".well-known/x"},
		{"well-known deeper", "/a/.well-known/x", none},
		{"like well-known", "/.well-knownx", none},
		{"dot file in well-known", "/.well-known/.x", none},
		{"up from well-known", "/.well-known/../x", none},
		{"empty", "", none},
		{"star", "*", none},
		{"relative", "a/b", none},
		{"dot file", "/.git/config", none},
		{"dot file below", "/a/.htpasswd", none},
		{"dot", "/a/./b", none},
		{"up", "/../etc/passwd", none},
		{"up in the middle", "/a/../../b", none},
		{"up at the end", "/a/..", none},
		{"up with backslashes", `/..\..\etc\passwd`, none},
		{"zero byte", "/a\x00.txt", none},
		{"zero byte at the end", "/a\x00", none},
		{"longest", "/" + strings.Repeat("a", maxName-1), strings.Repeat("a", maxName-1)},
		{"too long", "/" + strings.Repeat("a", maxName), none},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, ok := nameOf(test.path)
			if ok != (test.want != none) || ok && got != test.want {
				t.Errorf("%q: %q, %v; want %q", test.path, got, ok, test.want)
			}
		})
	}
	if n := testing.AllocsPerRun(10, func() { nameOf("/a/b/c.txt") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever the path: what is a name has no element that begins with a dot but one, no
// zero byte, no slash at the beginning, and no empty element but the last.
func FuzzNameOf(f *testing.F) {
	for _, path := range []string{"/", "/a//b/", "/../x", "/.well-known/x", "//.well-known//..", "/a\x00", `/..\x`, "*", "/%2e%2e/x", "/a/./b"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		name, ok := nameOf(path)
		if !ok {
			return
		}
		elements := strings.Split(name, "/")
		for i, element := range elements {
			wrong := strings.HasPrefix(element, ".") && (i > 0 || element != wellKnown)
			wrong = wrong || element == "" && i < len(elements)-1
			if wrong || strings.ContainsRune(element, 0) {
				t.Fatalf("%q: %q", path, name)
			}
		}
		if again, ok := nameOf("/" + name); !ok || again != name {
			t.Fatalf("%q: %q, and that is %q, %v", path, name, again, ok)
		}
	})
}
