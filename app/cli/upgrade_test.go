package cli

import (
	"strings"
	"testing"
)

const someSum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestSumOf(t *testing.T) {
	for _, tt := range []struct{ name, sums, want, complaint string }{
		{"text", someSum + "  picloud\n", someSum, ""},
		{"binary", someSum + " *picloud\n", someSum, ""},
		{"capitals, last line without end", "\n" + strings.ToUpper(someSum) + "  picloud", someSum, ""},
		{"others first", "00  picloud.deb\nxx\n" + someSum + "  picloud\n", someSum, ""},
		{"absent", someSum + "  picloud2\n" + someSum + "  dir/picloud\n", "", "no checksum of picloud"},
		{"empty", "", "", "no checksum of picloud"},
		{"short", "e3b0  picloud\n", "", "no SHA-256"},
		{"no hex", strings.Repeat("x", 64) + "  picloud\n", "", "no SHA-256"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := sumOf(strings.NewReader(tt.sums), "picloud")
			if got != tt.want || (err == nil) != (tt.complaint == "") || err != nil && !strings.Contains(err.Error(), tt.complaint) {
				t.Errorf("got %q, %v, want %q, %q", got, err, tt.want, tt.complaint)
			}
		})
	}
}

func FuzzSumOf(f *testing.F) {
	f.Add(someSum+"  picloud\n", "picloud")
	f.Add("\x00  \n", "")
	f.Fuzz(func(t *testing.T, sums, name string) {
		got, err := sumOf(strings.NewReader(sums), name)
		if err == nil && (len(got) != 64 || !strings.Contains(strings.ToLower(sums), got)) {
			t.Errorf("%q is not a checksum of the file", got)
		}
	})
}
