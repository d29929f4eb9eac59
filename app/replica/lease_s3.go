package replica

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/benbjohnson/litestream"
	"github.com/benbjohnson/litestream/s3"
)

// maxRecord bounds what is read of a lease, in bytes.
const maxRecord = 16 << 10

// s3Lease keeps the lease as an object, with the server's conditional writes. Where a server
// has none (B2), it reads before it writes, which leaves a gap of one round trip.
type s3Lease struct {
	replica *s3.ReplicaClient
	timeout time.Duration // of one call

	once          sync.Once
	client        *awss3.Client
	err           error
	unconditional bool // guarded by the lease's lock
}

// open makes a client of its own: that of the library is not reachable.
func (s *s3Lease) open(ctx context.Context) (*awss3.Client, error) {
	s.once.Do(func() {
		c := s.replica
		o := []func(*config.LoadOptions) error{config.WithRegion(c.Region)}
		if c.Region == "" {
			o[0] = config.WithRegion(s3.DefaultRegion)
		}
		if c.AccessKeyID != "" {
			o = append(o, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, "")))
		}
		if c.SkipVerify {
			o = append(o, config.WithHTTPClient(&http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}))
		}
		cfg, err := config.LoadDefaultConfig(context.WithoutCancel(ctx), o...)
		if err != nil {
			s.err = err
			return
		}
		s.client = awss3.NewFromConfig(cfg, func(o *awss3.Options) {
			o.UsePathStyle, o.UseARNRegion = c.ForcePathStyle, true
			if endpoint, _ := litestream.EnsureEndpointScheme(c.Endpoint); endpoint != "" {
				o.BaseEndpoint = aws.String(endpoint)
				o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
				o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
			}
		})
	})
	return s.client, s.err
}

func (s *s3Lease) key() *string { return aws.String(path.Join(s.replica.Path, leaseName)) }

func (s *s3Lease) read(ctx context.Context) (*record, string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout, errNoAnswer)
	defer cancel()
	c, err := s.open(ctx)
	if err != nil {
		return nil, "", err
	}
	out, err := c.GetObject(ctx, &awss3.GetObjectInput{Bucket: aws.String(s.replica.Bucket), Key: s.key()})
	if code(err) == "NoSuchKey" {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", because(ctx, err)
	}
	defer out.Body.Close()
	b, err := io.ReadAll(io.LimitReader(out.Body, maxRecord))
	if err != nil {
		return nil, "", because(ctx, err)
	}
	r, tag, err := decodeRecord(b)
	if !s.unconditional {
		tag = aws.ToString(out.ETag)
	}
	return r, tag, err
}

func (s *s3Lease) write(ctx context.Context, r *record, tag string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout, errNoAnswer)
	defer cancel()
	c, err := s.open(ctx)
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	in := &awss3.PutObjectInput{Bucket: aws.String(s.replica.Bucket), Key: s.key(), Body: bytes.NewReader(b), ContentType: aws.String("application/json")}
	if s.unconditional {
		return s.overwrite(ctx, in, b, tag)
	}
	if tag == "" {
		in.IfNoneMatch = aws.String("*")
	} else {
		in.IfMatch = aws.String(tag)
	}
	out, err := c.PutObject(ctx, in)
	switch code(err) {
	case "":
	case "PreconditionFailed", "ConditionalRequestConflict":
		return "", errLeaseChanged
	case "NotImplemented", "InvalidArgument":
		s.unconditional = true
		_, tag, err := s.read(ctx)
		if err != nil {
			return "", err
		}
		return s.overwrite(ctx, in, b, tag)
	}
	if err != nil {
		return "", because(ctx, err)
	}
	return aws.ToString(out.ETag), nil
}

func (s *s3Lease) overwrite(ctx context.Context, in *awss3.PutObjectInput, b []byte, tag string) (string, error) {
	_, now, err := s.read(ctx)
	if err != nil {
		return "", err
	}
	if now != tag {
		return "", errLeaseChanged
	}
	in.IfMatch, in.IfNoneMatch, in.Body = nil, nil, bytes.NewReader(b)
	if _, err := s.client.PutObject(ctx, in); err != nil {
		return "", because(ctx, err)
	}
	_, tag, err = decodeRecord(b)
	return tag, err
}

// code is the S3 error code of err, "" when it has none.
func code(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return ""
}

func because(ctx context.Context, err error) error {
	if context.Cause(ctx) == errNoAnswer {
		return errNoAnswer
	}
	return err
}
