//go:build deps

package main

import (
	_ "github.com/BurntSushi/toml"
	_ "github.com/julienschmidt/httprouter"
	_ "github.com/mattn/go-sqlite3"
	_ "github.com/prometheus/client_golang/prometheus/collectors"
	_ "github.com/prometheus/client_golang/prometheus/promhttp"
	_ "github.com/prometheus/client_golang/prometheus/testutil"
	_ "github.com/robertkrimen/otto"
	_ "github.com/robertkrimen/otto/parser"
	_ "github.com/rogpeppe/go-internal/testscript"
	_ "github.com/spf13/cobra"
	_ "github.com/spf13/cobra/doc"
	_ "golang.org/x/crypto/acme/autocert"
	_ "golang.org/x/crypto/argon2"
	_ "golang.org/x/net/html"
	_ "golang.org/x/net/http/httpguts"
	_ "golang.org/x/sys/unix"
	_ "modernc.org/libc"
	_ "modernc.org/libquickjs"
	_ "modernc.org/quickjs"
	_ "modernc.org/sqlite"
)
