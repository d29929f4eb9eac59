package sdk

import (
	"context"
	"strings"
	"testing"
	"time"
)

// unescape undoes what otto's JSON.stringify does for the sake of HTML.
var unescape = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&")

func TestStandardLibrary(t *testing.T) { onEngines(t, false, checkStandardLibrary) }

func checkStandardLibrary(t *testing.T, s *sandbox) {
	tests := []struct{ name, script, want string }{
		{"random.int of one", `return random.int(7, 7)`, `7`},
		{"random.int stays inside", `var i, n; for (i = 0; i < 200; i++) { n = random.int(-2, 2); if (n < -2 || n > 2 || n % 1 !== 0) { return n; } } return "ok"`, `"ok"`},
		{"random.int over everything", `return Math.abs(random.int(-9007199254740991, 9007199254740991)) <= 9007199254740991`, `true`},
		{"random.int reaches both ends", `var i, seen = {}; for (i = 0; i < 300; i++) { seen[random.int(0, 2)] = 1; } return Object.keys(seen).sort()`, `["0","1","2"]`},
		{"random.float", `var i, f; for (i = 0; i < 100; i++) { f = random.float(); if (!(f >= 0 && f < 1)) { return f; } } return random.float() !== random.float()`, `true`},
		{"random.bytes", `var b = random.bytes(1000); return [Array.isArray(b), b.length, b.every(function (x) { return x >= 0 && x < 256; })]`, `[true,1000,true]`},
		{"random.bytes at its cap", `return random.bytes(65536).length`, `65536`},
		{"random.string", `var s = random.string(4096); return [s.length, /^[A-Za-z0-9]+$/.test(s), random.string(0)]`, `[4096,true,""]`},
		{"random.uuid", `return /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(random.uuid())`, `true`},

		{"time.now", `return Math.abs(time.parse(time.now()) - time.nowMs()) < 60000 && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(time.now())`, `true`},
		{"time.parse", `return [time.parse("1970-01-01T00:00:01.5Z"), time.parse("2026-01-02T03:04:05+01:00"), time.parse("1970-01-02"), time.parse("1969-12-31T23:59:59Z")]`, `[1500,1767319445000,86400000,-1000]`},
		{"time.format", `return [time.format(0), time.format("2026-01-02T03:04:05+01:00"), time.format(1500, "%Y/%m/%d %H:%M:%S.%L %% %a %A %b %B %j %e %y %I%p %u%w %s %Z %z %F %T")]`,
			`["1970-01-01T00:00:00.000Z","2026-01-02T02:04:05.000Z","1970/01/01 00:00:01.500 % Thu Thursday Jan January 001  1 70 12AM 44 1 UTC +0000 1970-01-01 00:00:01"]`},
		{"time.addSeconds", `return [time.addSeconds(1000, 1.5), time.addSeconds("2026-02-28T23:59:59Z", 1), time.addSeconds(0, -1)]`, `[2500,"2026-03-01T00:00:00.000Z",-1000]`},
		{"time.diffSeconds", `return [time.diffSeconds("2026-01-01T00:01:00Z", "2026-01-01T00:00:00Z"), time.diffSeconds(0, 1500)]`, `[60,-1.5]`},

		{"regex.isMatch", `return [regex.isMatch("^a+$", "aaa"), regex.isMatch("b", "aaa")]`, `[true,false]`},
		{"regex.find", `return [regex.find("[0-9]+", "a12b3"), typeof regex.find("x", "a")]`, `["12","undefined"]`},
		{"regex.findAll", `return [regex.findAll("[0-9]+", "a12b3é4"), regex.findAll("x", "a"), regex.findAll("", "ab"), regex.findAll("a*", "baac")]`, `[["12","3","4"],[],["","",""],["","aa",""]]`},
		{"regex sees what is before", `return [regex.findAll("\\bfoo", "foofoo foo"), regex.findAll("(?m)^.", "a\nb\nc"), regex.findAll("^.", "aaa"), regex.findAll("\\Bo", "oo o")]`, `[["foo","foo"],["a","b","c"],["a"],["o"]]`},
		{"regex.replace", `return [regex.replace("o", "foo", "0"), regex.replaceAll("o", "foo", "0"), regex.replaceAll("x", "foo", "0"), regex.replaceAll("", "ab", "-")]`, `["f0o","f00","foo","-a-b-"]`},
		{"regex references", `return [regex.replaceAll("(?P<a>\\w)(\\d)?", "x1y", "[$2$1${a}$<a>$&$$$9$]"), regex.replace("(a)", "a", "$1x $11 ${1}1 $0")]`, `["[1xxxx1$$9$][yyyy$$9$]","ax a1 a1 $0"]`},
		{"regex.split", `return [regex.split(",\\s*", "a, b,c,"), regex.split(",", "a,b,c", 2), regex.split("", "héy"), regex.split("x", "abc"), regex.split(",", ""), regex.split(",", "a,b", 1e300)]`, `[["a","b","c",""],["a","b,c"],["h","é","y"],["abc"],[""],["a","b"]]`},
		{"regex.captures", `var c = regex.captures("(?P<k>\\w+)=(\\d+)?(x)?", "key=12"); return [c, c.groups, typeof regex.captures("x", "a")]`, `[["key=12","key","12",null],{"k":"key"},"undefined"]`},
		{"regex with an open quote", `return regex.findAll("\\Q(", "((")`, `["(","("]`},

		{"json", `return [json.parse("{\"a\":[1]}").a[0], json.stringify({b: [null]}), json.stringifyPretty({a: [1]})]`, `[1,"{\"b\":[null]}","{\n  \"a\": [\n    1\n  ]\n}"]`},

		{"base64", `return [base64.encode("hé?>"), base64.decode("aMOpPz4="), base64.decode("aMOpPz4"), base64.encode([255, 0]), base64.decode("/wA=", "bytes"), base64.encode(""), base64.decode("Zg==") + base64.decode("Zg") + base64.decode("Zm8=") + base64.decode("Zm9v") + base64.decode("")]`, `["aMOpPz4=","hé?>","hé?>","/wA=",[255,0],"","fffofoo"]`},
		{"base64 for URLs", `return [base64.encodeUrl([251, 255, 254, 1]), base64.decodeUrl("-__-AQ", "bytes"), base64.decodeUrl("aGk=")]`, `["-__-AQ",[251,255,254,1],"hi"]`},
		{"hex", `return [hex.encode("é"), hex.decode("C3a9"), hex.encode([0, 255]), hex.decode("00ff", "bytes")]`, `["c3a9","é","00ff",[0,255]]`},

		{"url", `return [url.encode("a b/é~-._+&"), url.decode("a%20b%2F%C3%A9+"), url.encodeQuery({z: 1, a: "x y", l: ["p", true, null], n: null, u: undefined}), url.encodeQuery({}), url.encodeQuery(Object.create(null))]`, `["a%20b%2F%C3%A9~-._%2B%26","a b/é+","a=x%20y&l=p&l=true&z=1","",""]`},
		{"url.parse", `var u = url.parse("https://ada:pw@example.org:8443/a%20b?q=1&r=2&r=3#top"); return [u.scheme, u.username, u.host, u.port, u.path, u.query.q, u.query.r, u.fragment]`, `["https","ada","example.org","8443","/a b","1",["2","3"],"top"]`},

		{"crypto", `return [crypto.sha256("abc"), crypto.sha256([97, 98, 99]) === crypto.sha256("abc"), crypto.hmacSha256("key", "The quick brown fox jumps over the lazy dog")]`,
			`["ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",true,"f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"]`},
		{"crypto.timingSafeEqual", `return [crypto.timingSafeEqual("a", "a"), crypto.timingSafeEqual("a", "b"), crypto.timingSafeEqual("a", "aa"), crypto.timingSafeEqual("a", [97])]`, `[true,false,false,true]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := s.value(tt.script); unescape.Replace(got) != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestStandardLibraryRefuses(t *testing.T) { onEngines(t, false, checkStandardLibraryRefuses) }

func checkStandardLibraryRefuses(t *testing.T, s *sandbox) {
	for _, script := range []string{
		`random.int(2, 1)`, `random.int(1)`, `random.int(0.5, 1)`, `random.int(0, 9007199254740993)`, `random.int("1", 2)`,
		`random.bytes(65537)`, `random.bytes(-1)`, `random.bytes()`, `random.string(4097)`, `random.string(1.5)`,
		`time.parse("yesterday")`, `time.parse(5)`, `time.parse("2026-13-01T00:00:00Z")`, `time.format("x")`, `time.format()`, `time.format(1e300)`, `time.format(0, "%Q")`, `time.format(0, "%")`,
		`time.addSeconds(0)`, `time.addSeconds(0, 1e300)`, `time.addSeconds(0, "1")`, `time.diffSeconds(0)`,
		`regex.isMatch("(", "a")`, `regex.isMatch("(a)\\1", "a")`, `regex.isMatch("(?=a)", "a")`, `regex.isMatch("a")`, `regex.isMatch(/a/, "a")`, `regex.isMatch("((a{100}){100}){100}", "a")`,
		`regex.isMatch(new Array(20).join("(.{999})"), "a")`, `regex.isMatch(new Array(1030).join("a"), "a")`, `regex.isMatch("a", new Array(1048580).join("a"))`, `regex.split("a", "b", 0)`, `regex.split(",", "a,b", 1.5)`, `regex.split(",", "a,b", 0.5)`, `regex.split(",", "a,b", NaN)`, `regex.replace("a", "b")`,
		`regex.replaceAll("", new Array(3000).join("a"), new Array(3000).join("b"))`,
		`json.parse("{")`, `json.parse()`, `json.parse({})`, `json.stringify(undefined)`, `json.stringify(NaN)`, `json.stringifyPretty(function () {})`,
		`base64.decode("*")`, `base64.decode("YQ==\n")`, `base64.decode("/w==")`, `base64.decode("/w==", "hex")`, `base64.decode("Z3I==")`, `base64.decode("Z3J1=")`, `base64.decode("Zg=")`, `base64.decode("Zg===")`, `base64.decode("=")`, `base64.decode("====")`, `base64.decode("Z=3I")`, `base64.decodeUrl("Z3I==")`, `base64.decode(5)`, `base64.encode(5)`, `base64.encode([256])`, `base64.encode([-1])`, `base64.encode(["a"])`, `base64.encode()`,
		`hex.decode("abc")`, `hex.decode("zz")`, `hex.decode("ff")`,
		`url.decode("%")`, `url.decode("%ff")`, `url.encode(1)`, `url.encodeQuery("a")`, `url.encodeQuery({a: {}})`, `url.encodeQuery({a: [[1]]})`, `url.encodeQuery()`, `url.encodeQuery(null)`, `url.encodeQuery([])`, `url.encodeQuery({a: NaN})`, `url.encodeQuery({b: 1, a: [1, -Infinity]})`, `url.encodeQuery({a: function () {}})`, `url.encodeQuery(new RegExp("a"))`, `url.parse("/a")`, `url.parse("http://[")`, `url.parse("http://a?%zz")`,
		`crypto.sha256()`, `crypto.sha256(1)`, `crypto.hmacSha256("a")`, `crypto.timingSafeEqual("a")`,
	} {
		t.Run(script, func(t *testing.T) {
			if got := s.thrown(script); !strings.HasPrefix(got, "invalid: ") || len(got) < len("invalid: ")+8 {
				t.Errorf("got %q, want invalid and why", got)
			}
		})
	}
}

// A pattern that looks at much text for each of very many matches takes for ever; the call
// must end with its execution all the same.
func TestRegexEndsWithItsExecution(t *testing.T) {
	t.Parallel()
	c := &Call{shared: &shared{}, Inv: publicCall()}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	c.Ctx = ctx
	in := appendString([]byte(`["a(.*b)?",`), strings.Repeat("a", maxRegexText))
	_, fatal := c.Host("regex.findAll", string(append(in, ']')))
	if fatal == nil || ctx.Err() == nil {
		t.Errorf("got %v, want the execution's end", fatal)
	}
}

func TestRegexCacheIsBounded(t *testing.T) {
	for i := range 60 {
		_, err := compile(strings.Repeat(".{999}", 9) + strings.Repeat("b", i))
		must(t, err)
	}
	patterns.mu.Lock()
	defer patterns.mu.Unlock()
	if patterns.size > maxCachedRegexp {
		t.Errorf("the cache holds %d instructions, want at most %d", patterns.size, maxCachedRegexp)
	}
}
