package web

import (
	"context"
	"errors"
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
		secure(h)
		h.Set("Access-Control-Allow-Methods", "GET, HEAD")
		h.Set("Access-Control-Allow-Headers", "Authorization, Cache-Control, Last-Event-ID")
		h.Set("Access-Control-Max-Age", "86400")
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		allow(w, map[string]bool{http.MethodGet: true})
		s.fail(w, r, cloud.Errorf(cloud.MethodNotAllowed, "this path takes GET"))
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
	defer sub.Close()
	if r.Method == http.MethodHead {
		streamHeaders(w.Header())
		return nil
	}
	s.streamTopic(r.Context(), w, sub, until)
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

// streamTopic sends messages as they are committed, until the client leaves or reads too
// slowly, its token ends, the topic changes, or the server stops. It holds no permit.
func (s *Server) streamTopic(ctx context.Context, w http.ResponseWriter, sub *data.Subscription, until time.Time) {
	out := &eventWriter{w: w, c: http.NewResponseController(w)}
	if out.open() != nil {
		return
	}
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
		case <-ctx.Done():
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

// messages sends events with their ids, as one write where they fit.
func (e *eventWriter) messages(all []data.Message) error {
	_ = e.c.SetWriteDeadline(time.Now().Add(streamWriteTime))
	b := make([]byte, 0, 256)
	for _, m := range all {
		b = append(append(b[:0], "id: "...), m.ID...)
		b = append(append(b, "\ndata: "...), m.Data...)
		if _, err := e.w.Write(append(b, "\n\n"...)); err != nil {
			return err
		}
	}
	return e.c.Flush()
}
