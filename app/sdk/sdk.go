// Package sdk is the JavaScript surface, free of any engine: Go functions over JSON behind
// one host call, and one ES5 prelude that builds kv.collection(…) and the like.
//
// A module is one file: its host functions in Go, the part of the prelude that gives them
// their shape for scripts, and their TypeScript declarations. Modules lists them.
package sdk

import (
	"picloud/app/data"
	"picloud/app/outbound"
	"picloud/app/outbox"
)

// Version of the SDK contract.
const Version = "1.2"

// Services are what modules work on.
type Services struct {
	Data   *data.Store
	Outbox *outbox.Outbox

	HTTP     *outbound.Client // nil: no script calls other machines
	Secrets  *data.Secrets    // nil: there are none
	Requests int              // that one execution may send; 0: DefaultRequests

	// Away is told that an execution waits for another machine, and back that it goes on: it
	// uses no processor meanwhile. nil: nobody wants to know.
	Away func(async bool) (back func())
}

// Module is a part of the surface.
type Module struct {
	Name  string          // the global that scripts see
	Funcs map[string]Func // host functions by their op name ("kv.get")

	// JS is the module's part of the prelude, in ES5 strict mode and in a scope of its own; see
	// prelude.js for what it may use. When it is empty, the global gets one function for each
	// of Funcs, which passes its arguments on as they are.
	JS string
	// Modern is the module's part of the program of that name, in a block of its own behind the
	// web's classes; reveal(name, value) gives it the names that Globals lists.
	Modern  string
	Globals []string
	// Types are the module's declarations for picloud.d.ts.
	Types string
}

// Func is one host function. args is a JSON array; the answer is JSON, nil for undefined. An
// error is thrown in the script with name = its cloud.Kind; one wrapped by Fatal, and one of
// kind Internal, ends the execution and can't be caught.
type Func func(c *Call, args []byte) ([]byte, error)

// Modules lists everything a script can reach, one line a module.
var Modules = []Module{
	kvModule,
	logModule,
	deadLettersModule,
	httpModule,
	secretsModule,
	pubsubModule,
	queueModule,
	randomModule,
	timeModule,
	regexModule,
	jsonModule,
	base64Module,
	hexModule,
	urlModule,
	cryptoModule,
	webModule,
	invokeModule,
}
