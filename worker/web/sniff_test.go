package web

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// FuzzContentType compares with net/http.
func FuzzContentType(f *testing.F) {
	for _, seed := range []string{"", "hello", "  <html>", "%PDF-", "GIF89a", "BM", "wOFF", "{}", "a\x00", "a\x1bb", "\xef\xbb\xbfx",
		strings.Repeat("x", 34) + "LP", strings.Repeat("\x00", 34) + "LP", "RIFFxxxxWAVE", "FORMxxxxAIFF", ".snd", "OggS\x00", "MThd\x00\x00\x00\x06",
		"\x00\x00\x00\x18ftypmp42", "    ftypmp42", "ID3", "Rar!\x1a\x07\x00", "PK\x03\x04", "true", "ttcf", "OTTO", "%!PS-Adobe-", strings.Repeat("y", 600) + "\x00"} {
		f.Add([]byte(seed))
	}
	for c := range 256 {
		f.Add([]byte{byte(c), 'a'})
		f.Add([]byte{'a', byte(c)})
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, want := contentTypeOf(data), http.DetectContentType(data); got != want {
			t.Errorf("%q is %s, net/http says %s", data, got, want)
		}
	})
}

func TestDate(t *testing.T) {
	at := time.Date(2026, 11, 27, 5, 6, 7, 999, time.FixedZone("", 3600))
	for _, test := range []struct {
		after time.Duration
		want  string
	}{
		{0, "Date: Fri, 27 Nov 2026 04:06:07 GMT\r\n"},
		{time.Second - 1000, "Date: Fri, 27 Nov 2026 04:06:07 GMT\r\n"},
		{time.Second, "Date: Fri, 27 Nov 2026 04:06:08 GMT\r\n"},
		{-time.Second, "Date: Fri, 27 Nov 2026 04:06:06 GMT\r\n"},
	} {
		if got := string(appendDate(nil, at.Add(test.after))); got != test.want {
			t.Errorf("%v later: %q", test.after, got)
		}
	}
}
