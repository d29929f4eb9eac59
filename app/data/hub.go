package data

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"picloud/app/cloud"
)

// Bounds of what is kept for subscribers who fall behind or come again.
const (
	keptMessages = 1000     // of a topic
	keptBytes    = 4 << 20  // of a topic: as much as one commit may publish
	allKeptBytes = 64 << 20 // of all topics
)

// SubscriberOptions bound the subscribers from outside.
type SubscriberOptions struct {
	Max       int // 6000
	MaxPerApp int // 5000
}

func (o SubscriberOptions) withDefaults() SubscriberOptions {
	if o.Max <= 0 {
		o.Max = 6000
	}
	if o.MaxPerApp <= 0 {
		o.MaxPerApp = 5000
	}
	return o
}

// hub hands committed messages to subscribers from outside, in the order of their commits. A
// subscriber reads from what is kept of its topic and waits for nobody: publishing costs the
// writer the same whether there is one subscriber or thousands, and who falls behind what is
// kept is dropped.
type hub struct {
	o       SubscriberOptions
	run     string // of this process: ids of messages begin with it
	metrics *hubMetrics

	mu     sync.Mutex // guards what follows, and the channels
	topics map[topicID]*channel
	perApp map[cloud.AppID]int
	all    int    // subscribers
	count  uint64 // messages; the number of the newest
	bytes  int    // kept
}

type topicID struct {
	app  cloud.AppID
	name string
}

// channel is what is kept of a topic.
type channel struct {
	kept  []Message // oldest first
	bytes int
	lost  uint64        // the number of the newest message that is not kept
	more  chan struct{} // closed when there is something to see
	ended bool          // the topic was deleted or changed
}

// Message is one that was published.
type Message struct {
	// Event is a server-sent event: an id for Last-Event-ID and, as its data, JSON of topic,
	// message and published_at. It is encoded once for all subscribers, who don't change it.
	Event []byte

	number uint64
}

func newHub(o SubscriberOptions) *hub {
	var run [6]byte
	rand.Read(run[:])
	return &hub{
		o: o.withDefaults(), run: hex.EncodeToString(run[:]), metrics: newHubMetrics(),
		topics: map[topicID]*channel{}, perApp: map[cloud.AppID]int{},
	}
}

func (h *hub) channelLocked(id topicID) *channel {
	c := h.topics[id]
	if c == nil {
		c = &channel{lost: h.count, more: make(chan struct{})}
		h.topics[id] = c
	}
	return c
}

// publish keeps a message and wakes who waits for it.
func (h *hub) publish(id topicID, data json.RawMessage) {
	if bytes.ContainsAny(data, "\r\n") { // a line end would end the event
		var flat bytes.Buffer
		if json.Compact(&flat, data) != nil {
			return
		}
		data = flat.Bytes()
	}
	h.metrics.messages.Inc()
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.channelLocked(id)
	h.count++
	event := fmt.Appendf(nil, "id: %s.%d\ndata: %s\n\n", h.run, h.count, data)
	c.kept = append(c.kept, Message{Event: event, number: h.count})
	c.bytes += len(event)
	h.bytes += len(event)
	for len(c.kept) > keptMessages || c.bytes > keptBytes {
		h.loseLocked(c)
	}
	for _, other := range h.topics { // in any order: each has had its time
		if h.bytes <= allKeptBytes {
			break
		}
		for other != c && len(other.kept) > 0 {
			h.loseLocked(other)
		}
	}
	close(c.more)
	c.more = make(chan struct{})
}

// loseLocked forgets the oldest message of a channel.
func (h *hub) loseLocked(c *channel) {
	m := c.kept[0]
	c.kept[0] = Message{}
	c.kept = c.kept[1:]
	c.bytes -= len(m.Event)
	h.bytes -= len(m.Event)
	c.lost = m.number
}

// end drops a topic with its subscribers.
func (h *hub) end(id topicID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.topics[id]; c != nil {
		h.endLocked(id, c)
	}
}

