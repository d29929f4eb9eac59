package sdk

import (
	"crypto/rand"
	"encoding/binary"
	"math/big"

	"github.com/google/uuid"
)

// Caps of one call.
const (
	maxRandomBytes  = 64 << 10
	maxRandomString = 4 << 10
)

// randomModule draws from the system's cryptographic generator and from nothing else.
var randomModule = Module{
	Name: "random",
	Funcs: map[string]Func{
		"random.int":    randomInt,
		"random.float":  randomFloat,
		"random.bytes":  randomBytes,
		"random.string": randomString,
		"random.uuid":   randomUUID,
	},
	Types: `
/** Cryptographically secure random values. */
declare const random: {
  /** A whole number from low to high, both included. */
  int(low: number, high: number): number;
  /** A number from 0 up to, but not including, 1. */
  float(): number;
  /** n bytes, at most 65536. */
  bytes(n: number): Bytes;
  /** n characters of A-Z, a-z and 0-9, at most 4096. */
  string(n: number): string;
  /** A random UUID (version 4). */
  uuid(): string;
};`,
}

func randomInt(_ *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	low := a.integer("low", -maxSafe, maxSafe)
	high := a.integer("high", -maxSafe, maxSafe)
	if a.err == nil && low > high {
		a.err = invalid("low must not be greater than high")
	}
	if a.err != nil {
		return nil, a.err
	}
	n, err := rand.Int(rand.Reader, big.NewInt(high-low+1))
	if err != nil {
		return nil, err
	}
	return numberOut(float64(low + n.Int64())), nil
}

func randomFloat(*Call, []byte) ([]byte, error) {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return numberOut(float64(binary.LittleEndian.Uint64(b[:])>>11) / (1 << 53)), nil
}

func randomBytes(_ *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	n := a.integer("n", 0, maxRandomBytes)
	if a.err != nil {
		return nil, a.err
	}
	b := make([]byte, n)
	rand.Read(b)
	return bytesOut(b), nil
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func randomString(_ *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	n := int(a.integer("n", 0, maxRandomString))
	if a.err != nil {
		return nil, a.err
	}
	out := make([]byte, 0, n)
	var pool [256]byte
	for len(out) < n {
		rand.Read(pool[:])
		for _, b := range pool {
			// 248 is the greatest multiple of 62 in a byte: the rest would favour some letters.
			if b < 248 && len(out) < n {
				out = append(out, alphabet[b%62])
			}
		}
	}
	return textOut(string(out)), nil
}

func randomUUID(*Call, []byte) ([]byte, error) {
	id, err := uuid.NewRandom()
	if err != nil {
		return nil, err
	}
	return textOut(id.String()), nil
}
