// Package docs has the pages in this folder, so that the command can show them: usher help
// and usher man.
package docs

import "embed"

// Pages are the pages, by their file names.
//
//go:embed *.md
var Pages embed.FS