func (h *hub) endLocked(id topicID, c *channel) {
	h.bytes -= c.bytes
	c.kept, c.bytes, c.ended = nil, 0, true
	close(c.more)
	delete(h.topics, id)
}

// endApp drops all topics of an app that was deleted.
func (h *hub) endApp(app cloud.AppID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, c := range h.topics {
		if id.app == app {
			h.endLocked(id, c)
		}
	}
}

// Subscription is one subscriber's place in a topic. It must be closed.
type Subscription struct {
	// Gap reports that messages after the one that the subscriber saw last may be gone.
	Gap bool

	h  *hub
	id topicID
	c  *channel
	at uint64 // the number of the message that was handed out last
}

// Errors of Subscription.Next.
var (
	ErrTopicChanged = cloud.Errorf(cloud.NotFound, "the topic was changed or deleted")
	ErrBehind       = cloud.Errorf(cloud.Overloaded, "the subscriber read too slowly")
)

// Subscribe listens to a topic of the app. after is the id of the message that was seen last,
// "" to begin with the next one. The error is Overloaded when there are too many
// subscribers.
func (s *Store) Subscribe(app cloud.AppID, topic, after string) (*Subscription, error) {
	return s.hub.subscribe(topicID{app, topic}, after)
}

func (h *hub) subscribe(id topicID, after string) (*Subscription, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.all >= h.o.Max:
		return nil, cloud.Errorf(cloud.Overloaded, "%d subscribers listen, and the instance takes no more: try again later", h.all)
	case h.perApp[id.app] >= h.o.MaxPerApp:
		return nil, cloud.Errorf(cloud.Overloaded, "%d subscribers listen to this app, which may have no more: try again later", h.perApp[id.app])
	}
	h.all++
	h.perApp[id.app]++
	c := h.channelLocked(id)
	s := &Subscription{h: h, id: id, c: c, at: h.count}
	if after != "" {
		s.at, s.Gap = c.after(h, after)
	}
	return s, nil
}

// after is where a subscriber goes on who saw the message with that id, and whether some may
// be gone since.
func (c *channel) after(h *hub, id string) (at uint64, gap bool) {
	run, text, _ := strings.Cut(id, ".")
	n, err := strconv.ParseUint(text, 10, 64)
	if run != h.run || err != nil || n > h.count || n < c.lost {
		return c.lost, true
	}
	return n, false
}

// Next answers the messages since the last call, and a channel that is closed when there may
// be more.
func (s *Subscription) Next() (messages []Message, more <-chan struct{}, err error) {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	switch {
	case s.c.ended:
		return nil, nil, ErrTopicChanged
	case s.at < s.c.lost:
		s.h.metrics.dropped.Inc()
		return nil, nil, ErrBehind
	}
	kept := s.c.kept
	i := len(kept)
	for i > 0 && kept[i-1].number > s.at {
		i--
	}
	if i < len(kept) {
		messages = append(messages, kept[i:]...)
		s.at = kept[len(kept)-1].number
	}
	return messages, s.c.more, nil
}

// Drop counts a subscriber that took too long to read, and Close.
func (s *Subscription) Drop() { s.h.metrics.dropped.Inc() }

// Close ends the subscription. It is called once.
func (s *Subscription) Close() {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.h.all--
	if s.h.perApp[s.id.app]--; s.h.perApp[s.id.app] == 0 {
		delete(s.h.perApp, s.id.app)
	}
}

func (h *hub) subscribers() float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return float64(h.all)
}

type hubMetrics struct {
	messages, dropped prometheus.Counter
}

func newHubMetrics() *hubMetrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	return &hubMetrics{
		messages: counter("picloud_realtime_messages_total", "Messages published on topics that subscribers from outside may listen to."),
		dropped:  counter("picloud_realtime_dropped_total", "Subscribers from outside that were dropped because they read too slowly."),
	}
}

func (h *hub) collectors() []prometheus.Collector {
	return []prometheus.Collector{h.metrics.messages, h.metrics.dropped, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "picloud_realtime_subscribers", Help: "Subscribers from outside that listen to a topic.",
	}, h.subscribers)}
}
