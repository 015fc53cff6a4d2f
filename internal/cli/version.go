package cli

import (
	"runtime/debug"
	"strings"
)

// Version is what the go command wrote into the binary: the tag of the commit that was built, a pseudo-version with the
// commit's time and hash where it has no tag, or "(devel)" where the go command did not look at the repository.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// Origin says which commit was built, of when, by which Go, as far as the binary knows: `go install` of a
// version leaves the commit out, since the version tells it.
func Origin() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	facts := []string{info.GoVersion}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			facts = append(facts, "commit "+s.Value)
		case "vcs.time":
			facts = append(facts, s.Value)
		case "vcs.modified":
			if s.Value == "true" {
				facts = append(facts, "changed since")
			}
		}
	}
	return strings.Join(facts, ", ")
}
