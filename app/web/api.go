package web

import "picloud/app/cloud"

// api is the whole API on one screen: method, path, the capability it needs, how its app is
// found (nil: it has none), its name in the audit log, its function, what it is for.
func (s *Server) api() []endpoint {
	app, script, route, execution := s.byApp, s.byScript, s.byRoute, s.byExecution
	return []endpoint{
		{"GET", "/openapi.json", cloud.Public, nil, "", raw("application/json", s.getOpenAPI), "This document."},
		{"POST", "/execute/{id}", cloud.ScriptWrite, script, "", raw("*/*", s.execute), "Runs a script directly and answers what a route would."},

		{"GET", "/admin/auth/setup", cloud.Public, nil, "", call(s.getSetup), "Tells whether the first owner is still to be created."},
		{"POST", "/admin/auth/setup", cloud.Public, nil, "user.setup", call(s.setup), "Creates the first owner with the token printed at first start, and logs them in."},
		{"POST", "/admin/auth/login", cloud.Public, nil, "user.login", call(s.login).answers(200), "Starts a session: the answer sets its cookie."},
		{"POST", "/admin/auth/logout", cloud.Any, nil, "", call(s.logout), "Ends the session that the request belongs to."},
		{"GET", "/admin/auth/me", cloud.Any, nil, "", call(s.me), "Tells who is calling and their roles."},
		{"POST", "/admin/auth/password", cloud.Any, nil, "user.password", call(s.changePassword), "Changes the own password and ends the other sessions."},
		{"GET", "/admin/auth/sessions", cloud.Any, nil, "", call(s.sessions), "Lists the own sessions."},
		{"DELETE", "/admin/auth/sessions/{id}", cloud.Any, nil, "session.end", call(s.endSession), "Ends one of the own sessions."},

		{"GET", "/admin/admins", cloud.InstanceUsers, nil, "", call(s.users), "Lists the users of the instance."},
		{"POST", "/admin/admins", cloud.InstanceUsers, nil, "user.create", call(s.createUser), "Creates a user."},
		{"GET", "/admin/admins/{id}", cloud.InstanceUsers, nil, "", call(s.user), "Shows a user."},
		{"PATCH", "/admin/admins/{id}", cloud.InstanceUsers, nil, "user.update", call(s.updateUser), "Changes a user; deactivating one ends their sessions, keys and triggers at once."},
		{"DELETE", "/admin/admins/{id}", cloud.InstanceUsers, nil, "user.delete", call(s.deleteUser), "Deletes a user."},
		{"GET", "/admin/api-keys", cloud.Any, nil, "", call(s.keys), "Lists the own API keys."},
		{"POST", "/admin/api-keys", cloud.Any, nil, "key.create", call(s.createKey), "Creates an API key; the answer is the only place that shows it."},
		{"DELETE", "/admin/api-keys/{id}", cloud.Any, nil, "key.delete", call(s.deleteKey), "Deletes one of the own API keys."},
		{"GET", "/admin/system", cloud.InstanceSystem, nil, "", call(s.getSystem), "Shows version, sizes, load and warnings."},
		{"GET", "/admin/audit", cloud.InstanceAudit, nil, "", call(s.audit), "Lists who did what on the instance, newest first."},

		{"GET", "/admin/apps", cloud.Any, nil, "", call(s.apps), "Lists the apps one belongs to."},
		{"POST", "/admin/apps", cloud.AppCreate, nil, "app.create", call(s.createApp), "Creates an app."},
		{"GET", "/admin/apps/{app}", cloud.AppRead, app, "", call(s.getApp), "Shows an app."},
		{"PATCH", "/admin/apps/{app}", cloud.AppManage, app, "app.update", call(s.updateApp), "Renames or describes an app; its former slug redirects."},
		{"DELETE", "/admin/apps/{app}", cloud.AppManage, app, "app.delete", call(s.deleteApp), "Deletes an app; one that isn't empty needs cascade=true."},
		{"GET", "/admin/apps/{app}/audit", cloud.AppManage, app, "", call(s.appAudit), "Lists who did what in an app, newest first."},
		{"GET", "/admin/apps/{app}/quotas", cloud.AppRead, app, "", call(s.quotas), "Shows what an app may use at most; 0 is no limit."},
		{"PUT", "/admin/apps/{app}/quotas", cloud.InstanceSystem, app, "app.quotas", call(s.setQuotas), "Sets what an app may use at most."},
		{"GET", "/admin/apps/{app}/outbound", cloud.AppRead, app, "", call(s.outbound), "Shows which reserved addresses and hosts an app's scripts may call."},
		{"PUT", "/admin/apps/{app}/outbound", cloud.InstanceSystem, app, "app.outbound", call(s.setOutbound), "Sets which reserved addresses and hosts an app's scripts may call."},
		{"GET", "/admin/apps/{app}/members", cloud.AppManage, app, "", call(s.members), "Lists the members of an app."},
		{"GET", "/admin/apps/{app}/members/{user_id}", cloud.AppManage, app, "", call(s.member), "Shows a member."},
		{"PUT", "/admin/apps/{app}/members/{user_id}", cloud.AppManage, app, "member.set", call(s.setMember), "Gives a user a role in an app."},
		{"DELETE", "/admin/apps/{app}/members/{user_id}", cloud.AppManage, app, "member.remove", call(s.removeMember), "Takes a user's role in an app."},
		{"GET", "/admin/apps/{app}/domains", cloud.DomainManage, app, "", call(s.domains), "Lists the hosts an app has claimed."},
		{"POST", "/admin/apps/{app}/domains", cloud.DomainManage, app, "domain.create", call(s.createDomain), "Claims a host for an app."},
		{"DELETE", "/admin/apps/{app}/domains/{id}", cloud.DomainManage, app, "domain.delete", call(s.deleteDomain), "Gives a host back."},

		{"GET", "/admin/apps/{app}/scripts", cloud.ScriptRead, app, "", call(s.scripts), "Lists the scripts of an app."},
		{"POST", "/admin/apps/{app}/scripts", cloud.ScriptWrite, app, "script.create", call(s.createScript), "Creates a script; it is compiled first."},
		{"GET", "/admin/scripts/{id}", cloud.ScriptRead, script, "", call(s.getScript), "Shows a script with its source."},
		{"PATCH", "/admin/scripts/{id}", cloud.ScriptWrite, script, "script.update", call(s.updateScript), "Saves a new version of a script."},
		{"DELETE", "/admin/scripts/{id}", cloud.ScriptWrite, script, "script.delete", call(s.deleteScript), "Deletes a script with its routes and triggers."},
		{"GET", "/admin/scripts/{id}/versions", cloud.ScriptRead, script, "", call(s.versions), "Lists the kept versions of a script, newest first."},
		{"POST", "/admin/scripts/{id}/rollback", cloud.ScriptWrite, script, "script.rollback", call(s.rollback).answers(200), "Saves an earlier version as the newest one."},
		{"GET", "/admin/scripts/{id}/routes", cloud.ScriptRead, script, "", call(s.scriptRoutes), "Lists the routes to a script."},
		{"POST", "/admin/scripts/{id}/routes", cloud.RouteWrite, script, "route.create", call(s.createRoute), "Creates a route to a script."},
		{"GET", "/admin/apps/{app}/routes", cloud.ScriptRead, app, "", call(s.appRoutes), "Lists the routes of an app."},
		{"GET", "/admin/apps/{app}/routes/match", cloud.ScriptRead, app, "", call(s.matchRoute), "Tells which route of an app a request would take."},
		{"DELETE", "/admin/routes/{id}", cloud.RouteWrite, route, "route.delete", call(s.deleteRoute), "Deletes a route."},

		{"GET", "/admin/apps/{app}/triggers", cloud.TriggerManage, app, "", call(s.triggers), "Lists the triggers of an app."},
		{"POST", "/admin/apps/{app}/triggers/kv", cloud.TriggerManage, app, "trigger.create", call(s.createKVTrigger), "Creates a trigger for changes of keys."},
		{"POST", "/admin/apps/{app}/triggers/dead_letter", cloud.TriggerManage, app, "trigger.create", call(s.createDeadLetterTrigger), "Creates a trigger for dead letters."},
		{"GET", "/admin/apps/{app}/triggers/{id}", cloud.TriggerManage, app, "", call(s.trigger), "Shows a trigger."},
		{"PATCH", "/admin/apps/{app}/triggers/{id}", cloud.TriggerManage, app, "trigger.update", call(s.updateTrigger), "Changes, enables or disables a trigger."},
		{"DELETE", "/admin/apps/{app}/triggers/{id}", cloud.TriggerManage, app, "trigger.delete", call(s.deleteTrigger), "Deletes a trigger."},
		{"GET", "/admin/apps/{app}/dead_letters", cloud.DeadLetterManage, app, "", call(s.deadLetters), "Lists dead letters, newest first."},
		{"GET", "/admin/apps/{app}/dead_letters/count", cloud.DeadLetterManage, app, "", call(s.countDeadLetters), "Counts the unresolved dead letters."},
		{"GET", "/admin/apps/{app}/dead_letters/{id}", cloud.DeadLetterManage, app, "", call(s.deadLetter), "Shows a dead letter with its payload and attempts."},
		{"POST", "/admin/apps/{app}/dead_letters/{id}/replay", cloud.DeadLetterManage, app, "dead_letter.replay", call(s.replay), "Puts a dead letter's event back into the outbox."},
		{"POST", "/admin/apps/{app}/dead_letters/{id}/resolve", cloud.DeadLetterManage, app, "dead_letter.resolve", call(s.resolve), "Closes a dead letter."},
		{"POST", "/admin/apps/{app}/dead_letters/replay", cloud.DeadLetterManage, app, "dead_letter.replay", call(s.replayMany).answers(200), "Replays every open dead letter that the filter selects."},
		{"POST", "/admin/apps/{app}/dead_letters/resolve", cloud.DeadLetterManage, app, "dead_letter.resolve", call(s.resolveMany).answers(200), "Closes every open dead letter that the filter selects."},
		{"GET", "/admin/apps/{app}/outbox", cloud.OutboxManage, app, "", call(s.rows), "Lists waiting, running and retrying work, oldest first."},
		{"DELETE", "/admin/apps/{app}/outbox/{id}", cloud.OutboxManage, app, "outbox.cancel", call(s.cancel), "Cancels work that is not running."},

		{"POST", "/admin/apps/{app}/deploy", cloud.AppDeploy, app, "app.deploy", call(s.deploy).answers(200).takes(maxDeployBody), "Makes an app hold a project: scripts, routes and triggers, all or nothing."},
		{"POST", "/admin/apps/{app}/deploy/plan", cloud.AppDeploy, app, "", call(s.planDeploy).answers(200).takes(maxDeployBody), "Checks a project and shows what a deployment would change."},
		{"GET", "/admin/apps/{app}/deployments", cloud.AppDeploy, app, "", call(s.deployments), "Lists the deployments that are kept, newest first."},
		{"POST", "/admin/apps/{app}/rollback", cloud.AppDeploy, app, "app.rollback", call(s.rollbackApp).answers(200), "Brings back what an earlier deployment had deployed, as a deployment of its own."},
		{"POST", "/admin/apps/{app}/rollback/plan", cloud.AppDeploy, app, "", call(s.planRollback).answers(200), "Shows what a rollback would change."},

		{"GET", "/admin/apps/{app}/kv", cloud.KVRead, app, "", call(s.collections), "Lists the collections of an app."},
		{"GET", "/admin/apps/{app}/kv/{collection}", cloud.KVRead, app, "", call(s.kvKeys), "Lists the keys of a collection."},
		{"GET", "/admin/apps/{app}/kv/{collection}/{key...}", cloud.KVRead, app, "", call(s.kvGet), "Shows a key's value."},
		{"PUT", "/admin/apps/{app}/kv/{collection}/{key...}", cloud.KVWrite, app, "kv.put", call(s.kvPut), "Stores a value; triggers fire as for a script's write."},
		{"DELETE", "/admin/apps/{app}/kv/{collection}/{key...}", cloud.KVWrite, app, "kv.delete", call(s.kvDelete), "Deletes a key; triggers fire as for a script's write."},

		{"GET", "/admin/apps/{app}/executions", cloud.LogRead, app, "", call(s.executions), "Lists executions, newest first."},
		{"GET", "/admin/apps/{app}/executions/stream", cloud.LogRead, app, "", raw("text/event-stream", s.stream), "Streams executions as they finish, as server-sent events."},
		{"GET", "/admin/executions/{id}", cloud.LogRead, execution, "", call(s.getExecution), "Shows an execution, or the state of the event with this id."},
		{"GET", "/admin/executions/{id}/chain", cloud.LogRead, execution, "", call(s.chain), "Shows everything that an execution's root led to, as a tree."},
		{"GET", "/admin/apps/{app}/abandoned_executions", cloud.LogRead, app, "", call(s.abandoned), "Lists results that nobody waited for any more."},
	}
}
