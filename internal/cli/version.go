package cli

import "runtime/debug"

// Version is what the go command wrote into the binary: the tag of the commit that was built, a pseudo-version with the
// commit's time and hash where it has no tag, or "(devel)" where the go command did not look at the repository.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
