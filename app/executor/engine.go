package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"picloud/app/cloud"
	"picloud/app/sdk"
)

// Engine compiles scripts and makes contexts to run them in. A new engine is one file that
// implements it and a line in engines.
type Engine interface {
	// Compile prepares a script once. The error is Invalid and names line and column.
	Compile(name, source string) (Program, error)
	// CompileModule is Compile for a script that others import.
	CompileModule(name, source string) (Program, error)
	// NewContext makes a context with the SDK in it, locked down, for a program that the same
	// engine compiled. The script's own top level has not run yet.
	// The modules are all that it imports, directly or through each other.
	NewContext(p Program, l cloud.Limits, modules ...Program) (Context, error)
}

// Program is a compiled script; any number of contexts share it.
type Program interface {
	// Bytes is about what it takes in memory.
	Bytes() int
	// Imports are the names of the modules that it imports itself.
	Imports() []string
}

// Context runs one script. It is used by one goroutine at a time.
type Context interface {
	// Run answers what the prelude's finish (or fail) wrote for one execution. The first Run
	// also runs the script's top level.
	Run(h Host, b Budget) (finished string, fail *Failure)
	// Spent reports that the context must not be used again.
	Spent() bool
	// Memory is about what the context takes between runs, in bytes.
	Memory() int64
	// Close frees everything the context holds.
	Close()
}

// Host is the script's way out. *sdk.Call is the real one.
type Host interface {
	Context() []byte
	Host(op, args string) (out string, fatal error)
}

// Budget is what one run may use. Limits are resolved: no zero means "default" here.
type Budget struct {
	Ctx      context.Context
	Deadline time.Time
	Limits   cloud.Limits
	Nested   int     // how many scripts of the execution wait for this run
	Within   Context // of the script that waits for it; nil for the first
	Stint    *stint  // of the execution; may be nil
}

// Failure is why a run has no answer.
type Failure struct {
	Err    error        // for the Result: what the caller may know
	Trace  *cloud.Trace // for the author
	Thrown *sdk.Thrown  // what the script threw, for the script that invoked it
	Stuck  bool         // the engine could not stop it: the script must not be admitted again
}

// The verdicts that end a script whether it wants to or not.
func verdictTime(file string) *Failure {
	return verdict(file, cloud.Timeout, "the time limit was reached")
}

func verdictOperations(file string, limit int64) *Failure {
	return verdict(file, cloud.BudgetExceeded, "the operation budget of "+strconv.FormatInt(limit, 10)+" was used up")
}

func verdictMemory(file string, limit int64) *Failure {
	return verdict(file, cloud.BudgetExceeded, "the memory limit of "+strconv.FormatInt(limit>>20, 10)+" MiB was reached")
}

const stopping = "the instance is stopping: try again in a moment"

// calledOff is the verdict of a run whose context is over.
func calledOff(file string, ctx context.Context) *Failure {
	if ctx != nil && errors.Is(ctx.Err(), context.Canceled) {
		return verdict(file, cloud.Overloaded, stopping)
	}
	return verdictTime(file)
}

func verdict(file string, k cloud.Kind, message string) *Failure {
	return &Failure{Err: cloud.Errorf(k, "%s", message), Trace: &cloud.Trace{Message: message, File: file}}
}

// thrown is the failure of a script that threw: its message is for the author alone.
func thrown(t *cloud.Trace) *Failure {
	return &Failure{Err: cloud.Errorf(cloud.ScriptError, "the script failed; its log has the details"), Trace: t}
}

// described is the failure of what the prelude's describe told; files are the script's and its
// modules'; own makes a stack one of the user's own lines.
func described(s string, files []string, own func(string) string) *Failure {
	var d struct{ Name, Message, Stack, Code string }
	if json.Unmarshal([]byte(s), &d) != nil {
		d.Message = "an exception that can't be described"
	}
	t := &cloud.Trace{Message: clip(d.Message, 4096), Stack: clip(own(withoutPrelude(d.Stack)), 8192)}
	if d.Name != "" {
		t.Message = d.Name + ": " + t.Message
	}
	t.File, t.Line, t.Column = locateAny(t.Stack, files)
	f := thrown(t)
	f.Thrown = &sdk.Thrown{Name: d.Name, Message: clip(d.Message, 4096), Stack: t.Stack, Code: d.Code}
	if d.Code == string(cloud.BudgetExceeded) { // of the SDK, and let through
		f.Err = cloud.Errorf(cloud.BudgetExceeded, "%s", d.Message)
	}
	return f
}

// hostFailure is the failure of a run that a host call ended. err stays in the chain: outbox
// looks for its Contended.
func hostFailure(err error, file string) *Failure {
	if errors.Is(err, context.Canceled) {
		return verdict(file, cloud.Overloaded, stopping)
	}
	if inner, ok := errors.AsType[*calleeFailure](err); ok && inner.trace != nil {
		trace := *inner.trace
		return &Failure{Err: err, Trace: &trace}
	}
	return &Failure{Err: err, Trace: &cloud.Trace{Message: cloud.Message(err), File: file}}
}

func noHandler(file string) *Failure {
	return thrown(&cloud.Trace{Message: "the script exports no handler: export default function (ctx) { … }, or module.exports = function (ctx) { … }", File: file})
}

const requireMessage = "a script can't require modules: everything there is to use is built in"

// touchesData says whether an operation's outcome belongs to one execution. A script's top
// level runs once for many, so it may only compute and log.
func touchesData(op string) bool {
	module, _, _ := strings.Cut(op, ".")
	return slices.Contains(dataModules, module)
}

// dataModules are those with data, effects, secrets, or calls to the outside.
var dataModules = []string{"ctx", "deadLetters", "http", "invoke", "kv", "secrets"}

// dataWhileLoading is the exception, as the prelude reads it, for such an operation there.
func dataWhileLoading(op string) string {
	return `!["invalid","` + op + ` can't be used while the script loads: call it inside the handler"]`
}

// scriptFile is the name of a script's source in stacks.
func scriptFile(name string) string { return name + ".js" }

// notCompiled is the Invalid error of a source that does not compile.
func notCompiled(file string, line, column int, message string) error {
	if line == 0 {
		return cloud.Errorf(cloud.Invalid, "%s does not compile: %s", file, message)
	}
	return cloud.Errorf(cloud.Invalid, "%s does not compile: line %d, column %d: %s", file, line, column, message)
}

// locate finds the first position in a stack that is in file.
func locate(stack, file string) (line, column int) {
	for l := range strings.Lines(stack) {
		i := strings.LastIndex(l, file+":")
		if i < 0 {
			continue
		}
		rest := strings.TrimRight(l[i+len(file)+1:], ") \n")
		ln, col, _ := strings.Cut(rest, ":")
		if line, _ = strconv.Atoi(ln); line > 0 {
			column, _ = strconv.Atoi(col)
			return line, column
		}
	}
	return 0, 0
}

// locateAny finds the first position in a stack that is in one of files; the file is the
// first of them when there is none.
func locateAny(stack string, files []string) (file string, line, column int) {
	for l := range strings.Lines(stack) {
		for _, file := range files {
			if line, column = locate(l, file); line > 0 {
				return file, line, column
			}
		}
	}
	return files[0], 0, 0
}

// clip cuts s to n bytes, whole characters, and says so.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n] + "…"
}

// engineFault is a panic in the engine or in a host function: the platform's fault.
func engineFault(what string, r any) error {
	return fmt.Errorf("%s: panic: %v\n%s", what, r, clip(string(debug.Stack()), 4096))
}
