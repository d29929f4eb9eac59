package sdk

import "picloud/app/cloud"

// pubsubModule publishes messages to the app's topics.
var pubsubModule = Module{
	Name:  "pubsub",
	Funcs: map[string]Func{"pubsub.publishDurable": pubsubPublish},
	JS: `
expose("pubsub", {
  publishDurable: function publishDurable(topic, message) {
    call("pubsub.publishDurable", "[" + arg(topic, 1) + "," + json(message, "the message") + "]");
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
};`,
}

func pubsubPublish(c *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	topic, message := a.text("the topic"), a.tail()
	if a.err == nil {
		a.err = c.allow(cloud.TopicPublish)
	}
	if a.err != nil {
		return nil, a.err
	}
	return nil, c.Unit.Publish(topic, message)
}
