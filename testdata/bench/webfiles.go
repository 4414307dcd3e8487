package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// webFile is a size of file, and how it is asked for.
type webFile struct {
	name  string
	size  int
	conns int
}

// Of large ones some are under way when a slice ends: their bytes count.
var webFileSizes = []webFile{
	{"1 KiB", 1 << 10, 100},
	{"64 KiB", 64 << 10, 100},
	{"10 MiB", 10 << 20, 10},
}

// webFiles compares what it costs to send files.
func (b *bench) webFiles() error {
	if why := wrkMissing(); why != "" {
		b.figure("files: %s", why)
		return nil
	}
	if err := b.writeFiles(); err != nil {
		return err
	}
	instances, err := b.runAll([]*server{webNginx, webFileServer}, webWorkers, nil)
	defer func() { endAll(instances) }()
	if err != nil {
		return err
	}
	for _, f := range webFileSizes {
		slice := wrkSlice{path: "/" + f.file(), conns: f.conns}
		if f.size > 1<<20 {
			slice.size = int64(f.size)
		}
		all, err := b.inTurn(instances, b.rounds, func(i *instance) (sample, error) { return b.wrk(i, slice) })
		if err != nil {
			return err
		}
		b.compare(instances, all, "CPU per file, "+f.name, perAnswer, func(name string, s spread) {
			if name == webFileServer.name {
				b.reached(fmt.Sprintf("files of %s, %d keep-alive connections, two workers: CPU per file, to nginx with sendfile and open_file_cache", f.name, f.conns), "≤ 1.05", s.String())
			}
		})
		for n, i := range instances {
			b.figure("files of %s, %s: %v of CPU each, %.0f a second", f.name, i.server.name,
				time.Duration(median(all[n], perAnswer)).Round(10*time.Nanosecond), median(all[n], perSecond))
		}
	}
	return nil
}

// file is the name of the file: one with a type that is known, and not text, for which
// servers would add a charset or not.
func (f webFile) file() string { return fmt.Sprintf("%d.png", f.size) }

// writeFiles makes the files.
func (b *bench) writeFiles() error {
	if err := os.MkdirAll(b.filesRoot(), 0o755); err != nil {
		return err
	}
	random := rand.NewChaCha8([32]byte{})
	for _, f := range webFileSizes {
		content := make([]byte, f.size)
		_, _ = random.Read(content) // it cannot fail
		if err := os.WriteFile(filepath.Join(b.filesRoot(), f.file()), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
