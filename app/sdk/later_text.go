package sdk

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// laterText is a text of a request that waits. Where it holds the value of a secret that the
// execution had read, it has the secret's name instead: neither the outbox nor a dead letter
// shows the value, and a secret that is changed meanwhile is sent as it is then. As JSON it is
// a string, or a list of strings and {"secret": name}.
type laterText []laterPiece

type laterPiece struct {
	Text   string    `json:"-"`
	Secret string    `json:"secret,omitzero"`
	As     string    `json:"as,omitzero"`    // how the secret is written: a key of spelled
	Basic  laterText `json:"basic,omitzero"` // is written as base64: the credentials of basic authentication
	Bytes  []byte    `json:"bytes,omitzero"` // Text as it is stored when JSON can't hold it, as credentials in Latin-1
}

// spelled are the ways in which a text may be written.
var spelled = map[string]func(string) string{
	"": func(s string) string { return s },
	"json": func(s string) string {
		quoted := textOut(s)
		return string(quoted[1 : len(quoted)-1])
	},
	"query":  percent,
	"form":   url.QueryEscape,
	"path":   url.PathEscape,
	"base64": func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
}

// secretForm is a secret as it may occur in a text.
type secretForm struct{ text, name, as string }

// secretForms are those of all secrets that the execution read and that are long enough to be
// recognized, the longest first: a secret may be a part of another one.
func (c *Call) secretForms() (forms []secretForm) {
	for _, name := range slices.Sorted(maps.Keys(c.secrets)) {
		v := c.secrets[name]
		if len(v) < MinRedacted {
			continue
		}
		seen := map[string]bool{}
		for _, as := range []string{"", "json", "query", "path", "form", "base64"} {
			if text := spelled[as](v); !seen[text] {
				seen[text] = true
				forms = append(forms, secretForm{text, name, as})
			}
		}
	}
	slices.SortStableFunc(forms, func(a, b secretForm) int { return len(b.text) - len(a.text) })
	return forms
}

// laterTextOf puts names in the place of secrets.
func laterTextOf(s string, forms []secretForm) laterText {
	t := laterText{{Text: s}}
	for _, f := range forms {
		t = t.replace(f)
	}
	return t
}

func (t laterText) replace(f secretForm) (out laterText) {
	for _, p := range t {
		if p.Secret != "" {
			out = append(out, p)
			continue
		}
		for i, part := range strings.Split(p.Text, f.text) {
			if i > 0 {
				out = append(out, laterPiece{Secret: f.name, As: f.as})
			}
			if part != "" {
				out = append(out, laterPiece{Text: part})
			}
		}
	}
	return out
}

// laterHeader is laterTextOf for a header's value, which may be basic authentication.
func laterHeader(s string, forms []secretForm) laterText {
	if kind, code, ok := strings.Cut(s, " "); ok && strings.EqualFold(kind, "basic") {
		plain, err := base64.StdEncoding.DecodeString(code)
		if t := laterTextOf(string(plain), forms); err == nil && t.hidden() {
			return laterText{{Text: kind + " "}, {Basic: t}}
		}
	}
	return laterTextOf(s, forms)
}

// hidden reports that the text holds a secret.
func (t laterText) hidden() bool {
	return slices.ContainsFunc(t, func(p laterPiece) bool { return p.Secret != "" || p.Basic != nil })
}

// resolve is the text with the secrets' values, which get knows.
func (t laterText) resolve(get func(name string) (string, error)) (string, error) {
	var b strings.Builder
	for _, p := range t {
		text := p.Text
		var err error
		switch {
		case p.Secret != "":
			if text, err = get(p.Secret); err == nil {
				text, err = spell(text, p.As)
			}
		case p.Basic != nil:
			if text, err = p.Basic.resolve(get); err == nil {
				text = spelled["base64"](text)
			}
		}
		if err != nil {
			return "", err
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

func spell(s, as string) (string, error) {
	f := spelled[as]
	if f == nil {
		return "", errPiece
	}
	return f(s), nil
}

var errPiece = errors.New("a part of a stored request is neither text nor a secret")

// MarshalJSON writes a string when there are no secrets in it.
func (t laterText) MarshalJSON() ([]byte, error) {
	if !t.hidden() {
		plain, err := t.resolve(nil)
		return textOut(plain), err
	}
	b := []byte{'['}
	for i, p := range t {
		if i > 0 {
			b = append(b, ',')
		}
		if p.Secret == "" && p.Basic == nil {
			if utf8.ValidString(p.Text) {
				b = appendString(b, p.Text)
				continue
			}
			p.Bytes = []byte(p.Text)
		}
		type plain laterPiece
		text, err := json.Marshal(plain(p))
		if err != nil {
			return nil, err
		}
		b = append(b, text...)
	}
	return append(b, ']'), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (t *laterText) UnmarshalJSON(b []byte) error {
	if len(b) == 0 || b[0] != '[' {
		var s string
		err := json.Unmarshal(b, &s)
		*t = laterText{{Text: s}}
		return err
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil {
		return err
	}
	*t = nil
	for _, part := range parts {
		p, err := readPiece(part)
		if err != nil {
			return err
		}
		*t = append(*t, p)
	}
	return nil
}

func readPiece(b json.RawMessage) (p laterPiece, err error) {
	if b[0] == '"' {
		return p, json.Unmarshal(b, &p.Text)
	}
	type plain laterPiece
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode((*plain)(&p)); err != nil {
		return p, err
	}
	if p.Secret == "" && p.Basic == nil && p.Bytes == nil || spelled[p.As] == nil {
		return p, errPiece
	}
	p.Text = string(p.Bytes)
	return p, nil
}
