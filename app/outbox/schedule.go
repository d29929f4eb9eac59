package outbox

import (
	"strings"
	"time"
	_ "time/tzdata" // machines without a zone database

	"github.com/netresearch/go-cron"

	"picloud/app/cloud"
)

// maxSchedule is the longest text of a schedule.
const maxSchedule = 256

// maxZone is the longest name of a time zone.
const maxZone = 64

// scheduleParser takes the five fields of crontab, a sixth for seconds before them, L, W and
// # in the day fields, and @every, @hourly, @daily, … As in crontab, a day matches either of
// the two day fields when both are restricted.
var scheduleParser = cron.MustNewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow |
	cron.Descriptor | cron.Extended | cron.DowOrDom).WithMaxSearchYears(8) // from one leap day to the next, across 2100

// schedule is when ticks come.
type schedule struct {
	every  time.Duration      // of @every; 0: fields say
	fields *cron.SpecSchedule // in UTC: it is asked for wall-clock times
	hourly bool               // every hour matches
	zone   *time.Location
}

// parseSchedule reads a schedule in an IANA time zone. One that never comes is Invalid, as
// is everything else that is wrong.
func parseSchedule(text, zone string) (*schedule, error) {
	s := &schedule{}
	var err error
	if s.zone, err = parseZone(zone); err != nil {
		return nil, err
	}
	switch {
	case len(text) > maxSchedule:
		return nil, cloud.Errorf(cloud.Invalid, "schedule has %d bytes: at most %d are allowed", len(text), maxSchedule)
	case strings.Contains(text, "TZ="):
		return nil, cloud.Errorf(cloud.Invalid, "schedule %q names a time zone: put it into timezone", text)
	}
	parsed, err := scheduleParser.Parse(text)
	if err != nil {
		return nil, cloud.Errorf(cloud.Invalid, `schedule %q is not one: %s; write "minute hour day month weekday", such as "30 2 * * *", or @daily, @every 10m`, text, err)
	}
	switch p := parsed.(type) {
	case cron.ConstantDelaySchedule:
		s.every = p.Delay
	case *cron.SpecSchedule:
		const everyHour = 1<<24 - 1
		s.hourly = p.Hour&everyHour == everyHour
		s.fields = p
		s.fields.Location = time.UTC
	default:
		return nil, cloud.Errorf(cloud.Invalid, "schedule %q is of a sort that isn't supported", text)
	}
	// The parser takes "," for a field, and the search for a time that matches nothing is long.
	if empty(s.fields) || s.next(time.Unix(0, 0)).IsZero() {
		return nil, cloud.Errorf(cloud.Invalid, "schedule %q never comes: no date matches it", text)
	}
	return s, nil
}

// empty reports that a field of the schedule has no value.
func empty(f *cron.SpecSchedule) bool {
	const values = 1<<60 - 1
	return f != nil && (f.Second&values == 0 || f.Minute&values == 0 || f.Hour&values == 0 || f.Month&values == 0 ||
		f.Dom&values == 0 && len(f.DomConstraints) == 0 || f.Dow&values == 0 && len(f.DowConstraints) == 0)
}

func parseZone(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil || len(name) > maxZone || name == "" || name == "Local" {
		return nil, cloud.Errorf(cloud.Invalid, "timezone %.64q is unknown: write an IANA name such as Europe/Berlin, or UTC", name)
	}
	return zone, nil
}

// next is the first tick after t, zero when there is none within eight years.
//
// A schedule for every hour goes by real time: when the clock is set back it ticks in both of
// the equal hours, when it is set forward the hour that doesn't exist has no tick. Any other
// means the clock on the wall: a time that comes twice ticks at the first, and one that is
// skipped ticks at the moment of the change.
func (s *schedule) next(t time.Time) time.Time {
	switch {
	case s.every > 0:
		return t.Add(s.every)
	case s.hourly:
		in := *s.fields
		in.Location = s.zone
		return in.Next(t).UTC()
	}
	for wall := wallOf(t.In(s.zone)); ; {
		if wall = s.fields.Next(wall); wall.IsZero() {
			return wall
		}
		if at := instantOf(wall, s.zone); at.After(t) {
			return at
		}
	}
}

// wallOf is what a clock on the wall shows at t, as if it were UTC.
func wallOf(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.Add(time.Duration(offset) * time.Second).UTC()
}

// instantOf is when a wall clock in the zone first shows wall, or, when it skips it, the
// moment at which it does.
func instantOf(wall time.Time, zone *time.Location) time.Time {
	const day = 24 * time.Hour
	before := wall.Add(-offsetAt(wall.Add(-day), zone))
	if wallOf(before.In(zone)).Equal(wall) {
		return before
	}
	after := wall.Add(-offsetAt(wall.Add(day), zone))
	if wallOf(after.In(zone)).Equal(wall) {
		return after
	}
	if change, _ := before.In(zone).ZoneBounds(); !change.IsZero() {
		return change.UTC()
	}
	return before
}

func offsetAt(t time.Time, zone *time.Location) time.Duration {
	_, seconds := t.In(zone).Zone()
	return time.Duration(seconds) * time.Second
}

// due lists the ticks of first and later until now, or the newest of them when there are more
// than most; older reports that there were. first must be a tick.
func (s *schedule) due(first, now time.Time, most int) (ticks []time.Time, older bool) {
	for t := first; !t.IsZero() && !t.After(now); t = s.next(t) {
		if len(ticks) == most {
			return s.newest(first, now, most), true
		}
		ticks = append(ticks, t)
	}
	return ticks, false
}

// newest lists the last most ticks until now, of which there are as many after first.
func (s *schedule) newest(first, now time.Time, most int) []time.Time {
	ticks := make([]time.Time, most)
	for i := most - 1; i >= 0; i-- {
		ticks[i] = s.last(first, now)
		now = ticks[i].Add(-time.Millisecond)
	}
	return ticks
}

// last is the newest tick until now. There is one: first.
func (s *schedule) last(first, now time.Time) time.Time {
	if s.every > 0 {
		return first.Add(now.Sub(first) / s.every * s.every)
	}
	from, to := first.Unix()-1, now.Unix() // the tick after from is not after now, that after to is
	for to-from > 1 {
		half := from + (to-from)/2
		if t := s.next(time.Unix(half, 0)); t.IsZero() || t.After(now) {
			to = half
		} else {
			from = half
		}
	}
	if t := s.next(time.Unix(from, 0)); !t.IsZero() && !t.After(now) {
		return t
	}
	return first // by the rules that the zone had when it was stored
}

// from is the first tick at or after t, when first is one that was due.
func (s *schedule) from(first, t time.Time) time.Time {
	switch {
	case !t.After(first):
		return first
	case s.every > 0:
		missed := (t.Sub(first) + s.every - 1) / s.every
		return first.Add(missed * s.every)
	}
	return s.next(t.Add(-time.Millisecond))
}
