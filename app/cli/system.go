package cli

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

func systemCommand() *cobra.Command {
	return remoteCommand("system", "Show version, sizes, load, replication and warnings of the instance", cobra.NoArgs, func(r *remote, _ []string) error {
		s, err := r.ask(http.MethodGet, "/system", nil)
		if err != nil {
			return err
		}
		if r.json {
			return writeJSON(r.out(), s)
		}
		flat := object{}
		flatten(flat, "", s)
		if err := r.showAll(flat); err != nil {
			return err
		}
		if err := r.showWear(s); err != nil {
			return err
		}
		warnings, _ := s["warnings"].([]any)
		for _, w := range warnings {
			if err := r.say("warning: %s", oneLine(textOf(w, false))); err != nil {
				return err
			}
		}
		return nil
	})
}

// showWear shows who wrote how much, as tables.
func (r *remote) showWear(system object) error {
	wear, _ := system["wear"].(object)
	for _, by := range []string{"apps", "scripts", "triggers"} {
		list, _ := wear[by].([]any)
		var rows []object
		for _, x := range list {
			row := object{}
			flatten(row, "", x.(object))
			rows = append(rows, row)
		}
		if len(rows) > 0 {
			if err := r.say("\nwritten by %s:", by); err != nil {
				return err
			}
		}
		if err := writeTable(r.out(), rows, columns("name", "state_bytes", "logs_bytes", "fsyncs")); err != nil {
			return err
		}
	}
	return nil
}

// flatten writes the fields of o into flat, those of inner objects with a dot, bytes for
// people, and lists not at all.
func flatten(flat object, prefix string, o object) {
	for name, v := range o {
		switch v := v.(type) {
		case object:
			flatten(flat, prefix+name+".", v)
		case []any:
			if name != "warnings" {
				flat[prefix+name] = v
			}
		case json.Number:
			flat[prefix+name] = v
			if n, err := v.Int64(); err == nil && strings.Contains(name, "bytes") {
				flat[prefix+name] = size(n)
			}
		default:
			flat[prefix+name] = v
		}
	}
}
