package deploy

import (
	"os"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func TestKubernetes(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	first, second, _ := strings.Cut(string(text), "\n---\n")
	var job batch.Job
	var service apps.Deployment
	for manifest, into := range map[string]any{first: &job, second: &service} {
		if err := yaml.UnmarshalStrict([]byte(manifest), into); err != nil { // Kubernetes' own types: no unknown field
			t.Fatal(err)
		}
	}

	rule := job.Spec.PodFailurePolicy.Rules[0]
	for code := int32(1); code <= 7; code++ {
		final := rule.Action == batch.PodFailurePolicyActionFailJob && slices.Contains(rule.OnExitCodes.Values, code)
		if tries := slices.Contains([]int32{5, 6}, code); final == tries && code != 3 { // 3: up has none
			t.Errorf("exit code %d: final %v", code, final)
		}
	}
	db := newDatabase(t)
	run := func(want int, c core.Container) {
		t.Helper()
		secrets := map[string]string{"migrate": db.migrate, "read": db.read}
		var env []string
		for _, e := range c.Env {
			env = append(env, e.Name+"="+secrets[e.ValueFrom.SecretKeyRef.Key])
		}
		must(t, want, env, "taskmigrate", c.Args...)
	}
	migrated := service.Spec.Template.Spec.InitContainers[0]
	run(3, migrated)
	run(0, job.Spec.Template.Spec.Containers[0])
	run(0, migrated)
}
