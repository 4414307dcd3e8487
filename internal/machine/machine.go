// Package machine says how much memory this process may use.
//
// Workers' connections may buffer a share of it, unless the operator says how much. It
// reads what the kernel writes (sysinfo(2), cgroups(7)), and keeps nothing.
package machine

import (
	"io/fs"
	"math"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Memory returns how many bytes of memory this process may have at most: the
// machine's, or what its control group or one above that allows, of either version
// (cgroups(7)), where that is less. What cannot be read is no limit. It reads a few
// files of the kernel's.
func Memory() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil { // it fails only for a bad pointer
		return math.MaxInt64
	}
	total := min(uint64(info.Totalram), math.MaxInt64/uint64(max(1, info.Unit))) * uint64(max(1, info.Unit))
	return min(int64(total), controlGroup(os.DirFS("/")))
}

// controlGroup returns the least limit of the control groups that this process is in.
func controlGroup(root fs.FS) int64 {
	limit := int64(math.MaxInt64)
	groups, _ := fs.ReadFile(root, "proc/self/cgroup") // none is no limit
	for line := range strings.Lines(string(groups)) {
		// hierarchy:controllers:path; version 2 has the hierarchy 0 and no controllers.
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		mount, file := "", ""
		switch controllers := strings.Split(fields[1], ","); {
		case fields[0] == "0" && fields[1] == "":
			mount, file = "sys/fs/cgroup", "memory.max"
		case slices.Contains(controllers, "memory"):
			mount, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for group := path.Join("/", fields[2]); ; group = path.Dir(group) {
			limit = min(limit, readLimit(root, path.Join(mount, group, file)))
			if group == "/" {
				break
			}
		}
	}
	return limit
}

// readLimit reads a number; "max", or nothing, is no limit.
func readLimit(root fs.FS, name string) int64 {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return math.MaxInt64
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n <= 0 {
		return math.MaxInt64
	}
	return n
}
