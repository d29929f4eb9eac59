package control

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"picloud/app/cloud"
)

// hashParams are those of argon2id (RFC 9106).
type hashParams struct {
	memory  uint32 // KiB
	time    uint32
	threads uint8
}

// piHash takes 19 MiB and well under a second on a small computer: the first choice of
// https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html.
var piHash = hashParams{memory: 19 << 10, time: 2, threads: 1}

// Bounds: a damaged or foreign hash must not take the machine.
var maxHash = hashParams{memory: 128 << 10, time: 16, threads: 8}

const (
	saltBytes = 16
	hashBytes = 32

	minPassword = 12   // characters
	maxPassword = 1024 // bytes

	hashing        = 2  // at once: each takes the memory of hashParams
	hashingWaiting = 32 // behind them
)

// checkPassword says whether a password may be set.
func checkPassword(field, password string) error {
	switch {
	case !utf8.ValidString(password):
		return cloud.Errorf(cloud.Invalid, "%s: is not UTF-8", field)
	case utf8.RuneCountInString(password) < minPassword:
		return cloud.Errorf(cloud.Invalid, "%s: needs %d or more characters", field, minPassword)
	case len(password) > maxPassword:
		return cloud.Errorf(cloud.Invalid, "%s: is longer than %d bytes", field, maxPassword)
	}
	return nil
}

// passwords hashes and verifies, few at a time, so that a flood of logins can't exhaust the
// memory.
type passwords struct {
	params  hashParams
	slots   semaphore
	waiting atomic.Int32
	decoy   string // hash of nothing in particular, for users that don't exist
}

func newPasswords(p hashParams) *passwords {
	decoy := phc{params: p, salt: make([]byte, saltBytes), hash: make([]byte, hashBytes)}
	return &passwords{params: p, slots: newSemaphore(hashing), decoy: decoy.String()}
}

// hash returns password's hash in PHC form.
func (h *passwords) hash(ctx context.Context, password string) (string, error) {
	p := phc{params: h.params, salt: make([]byte, saltBytes)}
	rand.Read(p.salt)
	var err error
	p.hash, err = h.derive(ctx, password, p, hashBytes)
	return p.String(), err
}

// verify compares; every call with a stored hash costs the same, the decoy included.
func (h *passwords) verify(ctx context.Context, password, stored string) (bool, error) {
	p, err := parsePHC(stored)
	if err != nil {
		return false, err
	}
	if len(password) > maxPassword {
		password = "" // no such password was ever set; the work is done all the same
	}
	got, err := h.derive(ctx, password, p, len(p.hash))
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, p.hash) == 1 && password != "", nil
}

func (h *passwords) derive(ctx context.Context, password string, p phc, length int) ([]byte, error) {
	if h.waiting.Add(1) > hashing+hashingWaiting {
		h.waiting.Add(-1)
		return nil, cloud.Errorf(cloud.Overloaded, "too many logins at once: try again in a moment")
	}
	defer h.waiting.Add(-1)
	if err := h.slots.acquire(ctx); err != nil {
		return nil, err
	}
	defer h.slots.release()
	return argon2.IDKey([]byte(password), p.salt, p.params.time, p.params.memory, p.params.threads, uint32(length)), nil
}

// phc is an argon2id hash with its parameters, as
// https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md writes it.
type phc struct {
	params     hashParams
	salt, hash []byte
}

func (p phc) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.params.memory, p.params.time, p.params.threads,
		b64.EncodeToString(p.salt), b64.EncodeToString(p.hash))
}

var errPHC = errors.New("parse password hash: not argon2id in PHC form, or out of bounds")

func parsePHC(s string) (p phc, err error) {
	f := strings.Split(s, "$")
	if len(f) != 6 || f[0] != "" || f[1] != "argon2id" || f[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, errPHC
	}
	if n, err := fmt.Sscanf(f[3], "m=%d,t=%d,p=%d", &p.params.memory, &p.params.time, &p.params.threads); n != 3 || err != nil {
		return p, errPHC
	}
	if !p.params.within(maxHash) {
		return p, errPHC
	}
	b64 := base64.RawStdEncoding.Strict()
	if p.salt, err = b64.DecodeString(f[4]); err != nil || len(p.salt) < 8 || len(p.salt) > 64 {
		return p, errPHC
	}
	if p.hash, err = b64.DecodeString(f[5]); err != nil || len(p.hash) < 16 || len(p.hash) > 64 {
		return p, errPHC
	}
	if p.String() != s {
		return p, errPHC
	}
	return p, nil
}

func (p hashParams) within(max hashParams) bool {
	return p.time >= 1 && p.threads >= 1 && p.memory >= 8*uint32(p.threads) &&
		p.time <= max.time && p.threads <= max.threads && p.memory <= max.memory
}
