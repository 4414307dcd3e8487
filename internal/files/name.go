package files

import (
	"path"
	"strings"
)

// maxName is the longest name in bytes, as PATH_MAX of Linux is for a path.
const maxName = 4096

// wellKnown is the one folder with a dot that is served, at the root of a site (RFC 8615):
// certificates are renewed by files in it.
const wellKnown = ".well-known"

// nameOf returns the name, below the root, of what a decoded path of a URL asks for:
// without a slash at its beginning, and with one at its end if a folder is meant, which
// the root is, as "". Slashes that follow each other are one, as with nginx. It is no name
// (ok is false) if an element begins with a dot, which "." and ".." do, but for
// /.well-known; if it has a zero byte; or if it is too long. Those are not in the file
// system, as far as a client can tell.
//
// It allocates only for a path with doubled slashes.
func nameOf(urlPath string) (name string, ok bool) {
	if len(urlPath) > maxName || urlPath == "" || urlPath[0] != '/' {
		return "", false
	}
	begins, doubled := true, false
	for i := 1; i < len(urlPath); i++ {
		switch c := urlPath[i]; {
		case c == 0:
			return "", false
		case c == '/':
			doubled = doubled || begins
			begins = true
			continue
		case c == '.' && begins:
			if !isWellKnown(urlPath, i) {
				return "", false
			}
		}
		begins = false
	}
	if !doubled {
		return urlPath[1:], true
	}
	name = path.Clean(urlPath)[1:] // there are no dots for it to follow
	if name != "" && urlPath[len(urlPath)-1] == '/' {
		name += "/"
	}
	return name, true
}

// isWellKnown reports whether the element at i is the folder /.well-known.
func isWellKnown(urlPath string, i int) bool {
	rest, found := strings.CutPrefix(urlPath[i:], wellKnown)
	return found && (rest == "" || rest[0] == '/') && strings.Trim(urlPath[:i], "/") == ""
}

// isFolder reports whether a folder is asked for by this name.
func isFolder(name string) bool { return name == "" || name[len(name)-1] == '/' }

// inFolder returns the path of a folder, for os.Root.
func inFolder(name string) string {
	if name == "" {
		return "."
	}
	return strings.TrimSuffix(name, "/")
}
