package cloud

import (
	"bytes"
	"time"
)

// Time is an instant in Unix milliseconds, as the database stores it. As JSON it is
// RFC 3339 with milliseconds, UTC; zero is null.
type Time int64

const timeLayout = "2006-01-02T15:04:05.000Z"

// TimeOf cuts t to milliseconds.
func TimeOf(t time.Time) Time { return Time(t.UnixMilli()) }

func (t Time) Time() time.Time { return time.UnixMilli(int64(t)).UTC() }

func (t Time) IsZero() bool { return t == 0 }

// Add returns the instant d later, cut to milliseconds.
func (t Time) Add(d time.Duration) Time { return t + Time(d.Milliseconds()) }

func (t Time) String() string { return t.Time().Format(timeLayout) }

func (t Time) MarshalJSON() ([]byte, error) {
	if t == 0 {
		return []byte("null"), nil
	}
	return t.Time().AppendFormat(make([]byte, 0, 28), `"`+timeLayout+`"`), nil
}

func (t *Time) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) {
		*t = 0
		return nil
	}
	v, err := time.Parse(`"`+time.RFC3339Nano+`"`, string(b))
	if err != nil {
		return Errorf(Invalid, "%s is not a time: write RFC 3339, such as \"2026-01-02T15:04:05.000Z\"", b)
	}
	*t = TimeOf(v)
	return nil
}
