package web

import (
	"io"
	"net/http"
	"testing"
)

// BenchmarkHello is what a small answer costs beyond its request: go test -bench Hello
// -benchmem ./worker/web.
func BenchmarkHello(b *testing.B) {
	for _, bench := range []struct {
		name    string
		handler func(rw, req)
	}{
		{"sniffed", func(w rw, r req) { _, _ = io.WriteString(w, "hello, world\n") }},
		{"one field", func(w rw, r req) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, "hello, world\n")
		}},
		{"five fields", func(w rw, r req) {
			h := w.Header()
			h.Set("Content-Type", "text/plain")
			h.Set("Cache-Control", "no-store")
			h.Set("Etag", `"x"`)
			h.Set("Vary", "Accept")
			h.Set("Content-Length", "13")
			w.WriteHeader(200)
			_, _ = io.WriteString(w, "hello, world\n")
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			r, _, _ := readForTest(b, get11)
			h, wire, s := http.HandlerFunc(bench.handler), new(nullWire), new(settings)
			b.ReportAllocs()
			for b.Loop() {
				w := newResponse(r, nil, wire, s)
				h.ServeHTTP(w, r)
				w.end(nil)
			}
		})
	}
}

// nullWire takes everything.
type nullWire struct{ recorder }

func (*nullWire) send(b []byte) error             { putBuffer(b); return nil }
func (*nullWire) finish(b []byte, _ ending) error { putBuffer(b); return nil }
