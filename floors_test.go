package main

import (
	"os/exec"
	"strings"
	"testing"
)

// floors lists what each package of ours may import, lowest floor first. A new package gets
// a line here; an import that is not listed is a design question.
var floors = map[string]string{
	"schema":         "",
	"static":         "",
	"scripts":        "",
	"scripts/corpus": "",
	"durable":        "",
	"db":             "durable schema",
	"db/dbtest":      "db schema",
	"app/cloud":      "",
	"app/route":      "app/cloud",
	"app/outbound":   "app/cloud",
	"app/outbox":     "app/cloud db",
	"app/data":       "app/cloud app/outbox db durable",
	"app/control":    "app/cloud app/outbound app/route db",
	"app/deploy":     "app/cloud app/control app/outbox app/route db", // a deployment is one transaction over scripts and routes (control) and triggers (outbox)
	"app/sdk":        "app/cloud app/data app/outbound app/outbox db",
	"app/executor":   "app/cloud app/outbox app/sdk db", // outbox: it is outbox's Runner, whose method names outbox.Effects
	"app/portable":   "app/cloud db schema",
	"app/mdns":       "",
	"app/replica":    "durable",
	"app/web":        "app/cloud app/control app/data app/deploy app/executor app/outbound app/outbox app/portable app/route static",
	"app":            "app/cloud app/control app/data app/deploy app/executor app/mdns app/outbound app/outbox app/portable app/replica app/route app/sdk app/web db db/dbtest durable schema scripts static",
	"app/project":    "app/cloud",
	"app/torture":    "db schema", // looks into the files that a kill left; the instance itself it only knows from outside
	"app/cli":        "app app/cloud app/project app/torture durable",
	"":               "app/cli app/executor", // executor: the binary is its isolated workers, too
}

func TestFloors(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}:{{join .Imports " "}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		pkg, imports, _ := strings.Cut(strings.TrimSpace(line), ":")
		name := strings.TrimPrefix(strings.TrimPrefix(pkg, "picloud"), "/")
		allowed, known := floors[name]
		if !known {
			t.Errorf("%s has no line in floors", pkg)
		}
		for imp := range strings.FieldsSeq(imports) {
			own, ours := strings.CutPrefix(imp, "picloud/")
			if ours && !strings.Contains(" "+allowed+" ", " "+own+" ") {
				t.Errorf("%s imports %s: not on a floor below it", name, own)
			}
		}
	}
}
