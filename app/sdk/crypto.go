package sdk

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
)

// cryptoModule is what signing and checking webhooks needs.
var cryptoModule = Module{
	Name: "crypto",
	Funcs: map[string]Func{
		"crypto.sha256":          cryptoSHA256,
		"crypto.hmacSha256":      cryptoHMAC,
		"crypto.timingSafeEqual": cryptoEqual,
	},
	Types: `
/** Digests, in lower-case hexadecimal, of text (as UTF-8) or bytes. */
declare const crypto: {
  sha256(data: string | Bytes): string;
  hmacSha256(key: string | Bytes, data: string | Bytes): string;
  /** Compares without telling by its time where the two differ. */
  timingSafeEqual(a: string | Bytes, b: string | Bytes): boolean;
};`,
}

func cryptoSHA256(_ *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	data := a.data("the data")
	if a.err != nil {
		return nil, a.err
	}
	sum := sha256.Sum256(data)
	return textOut(hex.EncodeToString(sum[:])), nil
}

func cryptoHMAC(_ *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	key, data := a.data("the key"), a.data("the data")
	if a.err != nil {
		return nil, a.err
	}
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return textOut(hex.EncodeToString(h.Sum(nil))), nil
}

func cryptoEqual(_ *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	x, y := a.data("a"), a.data("b")
	if a.err != nil {
		return nil, a.err
	}
	return truthOut(subtle.ConstantTimeCompare(x, y) == 1), nil
}
