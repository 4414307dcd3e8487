package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/usher-go/usher/internal/files"
	"github.com/usher-go/usher/master"
	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/web"
	"golang.org/x/sys/unix"
)

// filesApp is the built-in app that serves the files of a folder by HTTP. Its workers are
// started as
//
//	usher worker files ROOT [list]
//
// with the path of the folder, which is absolute and without symlinks, so that all workers
// of a generation serve the same one.
const filesApp = "files"

// listArgument has folders listed.
const listArgument = "list"

// headTimeout is how long the head of a request may take, as nginx has it.
const headTimeout = time.Minute

// newFiles returns the app, for one folder.
func newFiles(args []string) (worker.Handler, []worker.Option, error) {
	if len(args) < 1 || len(args) > 2 || len(args) == 2 && args[1] != listArgument {
		return nil, nil, fmt.Errorf("arguments are %q, want ROOT [%s]", args, listArgument)
	}
	most := descriptorsForFiles()
	h, err := files.Open(args[0], files.Options{List: len(args) == 2, MaxOpen: min(most/2, 512), MaxDescriptors: most})
	if err != nil {
		return nil, nil, err
	}
	return web.Handler(h, web.ReadHeaderTimeout(headTimeout)), []worker.Option{worker.WithReservedDescriptors(most)}, nil
}

// descriptorsForFiles returns how many descriptors of a worker are for files: a quarter. The
// rest is for connections. A file that is sent to many clients counts once.
func descriptorsForFiles() int {
	const least, most, share = 16, 4096, 4
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return least
	}
	return int(max(least, min(most, limit.Cur/share)))
}

// checkFiles refuses a root, and a list, of another app than files, and that one without a
// root.
func (v *values) checkFiles() error {
	for _, wrong := range []struct {
		key     string
		is      bool
		problem string
	}{
		{"root", v.App != filesApp && v.root != "", fmt.Sprintf("root is %s, and the app is %s: only the app %s has a root; add --app %[3]s, or leave root out", v.root, v.App, filesApp)},
		{"list", v.App != filesApp && v.list, fmt.Sprintf("list is set, and the app is %s: only the app %s lists folders; add --app %[2]s, or leave list out", v.App, filesApp)},
		{"app", v.App == filesApp && v.root == "", fmt.Sprintf("app is %s, and there is no root: add --root FOLDER, the folder to serve", filesApp)},
	} {
		if wrong.is {
			return &master.ConfigError{Key: wrong.key, Problem: wrong.problem}
		}
	}
	return nil
}

// filesArguments returns what is behind the name of the app files: the folder where root
// leads now, if that can be served.
func (r *reading) filesArguments() ([]string, error) {
	path := joined(r.directory, r.values.root)
	real, err := filepath.EvalSymlinks(path)
	var info os.FileInfo
	if err == nil {
		info, err = os.Stat(real)
	}
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a folder; name the one with the files to serve", real)
	}
	if err == nil {
		var root *os.Root
		if root, err = os.OpenRoot(real); err == nil {
			_ = root.Close() // it was to see whether that can be
		}
	}
	if err != nil {
		return nil, &master.ConfigError{Key: "root", Problem: fmt.Sprintf("root %s: %v", path, err)}
	}
	if r.values.list {
		return []string{real, listArgument}, nil
	}
	return []string{real}, nil
}
