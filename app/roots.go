package app

// Root certificates for where the system has none: a bare image, a container from scratch.
// Those of the system go first.
import _ "golang.org/x/crypto/x509roots/fallback"
