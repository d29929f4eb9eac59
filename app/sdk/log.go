package sdk

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"picloud/app/cloud"
)

// logModule keeps lines with the execution.
var logModule = Module{
	Name:  "log",
	Funcs: map[string]Func{"log.write": logWrite},
	JS: `
function plain(v) { return typeof v === "object" && v !== null && !isArray(v) && !(v instanceof Err); }
// In fields an error is worth its words: JSON would make {} of it.
function field(name, v) { return v instanceof Err ? Text(v.name) + ": " + Text(v.message) : v; }
var hidden = "[a value that can't be shown]";
function show(v) {
  try {
    if (typeof v === "string") { return v; }
    if (v instanceof Err) { return Text(v) + (v.stack ? "\n" + Text(v.stack) : ""); }
    return typeof v === "object" ? stringify(v, field) || Text(v) : Text(v);
  } catch (e) { return hidden; }
}
// fields is v as the line's fields: "" when it is no object, undefined when it can't be shown.
function fields(v) {
  try { return plain(v) ? stringify(v, field) : ""; } catch (e) { return undefined; }
}
function logger(level) {
  var head = "[\"" + level + "\",";
  return function (message) {
    var text = show(message), more = arguments.length === 2 ? fields(arguments[1]) : "", i;
    if (more === undefined) {
      text += " " + hidden;
    } else if (more === "") {
      for (i = 1; i < arguments.length; i++) { text += " " + show(arguments[i]); }
    }
    call("log.write", head + stringify(text) + "," + (more || "null") + "]");
  };
}
function family() {
  return { debug: logger("debug"), info: logger("info"), warn: logger("warn"), error: logger("error") };
}
var asConsole = family();
asConsole.log = logger("info");
expose("log", family());
expose("console", asConsole);`,
	Types: `
/**
 * Writes a line into the execution's log, at most 1000 lines and 64 KiB. A second argument that is
 * an object is kept as the line's fields; anything else is appended to the message.
 */
type LogFunction = (message: unknown, ...more: unknown[]) => void;

/** The execution's log. */
declare const log: {
  debug: LogFunction;
  info: LogFunction;
  warn: LogFunction;
  error: LogFunction;
};

/** The same as log, under its usual name. */
declare const console: {
  log: LogFunction;
  debug: LogFunction;
  info: LogFunction;
  warn: LogFunction;
  error: LogFunction;
};`,
}

// Bounds of one execution's log, unless its limits say less.
const (
	DefaultLogLines = 1000
	DefaultLogBytes = 64 << 10 // of messages and fields
)

func logWrite(c *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	level, message, fields := a.text("the level"), a.text("the message"), a.raw()
	if a.err != nil {
		return nil, a.err
	}
	if !json.Valid(fields) {
		fields = nil
	}
	line := cloud.LogLine{At: cloud.TimeOf(time.Now()), Level: level, Message: message, Fields: fields}
	if c.invoked {
		line.Script = c.Script.Name
	}
	c.logs.add(line)
	return nil, nil
}

// logBuffer holds an execution's lines within its limits.
type logBuffer struct {
	lines     []cloud.LogLine
	most      int
	room      int // bytes left
	dropped   int
	droppedAt cloud.Time
}

func newLogBuffer(l cloud.Limits) logBuffer {
	b := logBuffer{most: DefaultLogLines, room: DefaultLogBytes}
	if l.LogLines > 0 {
		b.most = int(l.LogLines)
	}
	if l.LogBytes > 0 {
		b.room = int(l.LogBytes)
	}
	return b
}

// fieldsCut stands behind a message whose fields were too long for the room that was left.
const fieldsCut = " [its fields are too long for the log]"

// add keeps line, cut to the room that is left: first its fields go, then the end of its
// message. After the first one that was dropped, none is kept.
func (b *logBuffer) add(line cloud.LogLine) {
	if b.dropped > 0 || len(b.lines) >= b.most || b.room <= 0 {
		b.drop(line.At)
		return
	}
	if len(line.Message)+len(line.Fields) > b.room && len(line.Fields) > 0 {
		line.Message, line.Fields = line.Message+fieldsCut, nil
	}
	if len(line.Message) > b.room {
		line.Message = cutText(line.Message, b.room)
		b.room = 0
	} else {
		b.room -= len(line.Message) + len(line.Fields)
	}
	b.lines = append(b.lines, line)
}

func (b *logBuffer) drop(at cloud.Time) {
	if b.dropped == 0 {
		b.droppedAt = at
	}
	b.dropped++
}

// all are the lines, with one more that tells when some are missing.
func (b *logBuffer) all() []cloud.LogLine {
	if b.dropped == 0 {
		return b.lines
	}
	note := fmt.Sprintf("the log is full: %d more lines were dropped", b.dropped)
	return append(b.lines[:len(b.lines):len(b.lines)], cloud.LogLine{At: b.droppedAt, Level: "warn", Message: note, Fields: json.RawMessage(nil)})
}

// cutText is the beginning of s, at most n bytes and no half character.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
