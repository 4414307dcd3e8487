package main

import (
	"fmt"
	"runtime/debug"

	"github.com/usher-go/usher/ipc"
)

type versionCommand struct{}

func (versionCommand) Run() error {
	_, err := fmt.Println(versionLine())
	return err
}

func versionLine() string { return fmt.Sprintf("usher %s (protocol %d)", version(), ipc.Version) }

// version returns the module's version as built, or devel from a checkout.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
