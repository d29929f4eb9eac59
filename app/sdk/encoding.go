package sdk

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// base64Module and hexModule turn text or bytes into letters and back.
var base64Module = Module{
	Name: "base64",
	Funcs: map[string]Func{
		"base64.encode":    encoder(base64.StdEncoding.EncodeToString),
		"base64.decode":    decoder("base64", base64Decode(base64.StdEncoding)),
		"base64.encodeUrl": encoder(base64.RawURLEncoding.EncodeToString),
		"base64.decodeUrl": decoder("URL-safe base64", base64Decode(base64.URLEncoding)),
	},
	Types: `
/** Base64 of text (as UTF-8) or bytes. Decoding gives text, or bytes when asked for. */
declare const base64: {
  encode(data: string | Bytes): string;
  /** Throws "invalid" for what isn't base64, and for text that isn't UTF-8. */
  decode(text: string): string;
  decode(text: string, as: "bytes"): Bytes;
  /** With - and _ and without padding. */
  encodeUrl(data: string | Bytes): string;
  decodeUrl(text: string): string;
  decodeUrl(text: string, as: "bytes"): Bytes;
};`,
}

var hexModule = Module{
	Name: "hex",
	Funcs: map[string]Func{
		"hex.encode": encoder(hex.EncodeToString),
		"hex.decode": decoder("hex", hex.DecodeString),
	},
	Types: `
/** Hexadecimal of text (as UTF-8) or bytes: lower case out, either case in. */
declare const hex: {
  encode(data: string | Bytes): string;
  decode(text: string): string;
  decode(text: string, as: "bytes"): Bytes;
};`,
}

func encoder(encode func([]byte) string) Func {
	return func(_ *Call, in []byte) ([]byte, error) {
		a := readArgs(in)
		data := a.data("the data")
		if a.err != nil {
			return nil, a.err
		}
		return textOut(encode(data)), nil
	}
}

func decoder(name string, decode func(string) ([]byte, error)) Func {
	return func(_ *Call, in []byte) ([]byte, error) {
		a := readArgs(in)
		text, as := a.text("the text"), a.optionalText("as")
		if a.err == nil && as != "" && as != "bytes" {
			a.err = invalid("decode gives text, or bytes when the second argument is \"bytes\"")
		}
		if a.err != nil {
			return nil, a.err
		}
		data, err := decode(text)
		switch {
		case err != nil:
			return nil, invalid("this is not %s", name)
		case as == "bytes":
			return bytesOut(data), nil
		case !utf8.Valid(data):
			return nil, invalid("this decodes to bytes that are no text: ask for them with decode(text, \"bytes\")")
		}
		return textOut(string(data)), nil
	}
}

// base64Decode takes the padding that belongs there, or none at all.
func base64Decode(e *base64.Encoding) func(string) ([]byte, error) {
	e = e.WithPadding(base64.NoPadding)
	return func(s string) ([]byte, error) {
		if strings.ContainsAny(s, "\r\n") {
			return nil, base64.CorruptInputError(0)
		}
		text := strings.TrimRight(s, "=")
		if padding := len(s) - len(text); padding > 2 || padding > 0 && len(s)%4 != 0 {
			return nil, base64.CorruptInputError(len(text))
		}
		return e.DecodeString(text)
	}
}
