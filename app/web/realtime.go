package web

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"picloud/app/cloud"
	"picloud/app/data"
)

const (
	realtimePrefix = "/realtime"
	topicPrefix    = realtimePrefix + "/topics/"
)

// realtimeBySlug takes /~slug/realtime/… apart.
func realtimeBySlug(path string) (slug, rest string, ok bool) {
	if !strings.HasPrefix(path, "/~") {
		return "", "", false
	}
	slug, _, ok = strings.Cut(path[2:], "/")
	rest = path[2+len(slug):]
	return slug, rest, ok && under(rest, realtimePrefix)
}

// realtime answers GET /realtime/topics/{topic}: the messages of a topic as server-sent
// events. Browsers of any site may ask: a subscriber is known by a token, never by a cookie.
func (s *Server) realtime(w http.ResponseWriter, r *http.Request, slug, path string) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		h.Set("Access-Control-Allow-Methods", "GET, HEAD")
		h.Set("Access-Control-Allow-Headers", "Authorization, Cache-Control, Last-Event-ID")
		h.Set("Access-Control-Max-Age", "86400")
		fallthrough
	default:
		refuseMethod(s, w, r, readOnly)
		return
	}
	if err := s.serveTopic(w, r, slug, path); err != nil {
		s.fail(w, r, err)
	}
}

var errNoSuchTopic = cloud.Errorf(cloud.NotFound, "no such topic is open to subscribers: an app's administrator registers it as external_subscribable")

func (s *Server) serveTopic(w http.ResponseWriter, r *http.Request, slug, path string) error {
	name, ok := strings.CutPrefix(path, topicPrefix)
	topic, err := url.PathUnescape(name)
	if !ok || err != nil || data.CheckTopic(topic) != nil || slug != "" && s.NoSlugRoutes {
		return errNoSuchTopic
	}
	app, ok := s.Control.Routes().AppOf(s.host(r), slug)
	if !ok {
		if current, former := s.Control.FormerSlug(slug); former {
			return &moved{to: currentSlugURL(r.URL, current)}
		}
		return errNoSuchTopic
	}
	sub, until, err := s.subscribe(r, app, topic)
	if err != nil {
		return err
	}
	if r.Method == http.MethodHead {
		sub.Close()
		streamHeaders(w.Header())
		return nil
	}
	s.streamTopic(w, r, sub, until)
	return nil
}

// subscribe checks that the request may listen to a topic. until is when a token ends, zero
// for a public topic.
func (s *Server) subscribe(r *http.Request, app cloud.AppID, topic string) (sub *data.Subscription, until time.Time, err error) {
	owner, _, err := s.Data.ExternalTopic(r.Context(), app, topic)
	if err != nil {
		return nil, until, orNoTopic(err)
	}
	if sub, err = s.Data.Subscribe(owner, topic, r.Header.Get("Last-Event-ID")); err != nil {
		return nil, until, err
	}
	// Looked at again now that a change of the topic would end the subscription.
	_, t, err := s.Data.ExternalTopic(r.Context(), owner, topic)
	if err == nil && t.AuthMode != data.AuthPublic {
		until, err = s.Data.CheckSubscriberToken(subscriberToken(r), owner, topic, s.Now())
	}
	if err != nil {
		sub.Close()
		return nil, until, orNoTopic(err)
	}
	return sub, until, nil
}

func orNoTopic(err error) error {
	if cloud.KindOf(err) == cloud.NotFound {
		return errNoSuchTopic
	}
	return err
}

// subscriberToken is the token of a request: an EventSource can send no header.
func subscriberToken(r *http.Request) string {
	if token, ok := bearer(r.Header.Values("Authorization")); ok {
		return token
	}
	return r.URL.Query().Get("token")
}

// streamTopic answers with the messages of a subscription, which it closes, and holds no
// permit. It takes the connection from the server where it can: a subscriber waits for
// hours, and would keep the request, two buffers and a grown stack meanwhile, three times
// what it needs.
func (s *Server) streamTopic(w http.ResponseWriter, r *http.Request, sub *data.Subscription, until time.Time) {
	c := http.NewResponseController(w)
	conn, _, err := c.Hijack()
	if err != nil { // HTTP/2
		defer sub.Close()
		out := responseEvents(w)
		if out.send(streamOpened) == nil {
			s.follow(out, r.Context().Done(), sub, until)
		}
		return
	}
	out := &eventWriter{hijacked{conn}}
	if out.send(streamHead(w.Header(), s.Now())) != nil {
		conn.Close()
		sub.Close()
		return
	}
	// Shutdown doesn't wait for it: it ends with stopping and leaves nothing undone.
	go func() {
		defer sub.Close()
		defer conn.Close()
		s.follow(out, left(conn), sub, until)
	}()
}

// hijacked is a connection that was taken from the server.
type hijacked struct{ net.Conn }

func (hijacked) Flush() error { return nil }

// streamHead is the beginning of an HTTP/1.1 answer that ends with its connection.
func streamHead(h http.Header, now time.Time) string {
	streamHeaders(h)
	h.Set("Date", now.UTC().Format(http.TimeFormat))
	h.Set("Connection", "close")
	var head strings.Builder
	head.WriteString("HTTP/1.1 200 OK\r\n")
	_ = h.Write(&head)
	head.WriteString("\r\n" + streamOpened)
	return head.String()
}

// left is closed when the client closes the connection. From one that sends something
// instead nothing more is read: a heartbeat that can't be written ends its stream.
func left(conn net.Conn) <-chan struct{} {
	gone := make(chan struct{})
	go func() {
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			close(gone)
		}
	}()
	return gone
}

// follow sends messages as they are committed, until the client leaves or reads too slowly,
// its token ends, the topic changes, or the server stops.
func (s *Server) follow(out *eventWriter, gone <-chan struct{}, sub *data.Subscription, until time.Time) {
	if sub.Gap && out.event("gap", map[string]string{"reason": "messages after the last one seen may be gone"}) != nil {
		return
	}
	var expired <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(until.Sub(s.Now()))
		defer timer.Stop()
		expired = timer.C
	}
	s.beats.join()
	defer s.beats.leave()
	for {
		messages, more, err := sub.Next()
		if err != nil {
			_ = out.event("end", map[string]string{"reason": cloud.Message(err)})
			return
		}
		if len(messages) > 0 {
			if err := out.messages(messages); err != nil {
				if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
					sub.Drop()
				}
				return
			}
			continue
		}
		select {
		case <-more:
		case <-s.beats.next():
			if out.send(": heartbeat\n\n") != nil {
				return
			}
		case <-expired:
			_ = out.event("end", map[string]string{"reason": "the token has expired"})
			return
		case <-s.stopping:
			return
		case <-gone:
			return
		}
	}
}

func isTimeout(err error) bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && t.Timeout()
}

// eventsAtOnce is how many bytes of messages go into one write; one message may be longer.
const eventsAtOnce = 16 << 10

// messages sends messages, those that fit in one write. A single one, which is what most
// subscribers wait for, is written as it is kept.
func (e *eventWriter) messages(all []data.Message) error {
	for len(all) > 0 {
		b := all[0].Event
		n := 1
		for b = b[:len(b):len(b)]; n < len(all) && len(b)+len(all[n].Event) <= eventsAtOnce; n++ {
			b = append(b, all[n].Event...)
		}
		if err := e.write(b); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}
