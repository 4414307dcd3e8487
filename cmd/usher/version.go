package main

import (
	"fmt"
	"runtime/debug"

	"github.com/usher-go/usher/ipc"
)

type versionCommand struct{}

func (versionCommand) Run() error {
	_, err := fmt.Printf("usher %s (protocol %d)\n", version(), ipc.Version)
	return err
}

// version returns the module's version as built, or devel from a checkout.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
