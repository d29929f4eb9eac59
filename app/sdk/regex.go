package sdk

import (
	"io"
	"math"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"
	"unicode/utf8"
)

// Bounds of one regular expression and of what it is asked to do.
const (
	maxPattern      = 1 << 10 // bytes
	maxPatternSize  = 10_000  // instructions: a{1000} counts a thousand
	maxRegexText    = 1 << 20 // bytes
	maxRegexResult  = 4 << 20 // bytes
	maxCachedRegexp = 200_000 // instructions of all cached patterns together: about 20 MB
)

// regexModule matches in time linear in the text (RE2). Positions are never told, since they
// differ between Go and JavaScript.
var regexModule = Module{
	Name: "regex",
	Funcs: map[string]Func{
		"regex.isMatch":    regexIsMatch,
		"regex.find":       regexFind,
		"regex.findAll":    regexFindAll,
		"regex.replace":    regexReplace(1),
		"regex.replaceAll": regexReplace(-1),
		"regex.split":      regexSplit,
		"regex.captures":   regexCaptures,
	},
	JS: `
var all = { isMatch: pass("regex.isMatch"), find: pass("regex.find"), findAll: pass("regex.findAll"), replace: pass("regex.replace"),
  replaceAll: pass("regex.replaceAll"), split: pass("regex.split") };
var captures = pass("regex.captures");
all.captures = function (pattern, text) {
  var r = captures(pattern, text);
  if (r === undefined) { return undefined; }
  return own(r.list, "groups", r.groups);
};
expose("regex", all);`,
	Types: `
/**
 * Regular expressions in RE2's syntax: linear time, no look-around, no back-references. A pattern
 * has up to 1 KiB, a text up to 1 MiB. Write (?i), (?m) or (?s) in front for flags.
 */
declare const regex: {
  isMatch(pattern: string, text: string): boolean;
  /** The first match, undefined when there is none. */
  find(pattern: string, text: string): string | undefined;
  findAll(pattern: string, text: string): string[];
  /** Replaces the first match. In by, $1 and ${name} are groups, $& is the match, $$ a dollar. */
  replace(pattern: string, text: string, by: string): string;
  replaceAll(pattern: string, text: string, by: string): string;
  /** The pieces between the matches, at most limit of them. */
  split(pattern: string, text: string, limit?: number): string[];
  /** The first match and its groups (null for one that took no part), those with names also in groups; undefined without a match. */
  captures(pattern: string, text: string): ((string | null)[] & { groups: { [name: string]: string | null } }) | undefined;
};`,
}

// pattern is a compiled regular expression.
type pattern struct {
	re   *regexp.Regexp
	size int
	// next finds a match anywhere behind the first character, which it must be given for the
	// sake of \b and ^: Go can't be asked for the match after a position.
	next func() (*regexp.Regexp, error)
}

// patterns caches compiled patterns, of all apps: they tell nothing about each other.
var patterns struct {
	mu   sync.Mutex // guards the rest
	m    map[string]*pattern
	size int
}

func compile(text string) (*pattern, error) {
	patterns.mu.Lock()
	p := patterns.m[text]
	patterns.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p, err := newPattern(text)
	if err != nil {
		return nil, err
	}
	patterns.mu.Lock()
	defer patterns.mu.Unlock()
	if patterns.m == nil || patterns.size+p.size > maxCachedRegexp {
		patterns.m, patterns.size = map[string]*pattern{}, 0
	}
	if patterns.m[text] == nil {
		patterns.m[text] = p
		patterns.size += p.size
	}
	return p, nil
}

