// Package route is the table that finds the script for a host, method and path. It is
// pure, immutable once compiled, and swapped as a whole.
package route

import "picloud/app/cloud"

// Table is a compiled set of routes and domains.
type Table struct{}

// Compile builds a table. slugs are the apps reachable as /~slug/ (former slugs are not in
// it). Routes must have passed Check.
func Compile(routes []*cloud.Route, domains []*cloud.Domain, slugs map[string]cloud.AppID) (*Table, error) {
	panic("not written yet")
}

// Match is what a request found.
type Match struct {
	Route  *cloud.Route
	Params map[string]string // path parameters and the host parameter, percent-decoded
	Rest   string            // remainder of a prefix route, without its leading slash
	Path   string            // the path the app sees: without /~slug
}

// Outcome of Find.
type Outcome struct {
	Match  *Match
	Allow  []string // of a 405: the methods that the path has, sorted, HEAD beside GET
	BySlug bool     // the request came as /~slug/…
	Slug   string   // of /~slug when no such app exists (so that former slugs can redirect)
}

// Find matches. host is the Host header (port and case are ignored), path the escaped path
// of the request line. Neither Match nor Allow set: 404.
func (t *Table) Find(host, method, path string) Outcome { panic("not written yet") }

// Check validates and normalises a route's fields (Invalid names the field).
func Check(r *cloud.Route) error { panic("not written yet") }

// Overlap returns the first of others whose pattern equals r's and whose method overlaps.
func Overlap(r *cloud.Route, others []*cloud.Route) *cloud.Route { panic("not written yet") }

// CheckHost normalises an exact or wildcard host name.
func CheckHost(kind, host string) (string, error) { panic("not written yet") }
