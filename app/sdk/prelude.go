package sdk

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

// Prelude is an ES5 program whose value is a function (host, modern) that builds the surface
// on the global object, once per context, and returns an object for the engine, which scripts
// never see. It must run as global code, before the engine takes anything away. host(op, args)
// takes strings and gives what Call.Host gives. modern(sdk) loads Modern and gives what its
// function answers; ES5 engines have none.
//
//	adapt(o)     -> function      the handler that an object with a fetch method stands for, or
//	                              undefined; only with modern
//	begin(json)  -> ctx           per execution, of Call.Context
//	finish(v)    -> string        for Answer: the handler's (settled) value; a promise of it when
//	                              that is a Response whose body is still to be read
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
		if m.JS == "" && m.Globals != nil {
			continue // all of it is in Modern
		}
		if m.JS != "" {
			fmt.Fprintf(&b, "(function () {\n%s\n})();\n", strings.TrimSpace(m.JS))
			continue
		}
		fmt.Fprintf(&b, "lift(%q, %s);\n", m.Name, appendStrings(nil, functionNames(m)))
	}
	js := strings.Replace(preludeCore, "/*GLOBALS*/", string(appendStrings(nil, modernGlobals())), 1)
	return strings.Replace(js, "/*MODULES*/\n", b.String(), 1)
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
