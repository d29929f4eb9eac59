package data

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"picloud/app/cloud"
)

func (r *rig) open(topic, mode string) {
	r.Helper()
	if _, err := r.PutTopic(r.Context(), r.app, Topic{Topic: topic, ExternalSubscribable: true, AuthMode: mode}); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) say(topic string, message any) {
	r.Helper()
	b, _ := json.Marshal(message)
	if _, err := r.Store.Publish(r.Context(), cloud.Origin{App: r.app}, topic, b); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) subscribe(topic, after string) *Subscription {
	r.Helper()
	s, err := r.Subscribe(r.app, topic, after)
	if err != nil {
		r.Fatal(err)
	}
	return s
}

// got lists the messages that a subscriber sees next.
func got(t testing.TB, s *Subscription) (texts []string, last string) {
	t.Helper()
	all, _, err := s.Next()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		var v struct{ Message json.RawMessage }
		id, text, _ := strings.Cut(string(m.Event), "\ndata: ")
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		texts, last = append(texts, string(v.Message)), strings.TrimPrefix(id, "id: ")
	}
	return texts, last
}

func wantTexts(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestSubscribe(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.open("news", AuthPublic)
	r.say("news", 0)
	s := r.subscribe("news", "")
	defer s.Close()
	texts, _ := got(t, s)
	wantTexts(t, "what was before", texts)
	_, more, _ := s.Next()

	r.say("news", 1)
	select {
	case <-more:
	default:
		t.Error("nothing woke the subscriber")
	}
	r.say("other", 9) // internal: nobody is told
	u := r.begin1()
	if err := u.Publish("news", json.RawMessage("2")); err != nil {
		t.Fatal(err)
	}
	texts, first := got(t, s)
	wantTexts(t, "before the commit", texts, "1")
	if err := u.Publish("news", json.RawMessage("3")); err != nil {
		t.Fatal(err)
	}
	r.mustCommit(u)
	texts, last := got(t, s)
	wantTexts(t, "after the commit", texts, "2", "3")

	// An execution that fails says nothing.
	failed := r.begin1()
	if err := failed.Publish("news", json.RawMessage("4")); err != nil {
		t.Fatal(err)
	}
	failed.Close()
	texts, _ = got(t, s)
	wantTexts(t, "not committed", texts)

	for _, tt := range []struct {
		after string
		gap   bool
		want  []string
	}{
		{first, false, []string{"2", "3"}},
		{last, false, nil},
		{"0123456789ab.3", true, []string{"0", "1", "2", "3"}}, // of another run of the process
		{strings.Split(last, ".")[0] + ".99", true, []string{"0", "1", "2", "3"}},
		{"nonsense", true, []string{"0", "1", "2", "3"}},
	} {
		again := r.subscribe("news", tt.after)
		texts, _ := got(t, again)
		wantTexts(t, "after "+tt.after, texts, tt.want...)
		if again.Gap != tt.gap {
			t.Errorf("after %s: gap: got %v, want %v", tt.after, again.Gap, tt.gap)
		}
		again.Close()
	}

	// A change of the topic ends it.
	r.open("news", AuthToken)
	if _, _, err := s.Next(); err != ErrTopicChanged {
		t.Errorf("after a change: got %v", err)
	}
}

func TestSlowSubscriber(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.open("news", AuthPublic)
	r.say("news", "first")
	s := r.subscribe("news", "")
	defer s.Close()
	late := r.subscribe("news", "")
	defer late.Close()
	id := topicID{r.app, "news"}
	for i := range keptMessages {
		r.hub.publish(id, published("news", json.RawMessage(fmt.Sprint(i)), 0))
	}
	if texts, _ := got(t, s); len(texts) != keptMessages {
		t.Errorf("as many as are kept: got %d, want %d", len(texts), keptMessages)
	}
	r.hub.publish(id, published("news", json.RawMessage("0"), 0))
	if _, _, err := late.Next(); err != ErrBehind {
		t.Errorf("one more than are kept: got %v", err)
	}
	if texts, _ := got(t, s); len(texts) != 1 {
		t.Errorf("who kept up: got %d", len(texts))
	}

	// Bytes are bounded too, for a topic and for all.
	large := published("news", json.RawMessage(`"`+strings.Repeat("x", MaxMessage-2)+`"`), 0)
	for i := range 2 * allKeptBytes / MaxMessage {
		r.hub.publish(topicID{r.app, fmt.Sprint("t", i%64)}, large)
	}
	if r.hub.bytes > allKeptBytes {
		t.Errorf("kept: got %d bytes, want at most %d", r.hub.bytes, allKeptBytes)
	}
	sum := 0
	for id, c := range r.hub.topics {
		if sum += c.bytes; c.bytes > keptBytes {
			t.Errorf("topic %s: got %d bytes, want at most %d", id.name, c.bytes, keptBytes)
		}
	}
	if sum != r.hub.bytes {
		t.Errorf("the sum of all topics: got %d, want %d", r.hub.bytes, sum)
	}
	r.ForgetApp(r.app)
	if len(r.hub.topics) != 0 || r.hub.bytes != 0 {
		t.Errorf("after the app was deleted: %d topics, %d bytes", len(r.hub.topics), r.hub.bytes)
	}
}

func TestSubscriberLimits(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{Subscribers: SubscriberOptions{Max: 3, MaxPerApp: 2}})
	other := r.addApp("other")
	a, b, c := r.subscribe("a", ""), r.subscribe("b", ""), (*Subscription)(nil)
	if _, err := r.Subscribe(r.app, "c", ""); cloud.KindOf(err) != cloud.Overloaded {
		t.Errorf("a third of one app: got %v", err)
	}
	c, err := r.Subscribe(other, "c", "")
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	if a, err = r.Subscribe(r.app, "a", ""); err != nil {
		t.Errorf("when one has left: got %v", err)
	}
	if _, err := r.Subscribe(r.addApp("third"), "c", ""); cloud.KindOf(err) != cloud.Overloaded {
		t.Errorf("a fourth: got %v", err)
	}
	for _, s := range []*Subscription{a, b, c} {
		s.Close()
	}
	if r.hub.all != 0 || len(r.hub.perApp) != 0 {
		t.Errorf("when all have left: got %d, %v", r.hub.all, r.hub.perApp)
	}
}

