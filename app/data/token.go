package data

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"picloud/app/cloud"
)

// Bounds of subscriber tokens.
const (
	maxTokenTopics = 64
	maxToken       = 16 << 10 // bytes
)

// TokenOptions are how tokens for subscribers are signed and how long they may live.
type TokenOptions struct {
	Key               []byte        // of HMAC-SHA256; nil: no tokens
	Min, Max, Default time.Duration // 10 s, 24 h, 1 h
}

func (o TokenOptions) withDefaults() TokenOptions {
	if o.Min <= 0 {
		o.Min = 10 * time.Second
	}
	if o.Max <= 0 {
		o.Max = 24 * time.Hour
	}
	if o.Default <= 0 {
		o.Default = time.Hour
	}
	return o
}

// tokenClaims are what a token says, signed.
type tokenClaims struct {
	App     cloud.AppID `json:"app"`
	Topics  []string    `json:"topics"` // "*", "prefix*" or exact
	Expires int64       `json:"exp"`    // Unix seconds
}

// SubscriberToken makes a token with which its holder may listen to topics of the app from
// outside, each a name or "prefix*", for ttl seconds: NaN is the default, and what is out of
// bounds is put within them. A token can't be taken back.
func (s *Store) SubscriberToken(app cloud.AppID, topics []string, ttl float64, now time.Time) (string, error) {
	o := s.tokens
	switch {
	case len(o.Key) == 0:
		return "", cloud.Errorf(cloud.Forbidden, "this instance makes no tokens for subscribers")
	case len(topics) == 0 || len(topics) > maxTokenTopics:
		return "", cloud.Errorf(cloud.Invalid, "a token is for 1 to %d topics, not %d", maxTokenTopics, len(topics))
	}
	for _, t := range topics {
		name, glob := strings.CutSuffix(t, "*")
		if glob && name == "" {
			continue
		}
		if err := CheckTopic(name); err != nil {
			return "", err
		}
	}
	life := o.Default.Seconds()
	if !math.IsNaN(ttl) {
		life = min(max(ttl, o.Min.Seconds()), o.Max.Seconds())
	}
	claims, err := json.Marshal(tokenClaims{App: app, Topics: topics, Expires: now.Unix() + int64(math.Ceil(life))})
	if err != nil {
		return "", fmt.Errorf("encode a token: %w", err)
	}
	body := base64.RawURLEncoding.EncodeToString(claims)
	return body + "." + base64.RawURLEncoding.EncodeToString(o.sign(body)), nil
}

func (o TokenOptions) sign(body string) []byte {
	h := hmac.New(sha256.New, o.Key)
	h.Write([]byte("subscriber:" + body))
	return h.Sum(nil)
}

var errToken = cloud.Errorf(cloud.Unauthenticated, "the token is not valid for this topic, or has expired: ask the app for another")

// tokenSlack is by how much the clock may have been set back since a token was made.
const tokenSlack = time.Hour

// CheckSubscriberToken says until when a token lets its holder listen to a topic of the app.
// The error is the same whatever is wrong.
func (s *Store) CheckSubscriberToken(token string, app cloud.AppID, topic string, now time.Time) (until time.Time, err error) {
	body, signature, ok := strings.Cut(token, ".")
	if !ok || len(token) > maxToken || len(s.tokens.Key) == 0 {
		return until, errToken
	}
	given, err := base64.RawURLEncoding.Strict().DecodeString(signature)
	if err != nil || !hmac.Equal(given, s.tokens.sign(body)) {
		return until, errToken
	}
	raw, err := base64.RawURLEncoding.DecodeString(body)
	var claims tokenClaims
	if err != nil || json.Unmarshal(raw, &claims) != nil || claims.App != app || !claims.includes(topic) {
		return until, errToken
	}
	until = time.Unix(claims.Expires, 0)
	if !until.After(now) || until.Sub(now) > s.tokens.Max+tokenSlack { // or it was made while the clock was ahead
		return until, errToken
	}
	return until, nil
}

func (c *tokenClaims) includes(topic string) bool {
	for _, t := range c.Topics {
		if prefix, open := strings.CutSuffix(t, "*"); t == topic || open && strings.HasPrefix(topic, prefix) {
			return true
		}
	}
	return false
}
