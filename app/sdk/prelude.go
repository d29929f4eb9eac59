package sdk

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

// Prelude is an ES5 program whose value is a function (host) that builds the surface on the
// global object, once per context, and returns an object for the engine, which scripts never
// see. It must run as global code, before the engine takes anything away. host(op, args)
// takes strings and gives what Call.Host gives.
//
//	begin(json)  -> ctx           per execution, of Call.Context
//	finish(v)    -> string        for Answer: the handler's (settled) value
//	fail(e)      -> string|""     for Answer when e is an HttpError, else ""
//	describe(e)  -> string        JSON {name, message, stack} of anything thrown, with code
//	                              when it is an exception of the SDK that nobody caught
var Prelude string

//go:embed prelude.js
var preludeCore string

// assemblePrelude puts the modules' parts into the prelude.
func assemblePrelude() string {
	var b strings.Builder
	for _, m := range Modules {
		if m.JS != "" {
			fmt.Fprintf(&b, "(function () {\n%s\n})();\n", strings.TrimSpace(m.JS))
			continue
		}
		fmt.Fprintf(&b, "lift(%q, %s);\n", m.Name, appendStrings(nil, functionNames(m)))
	}
	return strings.Replace(preludeCore, "/*MODULES*/\n", b.String(), 1)
}

// functionNames are the names of m's host functions without the module's, sorted.
func functionNames(m Module) []string {
	var list []string
	for op := range m.Funcs {
		list = append(list, strings.TrimPrefix(op, m.Name+"."))
	}
	slices.Sort(list)
	return list
}
