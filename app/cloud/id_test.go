package cloud

import (
	"encoding/json"
	"testing"
)

// FuzzValues: what ids and times read, they write so that it reads the same.
func FuzzValues(f *testing.F) {
	for _, s := range []string{`null`, `""`, `"0190163d-8694-739b-aea5-966c26f8ad91"`, `"{0190163d8694739baea5966c26f8ad91}"`, `"urn:uuid:0190163d-8694-739b-aea5-966c26f8ad91"`,
		`"2026-01-02T15:04:05.000Z"`, `"2026-01-02T15:04:05+23:59"`, `"9999-12-31T23:59:59.999999999Z"`, `"0000-01-01T00:00:00Z"`, `1`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		again(t, text, new(AppID), new(AppID))
		again(t, text, new(Time), new(Time))
		if id, err := ParseID[AppID](string(text)); err != nil && KindOf(err) != NotFound || err == nil && !id.IsZero() && len(id.String()) != 36 {
			t.Errorf("%q: %v, %v", text, id, err)
		}
	})
}

// again reads text, writes it and reads that.
func again[V comparable](t *testing.T, text []byte, v, w *V) {
	if json.Unmarshal(text, v) != nil {
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if err := json.Unmarshal(b, w); err != nil || *v != *w {
		t.Errorf("%s became %s and that %v (%v)", text, b, *w, err)
	}
}
