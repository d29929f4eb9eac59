package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/url"
	"syscall"

	"picloud/app/cloud"
)

// explain is err for people. It names the host that the script named, and nothing of this
// machine or its network.
func explain(ctx context.Context, r *Request, err error) error {
	if own, ok := errors.AsType[*cloud.Error](err); ok {
		return own
	}
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err // its text would repeat the whole URL
	}
	if ctx.Err() != nil {
		if context.Cause(ctx) == errSlow {
			return cloud.Errorf(cloud.Timeout, "%s did not answer within %s", r.URL.Hostname(), r.Timeout).WithCause(err)
		}
		return ctx.Err()
	}
	return cloud.Errorf(cloud.Unreachable, "%s %s", r.URL.Hostname(), because(err)).WithCause(err)
}

// because ends the sentence that a host's name began.
func because(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return "is not known: no address was found for it"
		}
		return "can't be looked up: is there a network?"
	}
	if bad, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "can't be trusted: " + untrusted(bad.Err)
	}
	for _, c := range []struct {
		err  error
		text string
	}{
		{syscall.ECONNREFUSED, "refused the connection"},
		{syscall.ECONNRESET, "closed the connection"},
		{syscall.EPIPE, "closed the connection"},
		{io.EOF, "closed the connection without an answer"},
		{io.ErrUnexpectedEOF, "closed the connection in the middle of its answer"},
		{syscall.ENETUNREACH, "can't be reached: there is no way to its network"},
		{syscall.EHOSTUNREACH, "can't be reached: there is no way to its network"},
	} {
		if errors.Is(err, c.err) {
			return c.text
		}
	}
	if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() {
		return "did not answer the connection in time"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "does not speak TLS: is it http instead of https?"
	}
	return "gave no answer that could be understood"
}

func untrusted(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "its certificate is from an authority that this machine doesn't know"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "its certificate is for another name"
	}
	if bad, ok := errors.AsType[x509.CertificateInvalidError](err); ok && bad.Reason == x509.Expired {
		return "its certificate is expired or not valid yet (or this machine's clock is wrong)"
	}
	return "its certificate is not valid"
}
