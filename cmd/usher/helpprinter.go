package main

import (
	"fmt"

	"github.com/alecthomas/kong"
)

// printHelp is kong's own, but for the place of a worker's program: that is behind the
// flags and --, where kong would show it ahead of them.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	selected := ctx.Selected()
	if selected == nil {
		for _, command := range ctx.Model.Children {
			if command.Tag.Has(settingsTag) {
				command.Positional = nil // which is of no more use: help is all that follows
			}
		}
	} else if selected.Tag.Has(settingsTag) {
		fmt.Fprintf(ctx.Stdout, "Usage: %s [flags] [-- <program> <argument> ...]\n", selected.FullPath())
		options.NoAppSummary = true
	}
	return kong.DefaultHelpPrinter(options, ctx)
}
