// Package scripts holds the starter functions, in JavaScript.
package scripts

import _ "embed"

// Hello is the function that a fresh instance answers /hello with.
//
//go:embed hello.js
var Hello string
