package sdk

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"picloud/app/cloud"
)

// MinRedacted is the length in bytes from which the values of secrets are hidden: shorter
// ones would take ordinary words out of logs.
const MinRedacted = 6

// redacted stands where the value of a secret was.
const redacted = "[redacted]"

// Redactor hides the secrets that the execution read, as they are and in the forms they have
// in JSON, URLs and base64; nil when it read none that can be hidden.
func (c *Call) Redactor() func(string) string {
	var forms []string
	for _, v := range c.secrets {
		if len(v) >= MinRedacted {
			forms = append(forms, formsOf(v)...)
		}
	}
	if len(forms) == 0 {
		return nil
	}
	// The longest first, for a secret may be a part of another one.
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(forms))
	for _, f := range forms {
		pairs = append(pairs, f, redacted)
	}
	all := strings.NewReplacer(pairs...)
	return func(s string) string { return withoutStump(all.Replace(s), forms) }
}

func formsOf(v string) []string {
	quoted, _ := json.Marshal(v) // as the log writes JSON, with <, > and & escaped; a string never fails
	forms := map[string]bool{string(quoted[1 : len(quoted)-1]): true}
	for _, spell := range spelled {
		forms[spell(v)] = true
	}
	return slices.Collect(maps.Keys(forms))
}

// withoutStump takes the beginning of a secret from the end of a text that was cut in the
// middle of it.
func withoutStump(s string, forms []string) string {
	body, cut := strings.CutSuffix(s, "…")
	if !cut {
		return s
	}
	for _, f := range forms {
		for n := min(len(f)-1, len(body)); n >= MinRedacted; n-- {
			if strings.HasSuffix(body, f[:n]) {
				return body[:len(body)-n] + redacted + "…"
			}
		}
	}
	return s
}

// Redact hides the secrets that the execution read in everything of its result that is kept.
func (c *Call) Redact(res *cloud.Result) {
	f := c.Redactor()
	if f == nil {
		return
	}
	res.Redact = f
	for i := range res.Logs {
		res.Logs[i].Message = f(res.Logs[i].Message)
		res.Logs[i].Fields = redactJSON(res.Logs[i].Fields, f)
	}
	if t := res.Trace; t != nil {
		hidden := *t
		hidden.Message, hidden.Stack = f(t.Message), f(t.Stack)
		res.Trace = &hidden
	}
}

// redactJSON keeps v JSON: a secret that was a number there is none any more.
func redactJSON(v json.RawMessage, f func(string) string) json.RawMessage {
	if len(v) == 0 {
		return v
	}
	s := f(string(v))
	if json.Valid([]byte(s)) {
		return json.RawMessage(s)
	}
	return textOut(s)
}
