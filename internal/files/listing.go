package files

import (
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// maxListed is how many names of a folder are read for its page.
const maxListed = 10_000

// entry is a line of the page.
type entry struct {
	name   string
	size   int64
	folder bool
}

// serveFolder answers a request for a folder that has no index.html. It waits for the disk.
func (h *Handler) serveFolder(w http.ResponseWriter, r *http.Request, name string) {
	if !h.options.List {
		fail(w, http.StatusForbidden)
		return
	}
	entries, more, err := h.entries(inFolder(name))
	if err != nil {
		status := statusOf(err)
		h.options.ErrorLog.Printf("files: list: %v", err)
		fail(w, status)
		return
	}
	page := listing("/"+name, entries, more)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", fmt.Sprint(len(page)))
	if r.Method == http.MethodGet {
		_, _ = io.WriteString(w, page) // who is gone needs no page
	}
}

// entries returns what can be asked for in a folder, sorted, and whether there may be more.
func (h *Handler) entries(folder string) (entries []entry, more bool, err error) {
	f, err := h.root.OpenFile(folder, os.O_RDONLY|unix.O_NONBLOCK, 0) // a FIFO may have taken its place
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	names, err := f.Readdirnames(maxListed + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, err
	}
	more = len(names) > maxListed
	slices.Sort(names)
	for _, name := range names[:min(len(names), maxListed)] {
		visible := !strings.HasPrefix(name, ".") || folder == "." && name == wellKnown
		info, err := h.root.Stat(folder + "/" + name)
		if visible && err == nil && (info.IsDir() || info.Mode().IsRegular()) { // a symlink counts as what it leads to
			entries = append(entries, entry{name, info.Size(), info.IsDir()})
		}
	}
	return entries, more, nil
}

// listing returns the page of a folder.
func listing(path string, entries []entry, more bool) string {
	var b strings.Builder
	title := html.EscapeString(strings.ToValidUTF8(path, "\uFFFD"))
	fmt.Fprintf(&b, "<!doctype html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<title>%s</title>\n</head>\n<body>\n<h1>%[1]s</h1>\n<table>\n", title)
	if path != "/" {
		b.WriteString("<tr><td><a href=\"../\">../</a></td><td></td></tr>\n")
	}
	for _, e := range entries {
		slash, size := "", fmt.Sprint(e.size)
		if e.folder {
			slash, size = "/", ""
		}
		fmt.Fprintf(&b, "<tr><td><a href=\"./%s%s\">%s%[2]s</a></td><td align=\"right\">%[4]s</td></tr>\n",
			url.PathEscape(e.name), slash, html.EscapeString(strings.ToValidUTF8(e.name, "\uFFFD")), size)
	}
	b.WriteString("</table>\n")
	if more {
		fmt.Fprintf(&b, "<p>There are more than %d.</p>\n", maxListed)
	}
	b.WriteString("</body>\n</html>\n")
	return b.String()
}