func TestSubscriberToken(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{Tokens: TokenOptions{Key: []byte("key")}})
	now := time.Unix(1_700_000_000, 0)
	token, err := r.SubscriberToken(r.app, []string{"orders/*", "news"}, math.NaN(), now)
	if err != nil {
		t.Fatal(err)
	}
	valid := func(token, topic string, at time.Time) time.Duration {
		until, err := r.CheckSubscriberToken(token, r.app, topic, at)
		if err != nil {
			return 0
		}
		return until.Sub(now)
	}
	for topic, want := range map[string]bool{"news": true, "orders/1": true, "orders/": true, "order": false, "newsletter": false, "orders/*": true} {
		if got := valid(token, topic, now) == time.Hour; got != want {
			t.Errorf("topic %q: got %v, want %v", topic, got, want)
		}
	}
	if valid(token, "news", now.Add(time.Hour-time.Second)) == 0 || valid(token, "news", now.Add(time.Hour)) != 0 {
		t.Error("the token doesn't end when it should")
	}
	for ttl, want := range map[float64]time.Duration{1: 10 * time.Second, -5: 10 * time.Second, 90: 90 * time.Second, 1e12: 24 * time.Hour, math.Inf(1): 24 * time.Hour} {
		token, err := r.SubscriberToken(r.app, []string{"*"}, ttl, now)
		if got := valid(token, "any", now); got != want || err != nil {
			t.Errorf("ttl %v: got %v, %v, want %v", ttl, got, err, want)
		}
	}
	// Not another app's, nor one that somebody changed.
	body, signature, _ := strings.Cut(token, ".")
	forged, _ := newRig(t, Options{Tokens: TokenOptions{Key: []byte("other")}}).SubscriberToken(r.app, []string{"*"}, 60, now)
	if _, err := r.CheckSubscriberToken(token, r.addApp("other"), "news", now); err != errToken {
		t.Errorf("another app: got %v", err)
	}
	for _, bad := range []string{"", ".", body, body + ".", "." + signature, body + "." + signature + "A", body[1:] + "." + signature, forged, strings.Repeat("a", maxToken) + "." + signature} {
		if _, err := r.CheckSubscriberToken(bad, r.app, "news", now); err != errToken {
			t.Errorf("%.30q: got %v", bad, err)
		}
	}
	for _, topics := range [][]string{nil, {""}, {"a*b"}, {"a**"}, make([]string, maxTokenTopics+1)} {
		if _, err := r.SubscriberToken(r.app, topics, 60, now); cloud.KindOf(err) != cloud.Invalid {
			t.Errorf("topics %.20v: got %v", topics, err)
		}
	}
	if _, err := newRig(t, Options{}).CheckSubscriberToken(token, r.app, "news", now); err != errToken {
		t.Errorf("without a key: got %v", err)
	}
}

// Nothing that somebody sends is a token but what this instance signed.
func FuzzSubscriberToken(f *testing.F) {
	s := &Store{tokens: TokenOptions{Key: []byte("key")}.withDefaults()}
	app := cloud.NewID[cloud.AppID]()
	now := time.Unix(1_700_000_000, 0)
	token, _ := s.SubscriberToken(app, []string{"a"}, 60, now)
	f.Add(token, "a")
	f.Add("e30.", "a")
	f.Add(".", "")
	f.Fuzz(func(t *testing.T, given, topic string) {
		if _, err := s.CheckSubscriberToken(given, app, topic, now); err == nil && (given != token || topic != "a") {
			t.Errorf("%q for %q is accepted", given, topic)
		}
	})
}

// FuzzLastEventID: whatever a subscriber says to have seen, it gets a place in the channel,
// and is told of a gap unless it named one.
func FuzzLastEventID(f *testing.F) {
	h := newHub(SubscriberOptions{})
	id := topicID{cloud.NewID[cloud.AppID](), "a"}
	f.Add(h.run + ".0")
	f.Add(h.run + ".18446744073709551615")
	f.Add(".")
	f.Add("\x00.-1")
	f.Fuzz(func(t *testing.T, last string) {
		s, err := h.subscribe(id, last)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if s.at > h.count || last != "" && !s.Gap && !strings.HasPrefix(last, h.run+".") {
			t.Errorf("%q is at %d of %d, gap %v", last, s.at, h.count, s.Gap)
		}
		if messages, _, err := s.Next(); err != nil || len(messages) != 0 {
			t.Errorf("%q: %d messages, %v", last, len(messages), err)
		}
	})
}
