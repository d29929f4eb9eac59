package app

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"picloud/app/cloud"
	"picloud/app/web"
	"picloud/db"
)

// topWorn is how many apps, scripts and triggers the system page shows.
const topWorn = 10

// system is the wear since the start, for the system page. The apps, with the platform and
// the others, add up to what the commits of both files wrote.
func (w *wear) system(ctx context.Context, a *App, hours float64) web.SystemWear {
	apps, scripts, triggers, rest := w.snapshot()
	var sum web.SystemWear
	for i, f := range w.files {
		wrote := f.db.Written() // after the snapshot, which is part of it
		sum.Files = append(sum.Files, fileWear(f.name, wrote))
		sum.Bytes += wrote.LogBytes + wrote.FileBytes
		sum.Fsyncs += wrote.LogSyncs + wrote.FileSyncs
		rest.files[i] = platformOf(wrote, i, apps, rest)
	}
	sum.BytesPerHour = int64(float64(sum.Bytes) / hours)
	sum.Apps = a.appWear(apps, rest)
	sum.Scripts, sum.Triggers = a.scriptWear(ctx, scripts), a.triggerWear(ctx, triggers)
	return sum
}

// restOfWear is what belongs to no app of the list.
type restOfWear struct {
	others [2]wornBytes // apps that are gone, or were too many
	files  [2]wornBytes // the platform's
}

func (w *wear) snapshot() (apps []worn[cloud.AppID], scripts []worn[cloud.ScriptID], triggers []worn[cloud.TriggerID], rest restOfWear) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forgetAppsLocked()
	return w.apps.top(maxWorn), w.scripts.top(topWorn), w.triggers.top(topWorn), restOfWear{others: w.apps.others}
}

// platformOf is what remains of a file's commits when all apps have theirs: the platform's
// own, what was written at the start, and what failed.
func platformOf(wrote db.Written, file int, apps []worn[cloud.AppID], rest restOfWear) wornBytes {
	left := wornBytes{wrote.LogBytes, wrote.CommitSyncs() * 1e6}
	left.subtract(rest.others[file])
	for _, e := range apps {
		left.subtract(e.files[file])
	}
	left.microSyncs = max(left.microSyncs, 0) // another's checkpoint may have synced the log within a commit
	return left
}

func fileWear(name string, w db.Written) web.FileWear {
	return web.FileWear{
		File: name, CommitBytes: w.LogBytes, CommitFsyncs: w.CommitSyncs(),
		CheckpointBytes: w.FileBytes, CheckpointFsyncs: w.LogSyncs + w.FileSyncs - w.CommitSyncs(),
	}
}

func (a *App) appWear(apps []worn[cloud.AppID], rest restOfWear) []web.CauseWear {
	n := min(len(apps), topWorn)
	var list []web.CauseWear
	for _, e := range apps[:n] {
		list = append(list, causeWear(a.control.SlugOf(e.id), e.app, e.files))
	}
	for _, e := range apps[n:] {
		for i := range e.files {
			rest.others[i].add(e.files[i])
		}
	}
	if rest.others != ([2]wornBytes{}) {
		list = append(list, causeWear("others", cloud.AppID{}, rest.others))
	}
	return append(list, causeWear("platform", cloud.AppID{}, rest.files))
}

func causeWear(name string, app cloud.AppID, files [2]wornBytes) web.CauseWear {
	return web.CauseWear{
		Name: name, AppID: app, StateBytes: files[stateFile].bytes, LogsBytes: files[logsFile].bytes,
		Bytes: files[stateFile].bytes + files[logsFile].bytes, Fsyncs: files[stateFile].syncs() + files[logsFile].syncs(),
	}
}

// scriptWear names the scripts; one that is gone by now has no name.
func (a *App) scriptWear(ctx context.Context, scripts []worn[cloud.ScriptID]) []web.CauseWear {
	list := []web.CauseWear{}
	for _, e := range scripts {
		c := causeWear("", e.app, e.files)
		c.ScriptID = e.id
		if s, err := a.control.Script(ctx, e.id); err == nil {
			c.Name = s.AppSlug + "/" + s.Name
		}
		list = append(list, c)
	}
	return list
}

// triggerWear names the triggers by their kind and their script.
func (a *App) triggerWear(ctx context.Context, triggers []worn[cloud.TriggerID]) []web.CauseWear {
	list := []web.CauseWear{}
	for _, e := range triggers {
		c := causeWear("", e.app, e.files)
		c.TriggerID = e.id
		if t, err := a.outbox.Trigger(ctx, e.app, e.id); err == nil {
			c.ScriptID, c.Name = t.ScriptID, t.Kind
			if s, err := a.control.Script(ctx, t.ScriptID); err == nil {
				c.Name += " → " + s.AppSlug + "/" + s.Name
			}
		}
		list = append(list, c)
	}
	return list
}

// Collectors are the wear's metrics.
func (w *wear) Collectors() []prometheus.Collector { return []prometheus.Collector{w} }

var (
	wearBytes  = prometheus.NewDesc("picloud_wear_bytes_total", "Bytes that SQLite has written, by file and by what: commit (to the write-ahead log) or checkpoint.", []string{"file", "by"}, nil)
	wearFsyncs = prometheus.NewDesc("picloud_wear_fsyncs_total", "Fsyncs of the database files and their logs, by file and by what: commit or checkpoint.", []string{"file", "by"}, nil)

	wearApp     = newWearDescs("app", "app")
	wearScript  = newWearDescs("script", "app", "script")
	wearTrigger = newWearDescs("trigger", "app", "trigger")
)

// wearDescs are the metrics of one kind of cause.
type wearDescs struct{ bytes, fsyncs *prometheus.Desc }

func newWearDescs(kind string, labels ...string) wearDescs {
	return wearDescs{
		prometheus.NewDesc("picloud_wear_"+kind+"_bytes_total", "Bytes that commits wrote, by "+kind+" that caused them.", append(labels, "file"), nil),
		prometheus.NewDesc("picloud_wear_"+kind+"_fsyncs_total", "Fsyncs of commits, by "+kind+" that caused them; several share one.", append(labels, "file"), nil),
	}
}

func (w *wear) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{wearBytes, wearFsyncs, wearApp.bytes, wearApp.fsyncs, wearScript.bytes, wearScript.fsyncs, wearTrigger.bytes, wearTrigger.fsyncs} {
		ch <- d
	}
}

func (w *wear) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	for _, f := range w.files {
		x := fileWear(f.name, f.db.Written())
		counter(wearBytes, float64(x.CommitBytes), f.name, "commit")
		counter(wearBytes, float64(x.CheckpointBytes), f.name, "checkpoint")
		counter(wearFsyncs, float64(x.CommitFsyncs), f.name, "commit")
		counter(wearFsyncs, float64(x.CheckpointFsyncs), f.name, "checkpoint")
	}
	cause := func(d wearDescs, files [2]wornBytes, labels ...string) {
		for i, b := range files {
			with := append(labels[:len(labels):len(labels)], w.files[i].name)
			counter(d.bytes, float64(b.bytes), with...)
			counter(d.fsyncs, b.syncs(), with...)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forgetAppsLocked()
	for _, e := range w.apps.worn {
		cause(wearApp, e.files, e.app.String())
	}
	cause(wearApp, w.platform, "platform")
	cause(wearApp, w.apps.others, "others")
	for _, e := range w.scripts.worn {
		cause(wearScript, e.files, e.app.String(), e.id.String())
	}
	for _, e := range w.triggers.worn {
		cause(wearTrigger, e.files, e.app.String(), e.id.String())
	}
}
