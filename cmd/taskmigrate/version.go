package main

import "runtime/debug"

// binaryVersion is what the go command wrote into the binary: the tag of the commit that was built, a
// pseudo-version with the commit's time and hash where it has no tag, or "(devel)" where the go command
// did not look at the repository. `go version -m taskmigrate` shows the full commit.
func binaryVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
