package main

import "runtime/debug"

// version is set when a release is built: -ldflags "-X main.version=v1.2.3".
var version string

func binaryVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
