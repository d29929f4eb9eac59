package app

import (
	"context"
	"time"

	"picloud/app/cloud"
	"picloud/app/outbox"
	"picloud/app/sdk"
)

// sendLater makes an attempt of a request that http.later stored.
func (a *App) sendLater(ctx context.Context, inv *cloud.Invocation) *cloud.Result {
	s := sdk.HTTPSender{Client: a.outbound, Secrets: a.secrets, Breakers: &a.breakers, Hold: a.holdHost, Now: time.Now, Logger: a.log}
	return s.Send(ctx, inv)
}

// holdHost keeps the requests that wait for a host from being tried.
func (a *App) holdHost(ctx context.Context, app cloud.AppID, host string, until cloud.Time) error {
	return a.outbox.HoldLane(ctx, app, outbox.HTTPLane(host), until)
}
