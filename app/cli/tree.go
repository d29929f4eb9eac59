package cli

import (
	"fmt"
	"strings"
)

// printTree prints a link of a chain and what it led to.
func (r *remote) printTree(link object, indent string) error {
	source := strings.TrimSpace(text(link, "source") + " " + text(link, "op"))
	_, err := fmt.Fprintf(r.out(), "%s%s  %-8s  %s  %s\n", indent, textOf(link["started_at"], true), text(link, "status"), oneLine(source), text(link, "id"))
	if err != nil {
		return err
	}
	children, _ := link["children"].([]any)
	for _, c := range children {
		if child, ok := c.(object); ok {
			if err := r.printTree(child, indent+"  "); err != nil {
				return err
			}
		}
	}
	return nil
}
