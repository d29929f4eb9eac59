package sdk

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// timeModule computes with instants, in UTC everywhere. An instant is milliseconds since 1970
// or text in RFC 3339.
var timeModule = Module{
	Name: "time",
	Funcs: map[string]Func{
		"time.now":         timeNow,
		"time.nowMs":       timeNowMs,
		"time.parse":       timeParse,
		"time.format":      timeFormat,
		"time.addSeconds":  timeAddSeconds,
		"time.diffSeconds": timeDiffSeconds,
	},
	Types: `
/** An instant: milliseconds since 1970, or text in RFC 3339 such as "2026-01-02T15:04:05Z". */
type Instant = number | string;

/** Instants, in UTC everywhere. */
declare const time: {
  /** Now, as "2026-01-02T15:04:05.000Z". */
  now(): string;
  /** Now, in milliseconds since 1970. */
  nowMs(): number;
  /** Reads RFC 3339, or a date such as "2026-01-02", into milliseconds since 1970. */
  parse(text: string): number;
  /**
   * Writes t by a layout as strftime has it: %Y %m %d %H %M %S %L (milliseconds) %e %j %y %I %p
   * %a %A %b %B %u %w %s %Z %z %F %T %%. Without one: "2026-01-02T15:04:05.000Z".
   */
  format(t: Instant, layout?: string): string;
  /** t plus n seconds (fractions are fine), in the form that t has. */
  addSeconds<T extends Instant>(t: T, n: number): T extends number ? number : string;
  /** The seconds of a minus b: positive when a is the later one. */
  diffSeconds(a: Instant, b: Instant): number;
};`,
}

const isoLayout = "2006-01-02T15:04:05.000Z"

// The years that RFC 3339 can write, in milliseconds.
var (
	firstMs = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	lastMs  = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli() - 1
)

func timeNow(*Call, []byte) ([]byte, error) { return isoOut(time.Now().UnixMilli()), nil }

func timeNowMs(*Call, []byte) ([]byte, error) {
	return strconv.AppendInt(nil, time.Now().UnixMilli(), 10), nil
}

func timeParse(_ *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	text := a.text("the time")
	if a.err != nil {
		return nil, a.err
	}
	ms, err := parseTime(text)
	return strconv.AppendInt(nil, ms, 10), err
}

func timeFormat(_ *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	ms, _ := a.instant("t")
	layout := a.optionalText("layout")
	if a.err != nil {
		return nil, a.err
	}
	if layout == "" {
		return isoOut(ms), nil
	}
	text, err := strftime(time.UnixMilli(ms).UTC(), layout)
	return textOut(text), err
}

func timeAddSeconds(_ *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	ms, isText := a.instant("t")
	seconds := a.number("n", math.NaN())
	if a.err == nil && math.IsNaN(seconds) {
		a.wrong("n", "a number of seconds", nil)
	}
	sum := float64(ms) + math.Round(seconds*1000)
	if a.err == nil && (sum < float64(firstMs) || sum > float64(lastMs)) {
		a.err = invalid("the sum lies outside of the years 0 to 9999")
	}
	switch {
	case a.err != nil:
		return nil, a.err
	case isText:
		return isoOut(int64(sum)), nil
	}
	return numberOut(sum), nil
}

func timeDiffSeconds(_ *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	first, _ := a.instant("a")
	second, _ := a.instant("b")
	if a.err != nil {
		return nil, a.err
	}
	return numberOut(float64(first-second) / 1000), nil
}

// instant is the next argument: milliseconds, or text in RFC 3339.
func (a *args) instant(name string) (ms int64, isText bool) {
	v := a.raw()
	if a.err != nil {
		return 0, false
	}
	if text, ok := unquote(v); ok {
		ms, a.err = parseTime(text)
		return ms, true
	}
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil || f < float64(firstMs) || f > float64(lastMs) {
		a.wrong(name, "milliseconds since 1970 or text in RFC 3339", v)
		return 0, false
	}
	return int64(math.Floor(f)), false
}

func parseTime(text string) (int64, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t, err = time.Parse(time.DateOnly, text)
	}
	if ms := t.UnixMilli(); err == nil && ms >= firstMs && ms <= lastMs {
		return ms, nil
	}
	return 0, invalid("%.60q is not a time: write RFC 3339, such as \"2026-01-02T15:04:05Z\"", text)
}

func isoOut(ms int64) []byte { return textOut(time.UnixMilli(ms).UTC().Format(isoLayout)) }

// directives are what a % stands for, as Go writes it.
var directives = map[byte]string{
	'Y': "2006", 'm': "01", 'd': "02", 'H': "15", 'M': "04", 'S': "05", 'y': "06", 'I': "03", 'p': "PM", 'e': "_2", 'j': "002",
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'F': "2006-01-02", 'T': "15:04:05", 'Z': "MST", 'z': "-0700",
}

func strftime(t time.Time, layout string) (string, error) {
	if len(layout) > 1024 {
		return "", invalid("the layout has %d bytes, 1024 are allowed", len(layout))
	}
	var b strings.Builder
	for i := 0; i < len(layout); i++ {
		if layout[i] != '%' {
			b.WriteByte(layout[i])
			continue
		}
		i++
		if i == len(layout) {
			return "", invalid("the layout ends in a %%: write %%%% for the sign itself")
		}
		if err := directive(&b, t, layout[i]); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

func directive(b *strings.Builder, t time.Time, c byte) error {
	switch c {
	case '%':
		b.WriteByte('%')
	case 'L':
		fmt.Fprintf(b, "%03d", t.Nanosecond()/1e6)
	case 's':
		b.WriteString(strconv.FormatInt(t.Unix(), 10))
	case 'w':
		b.WriteString(strconv.Itoa(int(t.Weekday())))
	case 'u':
		b.WriteString(strconv.Itoa((int(t.Weekday())+6)%7 + 1))
	default:
		form, ok := directives[c]
		if !ok {
			return invalid("%%%c is not known in a layout: use %%Y %%m %%d %%H %%M %%S %%L and the like", c)
		}
		b.WriteString(t.Format(form))
	}
	return nil
}
