package torture

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// A busy instance turns the look at keys away with 503, and is asked again. Once the second
// question had lost collections and had gained empty names, which the script rightly refused: the
// torture ended with a 502 that looked like a fault of PiCloud.
func TestRecheckAsksTheSameAgain(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if asked = append(asked, string(body)); len(asked) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		json.NewEncoder(w).Encode(map[string]map[string]float64{"a": {"1-c0-1": 1, "1-c0-2": 1}, "b": {"1-c0-1": 1, "1-c0-2": 1}})
	}))
	defer server.Close()
	in := &instance{url: server.URL, broken: func(v *Violation) { t.Error(v) }}
	in.starts.Store(2)
	rd := newRound(1)
	for n := range 2 {
		rd.book.add(&Entry{ID: fmt.Sprint("1-c0-", n+1), Op: "write", Outcome: Acknowledged, Start: 1, Now: []string{"b", "a"}})
	}
	if err := (&torture{in: in, api: newAPI(in)}).recheck(t.Context(), rd); err != nil {
		t.Fatal(err)
	}
	want := `{"collections":["a","b"],"ids":["1-c0-1","1-c0-2"]}`
	for n, got := range asked {
		if got != want {
			t.Errorf("question %d is %s, want %s", n+1, got, want)
		}
	}
	if len(asked) != 3 {
		t.Errorf("asked %d times, want 3", len(asked))
	}
}

// After a kill there may be nothing but events, which are in no collection yet: the question
// had null for the names then, which the script refused as rightly.
func TestRecheckWithNothingToFind(t *testing.T) {
	ids, collections := present([]*Entry{{ID: "1-c0-1", Op: "accept", Outcome: Acknowledged, Later: []string{"done"}}})
	got, err := json.Marshal(object{"ids": ids, "collections": collections})
	if want := `{"collections":[],"ids":["1-c0-1"]}`; err != nil || string(got) != want {
		t.Errorf("the question is %s %v, want %s", got, err, want)
	}
}
