package outbox

import (
	"slices"
	"strings"
	"testing"
	"time"

	"picloud/app/cloud"
)

func mustSchedule(t testing.TB, text, zone string) *schedule {
	t.Helper()
	s, err := parseSchedule(text, zone)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func at(t testing.TB, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestScheduleNext(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, schedule, zone, after string
		want                        []string
	}{
		{"minutes", "*/20 * * * *", "UTC", "2026-03-01T00:05:00Z", []string{"2026-03-01T00:20:00Z", "2026-03-01T00:40:00Z", "2026-03-01T01:00:00Z"}},
		{"seconds first of six", "30 0 12 * * *", "UTC", "2026-03-01T00:00:00Z", []string{"2026-03-01T12:00:30Z", "2026-03-02T12:00:30Z"}},
		{"names", "0 9 * jan-feb MON", "UTC", "2026-02-20T00:00:00Z", []string{"2026-02-23T09:00:00Z", "2027-01-04T09:00:00Z"}},
		{"either day field", "0 0 13 * FRI", "UTC", "2026-11-01T00:00:00Z", []string{"2026-11-06T00:00:00Z", "2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"}},
		{"last day of the month", "0 0 L * *", "UTC", "2028-02-01T00:00:00Z", []string{"2028-02-29T00:00:00Z", "2028-03-31T00:00:00Z"}},
		{"leap day", "0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", []string{"2104-02-29T00:00:00Z"}},
		{"daily", "@daily", "Asia/Kolkata", "2026-03-01T00:00:00Z", []string{"2026-03-01T18:30:00Z"}},
		{"every", "@every 90s", "UTC", "2026-03-01T00:00:10Z", []string{"2026-03-01T00:01:40Z", "2026-03-01T00:03:10Z"}},

		// Berlin: 29 March 2026, 2:00 becomes 3:00 at 1:00 UTC; 25 October, 3:00 becomes 2:00 at 1:00 UTC.
		{"a skipped time ticks at the change", "30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", []string{"2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"}},
		{"several skipped times tick once", "*/15 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", []string{"2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"}},
		{"a skipped time that meets another ticks once", "0 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", []string{"2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"}},
		{"a doubled time ticks at the first", "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
		{"every hour goes by real time in spring", "30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", []string{"2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"}},
		{"every hour goes by real time in autumn", "30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"}},
		{"midnight that doesn't exist", "0 0 * * *", "America/Havana", "2026-03-07T12:00:00Z", []string{"2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"}},
		{"a change of half an hour", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", []string{"2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"}},
		{"a day that doesn't exist", "0 12 30 12 *", "Pacific/Apia", "2011-01-01T00:00:00Z", []string{"2011-12-30T10:00:00Z"}},
	}
	for _, tt := range tests {
		s, now := mustSchedule(t, tt.schedule, tt.zone), at(t, tt.after)
		var got []string
		for range tt.want {
			now = s.next(now)
			got = append(got, now.UTC().Format(time.RFC3339))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestScheduleRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ schedule, zone, part string }{
		{"", "UTC", "write"},
		{"* * * *", "UTC", "write"},
		{"* * * * * * *", "UTC", "write"},
		{"61 * * * *", "UTC", "61"},
		{"@reboot", "UTC", "@daily"},
		{"@every 10ms", "UTC", "1s"},
		{"@every -1h", "UTC", "1s"},
		{"@every", "UTC", "write"},
		{"H * * * *", "UTC", "write"},
		{"0 0 30 2 *", "UTC", "never comes"},
		{", * * * *", "UTC", "never comes"},
		{"0 0 * , *", "UTC", "never comes"},
		{"CRON_TZ=Asia/Tokyo 0 0 * * *", "UTC", "put it into timezone"},
		{"TZ=", "UTC", "put it into timezone"},
		{strings.Repeat("0,", 200) + "0 * * * *", "UTC", "at most"},
		{"@daily", "Middle/Earth", "IANA"},
		{"@daily", "Local", "IANA"},
		{"@daily", "../../etc/passwd", "IANA"},
		{"@daily", strings.Repeat("A", 5000), "IANA"},
	} {
		_, err := parseSchedule(tt.schedule, tt.zone)
		wantError(t, err, cloud.Invalid, tt.part)
	}
}

// The shortcuts over long gaps must find what walking tick by tick does.
func TestScheduleDue(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"@every 7m", "*/7 * * * *", "* * 2 * * *", "30 2 * * *", "0 0 1 * *", "15,45 1-3 * * SUN", "0 */6 * * *"} {
		s := mustSchedule(t, text, "Europe/Berlin")
		first := s.next(at(t, "2026-03-27T11:11:11Z"))
		for _, d := range []time.Duration{0, time.Second, time.Hour, 26 * time.Hour, 10 * 24 * time.Hour, 220 * 24 * time.Hour} {
			now := first.Add(d)
			var all []time.Time
			for x := first; !x.After(now) && len(all) < 20_000; x = s.next(x) {
				all = append(all, x)
			}
			if len(all) == 20_000 {
				continue
			}
			const most = 50
			want := all[max(0, len(all)-most):]
			if got, older := s.due(first, now, most); !slices.Equal(got, want) || older != (len(all) > most) {
				t.Errorf("%s, %v: due: got %d from %v (older: %v), want %d from %v", text, d, len(got), got[0], older, len(want), want[0])
			}
			if got := s.last(first, now); !got.Equal(all[len(all)-1]) {
				t.Errorf("%s, %v: last: got %v, want %v", text, d, got, all[len(all)-1])
			}
			half := first.Add(d / 2)
			i := slices.IndexFunc(all, func(x time.Time) bool { return !x.Before(half) })
			if got := s.from(first, half); i >= 0 && !got.Equal(all[i]) {
				t.Errorf("%s, %v: from: got %v, want %v", text, d, got, all[i])
			}
		}
	}
}

// Whatever is accepted ticks, ever later, in any zone.
func FuzzSchedule(f *testing.F) {
	for _, text := range []string{"30 2 * * *", "*/7 1-3 * * SUN", "@every 1h30m", "@weekly", "0 0 L * *", "0 0 15W * *", "0 0 * * FRI#2", "TZ=UTC * * * * *", "59-0 22-2 * NOV-FEB *", "* * * * * ?"} {
		f.Add(text, "Europe/Berlin", int64(1_774_700_000))
	}
	f.Add("@daily", "Australia/Lord_Howe", int64(1_791_000_000))
	f.Fuzz(func(t *testing.T, text, zone string, unix int64) {
		s, err := parseSchedule(text, zone)
		if err != nil {
			if cloud.KindOf(err) != cloud.Invalid {
				t.Fatalf("got %v, want an invalid", err)
			}
			return
		}
		now := time.Unix(unix%(1<<33), 0)
		for range 5 {
			next := s.next(now)
			if next.IsZero() {
				return
			}
			if !next.After(now) {
				t.Fatalf("%q in %s: after %v comes %v", text, zone, now, next)
			}
			now = next
		}
	})
}