func newPattern(text string) (*pattern, error) {
	if len(text) > maxPattern {
		return nil, invalid("the pattern has %d bytes, %d are allowed", len(text), maxPattern)
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, invalid("the pattern is wrong: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	size := programSize(tree)
	if size > maxPatternSize {
		return nil, invalid("the pattern is too large: its repetitions come to %d steps, %d are allowed", size, maxPatternSize)
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, invalid("the pattern is wrong")
	}
	whole := tree.String() // unlike text, it can't leave a \Q open
	next := sync.OnceValues(func() (*regexp.Regexp, error) { return regexp.Compile(`\A(?s:.)(?s:.*?)(` + whole + `)`) })
	return &pattern{re: re, size: size + 16, next: next}, nil
}

// programSize is about how many instructions re compiles to.
func programSize(re *syntax.Regexp) int {
	size := 1
	switch re.Op {
	case syntax.OpLiteral:
		size = len(re.Rune)
	case syntax.OpConcat, syntax.OpRepeat:
		size = 0
	}
	for _, sub := range re.Sub {
		size += programSize(sub)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Min, re.Max, 1)
	}
	return min(size, 1<<30)
}

// search is a pattern on its way through a text.
type search struct {
	c    *Call
	p    *pattern
	text string
}

// openSearch takes the pattern and the text off a.
func openSearch(c *Call, a *args) (*search, error) {
	source, text := a.text("the pattern"), a.text("the text")
	if a.err != nil {
		return nil, a.err
	}
	if len(text) > maxRegexText {
		return nil, invalid("the text has %d bytes, %d are allowed", len(text), maxRegexText)
	}
	p, err := compile(source)
	if err != nil {
		return nil, err
	}
	return &search{c: c, p: p, text: text}, nil
}

// first is the first match, as regexp.FindStringSubmatchIndex has it.
func (s *search) first() ([]int, error) { return s.run(s.p.re, s.text) }

// after is the first match that begins at from or later; from is behind the first character.
func (s *search) after(from int) ([]int, error) {
	_, before := utf8.DecodeLastRuneInString(s.text[:from])
	re, err := s.p.next()
	if err != nil {
		return nil, invalid("the pattern is too large for more than one match")
	}
	at := from - before
	m, err := s.run(re, s.text[at:])
	if m == nil || err != nil {
		return nil, err
	}
	m = m[2:] // the wrapping match; the group around the pattern is what counts
	for i := range m {
		if m[i] >= 0 {
			m[i] += at
		}
	}
	return m, nil
}

// quick is how much work a search may be without looking at the clock.
const quick = 1 << 20

// run matches text. What may take long reads it through a reader that ends with the call.
func (s *search) run(re *regexp.Regexp, text string) ([]int, error) {
	if len(text)*s.p.size <= quick {
		return re.FindStringSubmatchIndex(text), nil
	}
	m := re.FindReaderSubmatchIndex(&pausing{c: s.c, text: text})
	if err := s.c.over("regex"); err != nil {
		return nil, err
	}
	return m, nil
}

// pausing reads text and ends early when the call is over.
type pausing struct {
	c    *Call
	text string
	n    int
}

func (r *pausing) ReadRune() (rune, int, error) {
	r.n++
	if r.text == "" || r.n%64 == 0 && r.c.Ctx.Err() != nil {
		return 0, 0, io.EOF
	}
	c, n := utf8.DecodeRuneInString(r.text)
	r.text = r.text[n:]
	return c, n, nil
}

// each calls f for every match from left to right, until f says that it is enough. An empty
// match right behind another one doesn't count.
func (s *search) each(f func(m []int) bool) error {
	m, err := s.first()
	for last := -1; m != nil && err == nil; {
		if err := s.c.over("regex"); err != nil {
			return err
		}
		if (m[1] > m[0] || m[0] != last) && !f(m) {
			return nil
		}
		last = m[1]
		from := m[1]
		if m[1] == m[0] {
			if from == len(s.text) {
				return nil
			}
			_, n := utf8.DecodeRuneInString(s.text[from:])
			from += n
		}
		m, err = s.after(from)
	}
	return err
}

func regexIsMatch(c *Call, in []byte) ([]byte, error) {
	s, err := openSearch(c, readArgs(in))
	if err != nil {
		return nil, err
	}
	m, err := s.first()
	return truthOut(m != nil), err
}

func regexFind(c *Call, in []byte) ([]byte, error) {
	s, err := openSearch(c, readArgs(in))
	if err != nil {
		return nil, err
	}
	m, err := s.first()
	if m == nil || err != nil {
		return nil, err
	}
	return textOut(s.text[m[0]:m[1]]), nil
}

func regexFindAll(c *Call, in []byte) ([]byte, error) {
	s, err := openSearch(c, readArgs(in))
	if err != nil {
		return nil, err
	}
	b := []byte{'['}
	err = s.each(func(m []int) bool {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = appendString(b, s.text[m[0]:m[1]])
		return len(b) <= maxRegexResult
	})
	return bounded(append(b, ']'), err)
}

// bounded refuses a result that grew too large to be handed over.
func bounded(b []byte, err error) ([]byte, error) {
	if err == nil && len(b) > maxRegexResult {
		return nil, invalid("the result has more than %d bytes: work on less text", maxRegexResult)
	}
	return b, err
}

// regexReplace replaces the first most matches, all when most is negative.
func regexReplace(most int) Func {
	return func(c *Call, in []byte) ([]byte, error) {
		a := readArgs(in)
		s, err := openSearch(c, a)
		if err != nil {
			return nil, err
		}
		by := a.text("the replacement")
		if a.err != nil {
			return nil, a.err
		}
		var out []byte
		done, n := 0, 0
		err = s.each(func(m []int) bool {
			out = append(out, s.text[done:m[0]]...)
			out = s.expand(out, by, m)
			done = m[1]
			n++
			return n != most && len(out) <= maxRegexResult
		})
		out = append(out, s.text[done:]...)
		if out, err = bounded(out, err); err != nil {
			return nil, err
		}
		return appendString(nil, out), nil
	}
}

// expand appends by with its $ references filled in from the match m. A reference to no
// group stays as it is written.
func (s *search) expand(b []byte, by string, m []int) []byte {
	for {
		before, rest, found := strings.Cut(by, "$")
		b = append(b, before...)
		if !found {
			return b
		}
		group, n := s.reference(rest)
		switch {
		case n == 0:
			b = append(b, '$')
		case group < 0:
			b = append(b, '$')
		case m[2*group] >= 0:
			b = append(b, s.text[m[2*group]:m[2*group+1]]...)
		}
		by = rest[n:]
	}
}

// reference reads what follows a $: the group it means (-1 for a dollar) and its length, 0
// when it means nothing.
func (s *search) reference(rest string) (group, n int) {
	groups := s.p.re.NumSubexp()
	switch {
	case strings.HasPrefix(rest, "$"):
		return -1, 1
	case strings.HasPrefix(rest, "&"):
		return 0, 1
	case strings.HasPrefix(rest, "{"), strings.HasPrefix(rest, "<"):
		end := strings.IndexAny(rest, "}>")
		if end < 0 {
			return 0, 0
		}
		name := rest[1:end]
		if g := s.p.re.SubexpIndex(name); g > 0 {
			return g, end + 1
		}
		if g, used := number(name, groups); used > 0 && used == len(name) {
			return g, end + 1
		}
		return 0, 0
	}
	return number(rest, groups)
}

// number reads one or two digits that name a group from 1 to most, as JavaScript does.
func number(s string, most int) (group, n int) {
	for i := 0; i < len(s) && i < 2 && s[i] >= '0' && s[i] <= '9'; i++ {
		v := int(s[i] - '0')
		if i == 1 {
			v += 10 * int(s[0]-'0')
		}
		if v >= 1 && v <= most {
			group, n = v, i+1
		}
	}
	return group, n
}

func regexSplit(c *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	s, err := openSearch(c, a)
	if err != nil {
		return nil, err
	}
	most := a.number("limit", maxRegexText+1)
	if a.err == nil && (most < 1 || most != math.Trunc(most)) {
		a.err = invalid("limit must be a whole number of 1 or more")
	}
	if a.err != nil {
		return nil, a.err
	}
	limit := int(min(most, maxRegexText+1))
	var pieces []string
	done, size := 0, 0
	err = s.each(func(m []int) bool {
		if len(pieces)+1 >= limit {
			return false
		}
		if m[1] > 0 && m[0] < len(s.text) { // an empty match at either end splits off nothing
			pieces = append(pieces, s.text[done:m[0]])
			size += m[0] - done + 4
			done = m[1]
		}
		return size <= maxRegexResult
	})
	return bounded(appendStrings(nil, append(pieces, s.text[done:])), err)
}

func regexCaptures(c *Call, in []byte) ([]byte, error) {
	s, err := openSearch(c, readArgs(in))
	if err != nil {
		return nil, err
	}
	m, err := s.first()
	if m == nil || err != nil {
		return nil, err
	}
	list, named := []byte(`{"list":[`), []byte(`],"groups":{`)
	for i, name := range s.p.re.SubexpNames() {
		if i > 0 {
			list = append(list, ',')
		}
		list = s.appendGroup(list, m, i)
		if name == "" {
			continue
		}
		if named[len(named)-1] != '{' {
			named = append(named, ',')
		}
		named = append(appendString(named, name), ':')
		named = s.appendGroup(named, m, i)
	}
	return bounded(append(append(list, named...), "}}"...), nil)
}

func (s *search) appendGroup(b []byte, m []int, i int) []byte {
	if m[2*i] < 0 {
		return append(b, "null"...)
	}
	return appendString(b, s.text[m[2*i]:m[2*i+1]])
}
