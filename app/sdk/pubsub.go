package sdk

import (
	"math"
	"time"

	"picloud/app/cloud"
)

// pubsubModule publishes messages to the app's topics.
var pubsubModule = Module{
	Name:  "pubsub",
	Funcs: map[string]Func{"pubsub.publishDurable": pubsubPublish, "pubsub.subscriberToken": pubsubToken},
	JS: `
expose("pubsub", {
  publishDurable: function publishDurable(topic, message) {
    call("pubsub.publishDurable", "[" + arg(topic, 1) + "," + json(message, "the message") + "]");
  },
  subscriberToken: function subscriberToken(topics, ttlSeconds) {
    return call("pubsub.subscriberToken", "[" + arg(typeof topics === "string" ? [topics] : topics, 1) + "," + arg(ttlSeconds, 2) + "]");
  }
});`,
	Types: `
/** Messages to everybody who listens to a topic: triggers, and subscribers from outside where the topic is registered for them. */
declare const pubsub: {
  /**
   * Publishes message when this execution commits. Each trigger that listens gets it as an event of its own, with its own
   * retries. Topics are 1 to 128 bytes, messages up to 256 KiB as JSON.
   */
  publishDurable(topic: string, message: any): void;
  /**
   * A token with which its holder may listen to topics (each a name or "prefix*") that are registered for subscribers from
   * outside, at /realtime/topics/…, for ttlSeconds: 10 seconds to 24 hours, an hour when left out. It can't be taken back.
   */
  subscriberToken(topics: string | string[], ttlSeconds?: number): string;
};`,
}

func pubsubPublish(c *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	topic, message := a.label("the topic"), a.tail()
	if a.err == nil {
		a.err = c.allow(cloud.TopicPublish)
	}
	if a.err != nil {
		return nil, a.err
	}
	return nil, c.Unit.Publish(topic, message)
}

// maxTokenTopics bounds the list before it is looked at.
const maxTokenTopics = 1000

func pubsubToken(c *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	topics, ttl := a.texts("the list of topics", maxTokenTopics), a.number("ttlSeconds", math.NaN())
	if a.err == nil {
		a.err = c.allow(cloud.TopicPublish)
	}
	if a.err != nil {
		return nil, a.err
	}
	token, err := c.services.Data.SubscriberToken(c.Inv.App, topics, ttl, time.Now())
	if err != nil {
		return nil, err
	}
	return textOut(token), nil
}
