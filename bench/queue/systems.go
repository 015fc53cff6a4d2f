package main

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"runtime/debug"
)

const (
	ours         = "taskwork"
	riverDefault = "river"
	riverFast    = "river, 1 ms"
	graphile     = "graphile-worker"
	pgBoss       = "pg-boss"
	handWritten  = "gorm, by hand"
)

// system is a job queue, and how to ask it what is not completed.
type system struct {
	name string
	left string
	node bool
}

var systems = []system{
	{name: ours, left: "SELECT count(*) FROM tasks WHERE status <> 2"},
	{name: riverDefault, left: "SELECT count(*) FROM river_job WHERE state <> 'completed'"},
	{name: riverFast, left: "SELECT count(*) FROM river_job WHERE state <> 'completed'"},
	{name: graphile, left: "SELECT count(*) FROM graphile_worker._private_jobs", node: true},
	{name: pgBoss, left: "SELECT count(*) FROM pgboss.job WHERE name = 'task' AND state <> 'completed'", node: true},
	{name: handWritten, left: "SELECT count(*) FROM tasks WHERE status <> 2"},
}

// chosen returns the systems to measure: ours always, those written for Node where it is there.
func chosen(o options) (all []system) {
	_, err := exec.LookPath("node")
	for _, s := range systems {
		if s.name != ours && !o.systems.MatchString(s.name) || s.node && err != nil {
			continue
		}
		all = append(all, s)
	}
	return all
}

// versions tells those of the peers.
func versions() (map[string]string, error) {
	all := make(map[string]string)
	info, _ := debug.ReadBuildInfo()
	for _, m := range info.Deps {
		if name := map[string]string{"github.com/riverqueue/river": "River", "gorm.io/gorm": "GORM"}[m.Path]; name != "" {
			all[name] = m.Version
		}
	}
	data, err := os.ReadFile("node/package.json")
	if err != nil {
		return nil, err
	}
	var node struct {
		Dependencies map[string]string `json:"dependencies"`
	}
	err = json.Unmarshal(data, &node)
	maps.Copy(all, node.Dependencies)
	return all, err
}
