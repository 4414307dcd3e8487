package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/usher-go/usher/master"
)

const runtimeVariable = "XDG_RUNTIME_DIR"

// controlPath is where a control socket is to be.
type controlPath struct {
	path    string
	private bool // its folder is in a place that others may write to, and is to be this user's alone
}

// defaultControl returns where a server has its control socket unless --control
// says.
func defaultControl() controlPath {
	if dir := os.Getenv(runtimeVariable); dir != "" {
		return controlPath{filepath.Join(dir, "usher.sock"), false}
	}
	if os.Geteuid() == 0 {
		return controlPath{"/run/usher.sock", false}
	}
	return controlPath{filepath.Join(os.TempDir(), userName(), "usher.sock"), true}
}

func userName() string { return "usher-" + strconv.Itoa(os.Geteuid()) }

// controlDefaults returns where a server of this user may have its control socket
// that was started in another environment than this one, or by an older usher: the
// likelier the earlier.
func controlDefaults() []string {
	paths := []string{defaultControl().path}
	add := func(path ...string) {
		if joined := filepath.Join(path...); !slices.Contains(paths, joined) {
			paths = append(paths, joined)
		}
	}
	if os.Geteuid() == 0 {
		add("/run/usher.sock")
	}
	add("/run/user", strconv.Itoa(os.Geteuid()), "usher.sock") // as pam_systemd(8) sets XDG_RUNTIME_DIR
	if os.Geteuid() != 0 {
		for _, folder := range []string{os.TempDir(), "/tmp"} {
			add(folder, userName(), "usher.sock")
			add(folder, userName()+".sock") // where an older usher has it
		}
	}
	return paths
}

// checkControlFolder explains a control socket that cannot be where the environment
// has it: after su(1), XDG_RUNTIME_DIR may name a folder of somebody who has left.
func checkControlFolder(control string) error {
	folder := os.Getenv(runtimeVariable)
	if _, takesOver := master.Carried(); takesOver || folder == "" || control != defaultControl().path {
		return nil
	}
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("control socket %s: there is no folder %s, which $%s names; unset that, or give another path with --control", control, folder, runtimeVariable)
	}
	return nil
}
