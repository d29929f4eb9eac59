package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/benbjohnson/litestream"
	"github.com/benbjohnson/litestream/file"
	"github.com/benbjohnson/litestream/s3"
	"github.com/benbjohnson/litestream/sftp"
	"github.com/dustin/go-humanize"
	"github.com/superfly/ltx"

	"picloud/durable"
)

// target is one replica entry.
type target struct {
	settings `yaml:",inline"`

	Type string `yaml:"type"`
	Name string `yaml:"name"`
	Path string `yaml:"path"`
	URL  string `yaml:"url"`
}

// settings of a replica; at the top of the file they hold for every replica.
type settings struct {
	SyncInterval       *time.Duration `yaml:"sync-interval"`
	ValidationInterval *time.Duration `yaml:"validation-interval"`
	MaxSyncLTXFiles    *int           `yaml:"max-sync-ltx-files"`
	AutoRecover        *bool          `yaml:"auto-recover"`

	AccessKeyID          string `yaml:"access-key-id"`
	SecretAccessKey      string `yaml:"secret-access-key"`
	Region               string `yaml:"region"`
	Bucket               string `yaml:"bucket"`
	Endpoint             string `yaml:"endpoint"`
	ForcePathStyle       *bool  `yaml:"force-path-style"`
	SignPayload          *bool  `yaml:"sign-payload"`
	SignAcceptEncoding   *bool  `yaml:"sign-accept-encoding"`
	RequireContentMD5    *bool  `yaml:"require-content-md5"`
	PutObjectContentMD5  *bool  `yaml:"put-object-content-md5"`
	SkipVerify           bool   `yaml:"skip-verify"`
	StorageClass         string `yaml:"storage-class"`
	PartSize             string `yaml:"part-size"`
	Concurrency          *int   `yaml:"concurrency"`
	SSECustomerAlgorithm string `yaml:"sse-customer-algorithm"`
	SSECustomerKey       string `yaml:"sse-customer-key"`
	SSECustomerKeyPath   string `yaml:"sse-customer-key-path"`
	SSEKMSKeyID          string `yaml:"sse-kms-key-id"`

	Host             string `yaml:"host"`
	User             string `yaml:"user"`
	Password         string `yaml:"password"`
	KeyPath          string `yaml:"key-path"`
	HostKey          string `yaml:"host-key"`
	ConcurrentWrites *bool  `yaml:"concurrent-writes"`
}

func (t *target) kind() string {
	if k := litestream.ReplicaTypeFromURL(t.URL); k != "" {
		return k
	}
	if t.Type == "" {
		return file.ReplicaClientType
	}
	return t.Type
}

// client makes the client of the target. It asks nothing of the network.
func (t *target) client() (litestream.ReplicaClient, error) {
	if litestream.IsURL(t.Path) {
		return nil, errors.New("replica: path is a URL: write it as url")
	}
	switch t.kind() {
	case file.ReplicaClientType:
		return t.file()
	case s3.ReplicaClientType:
		return t.s3()
	case sftp.ReplicaClientType:
		return t.sftp()
	}
	return nil, fmt.Errorf("replica type %q is not built in: there are file, s3 and sftp", t.kind())
}

func (t *target) file() (litestream.ReplicaClient, error) {
	dir, err := t.dir()
	if err != nil {
		return nil, err
	}
	return &directory{file.NewReplicaClient(dir)}, nil
}

// directory is a replica in a directory. The library syncs its files and the directory of
// each, but not the names of directories that it makes: a power cut could take the first
// uploads away, with all of their level.
type directory struct{ *file.ReplicaClient }

func (d *directory) WriteLTXFile(ctx context.Context, level int, from, to ltx.TXID, r io.Reader) (*ltx.FileInfo, error) {
	if err := durable.MakeDir(d.LTXLevelDir(level)); err != nil {
		return nil, err
	}
	return d.ReplicaClient.WriteLTXFile(ctx, level, from, to, r)
}

// dir is the directory of a file replica.
func (t *target) dir() (string, error) {
	p := t.Path
	if t.URL != "" {
		var err error
		if _, _, p, err = litestream.ParseReplicaURL(t.URL); err != nil {
			return "", fmt.Errorf("replica url: %w", withoutURL(err))
		}
	}
	if p == "" || p == "." {
		return "", errors.New("replica: a file replica needs a path")
	}
	return resolve("", p), nil
}

// s3 goes through the library's URL, so that its presets for R2, B2, MinIO and others hold.
func (t *target) s3() (*s3.ReplicaClient, error) {
	if t.URL != "" && (t.Path != "" || t.Bucket != "") {
		return nil, errors.New("replica: write either url, or bucket and path")
	}
	raw := t.URL
	if raw == "" {
		if t.Bucket == "" {
			return nil, errors.New("replica: an s3 replica needs a bucket")
		}
		raw = (&url.URL{Scheme: "s3", Host: t.Bucket, Path: "/" + strings.TrimPrefix(t.Path, "/")}).String()
	}
	base, query, _ := strings.Cut(raw, "?")
	q, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("replica url: what follows the question mark can't be read")
	}
	if err := t.fill(q); err != nil {
		return nil, err
	}
	made, err := litestream.NewReplicaClientFromURL(base + "?" + q.Encode())
	if err != nil {
		return nil, fmt.Errorf("replica url: %w", withoutURL(err))
	}
	c := made.(*s3.ReplicaClient)
	if t.AccessKeyID != "" {
		c.AccessKeyID, c.SecretAccessKey = t.AccessKeyID, t.SecretAccessKey
	}
	if (c.AccessKeyID == "") != (c.SecretAccessKey == "") {
		return nil, errors.New("replica: access-key-id and secret-access-key go together")
	}
	return c, nil
}

// fill adds the settings to the parameters of the URL that says nothing of them.
func (t *target) fill(q url.Values) error {
	key, err := t.customerKey()
	if err != nil {
		return err
	}
	values := map[string]string{
		"endpoint": t.Endpoint, "region": t.Region, "storage-class": t.StorageClass,
		"force-path-style": truth(t.ForcePathStyle), "sign-payload": truth(t.SignPayload), "sign-accept-encoding": truth(t.SignAcceptEncoding),
		"require-content-md5": truth(t.RequireContentMD5), "put-object-content-md5": truth(t.PutObjectContentMD5),
		"sse-customer-algorithm": t.SSECustomerAlgorithm, "sse-customer-key": key, "sse-kms-key-id": t.SSEKMSKeyID,
	}
	if t.SkipVerify {
		values["skip-verify"] = "true"
	}
	if t.Concurrency != nil {
		values["concurrency"] = strconv.Itoa(*t.Concurrency)
	}
	if t.PartSize != "" {
		n, err := humanize.ParseBytes(t.PartSize)
		if err != nil {
			return fmt.Errorf("part-size: %q is not a size: write one such as 16MB", t.PartSize)
		}
		values["part-size"] = strconv.FormatUint(n, 10)
	}
	for k, v := range values {
		if v != "" && q.Get(k) == "" {
			q.Set(k, v)
		}
	}
	// The library looks for the parameter under its other name only.
	if v := q.Get("sse-kms-key-id"); v != "" {
		q.Set("sseKmsKeyId", v)
	}
	return nil
}

func (t *target) customerKey() (string, error) {
	if t.SSECustomerKey != "" || t.SSECustomerKeyPath == "" {
		return t.SSECustomerKey, nil
	}
	b, err := os.ReadFile(t.SSECustomerKeyPath)
	if err != nil {
		return "", fmt.Errorf("sse-customer-key-path: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

func truth(b *bool) string {
	if b == nil {
		return ""
	}
	return strconv.FormatBool(*b)
}

func (t *target) sftp() (*sftp.ReplicaClient, error) {
	if t.URL != "" && (t.Path != "" || t.Host != "") {
		return nil, errors.New("replica: write either url, or host and path")
	}
	c := sftp.NewReplicaClient()
	c.Host, c.User, c.Password, c.Path = t.Host, t.User, t.Password, t.Path
	if t.URL != "" {
		u, err := url.Parse(t.URL)
		if err != nil {
			return nil, fmt.Errorf("replica url: %w", withoutURL(err))
		}
		c.Host, c.Path = u.Host, u.Path
		if u.User != nil && t.User == "" {
			c.User = u.User.Username()
		}
		if p, ok := u.User.Password(); ok && t.Password == "" {
			c.Password = p
		}
	}
	if c.Host == "" || c.User == "" {
		return nil, errors.New("replica: an sftp replica needs host and user")
	}
	if t.HostKey == "" {
		return nil, errors.New("replica: an sftp replica needs host-key, a line as `ssh-keyscan HOST` prints it without the host: without it anybody on the way could read everything")
	}
	c.KeyPath, c.HostKey = t.KeyPath, t.HostKey
	if t.ConcurrentWrites != nil {
		c.ConcurrentWrites = *t.ConcurrentWrites
	}
	return c, nil
}

// withoutURL drops the text of a URL, which may hold a password, from an error about it.
func withoutURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// describe names a client's target, without secrets.
func describe(c litestream.ReplicaClient) string {
	switch c := c.(type) {
	case *directory:
		return "file://" + c.Path()
	case *s3.ReplicaClient:
		at := ""
		if u, err := url.Parse(c.Endpoint); err == nil && u.Host != "" {
			at = " at " + u.Host
		}
		return "s3://" + strings.TrimSuffix(c.Bucket+"/"+c.Path, "/") + at
	case *sftp.ReplicaClient:
		return "sftp://" + c.Host + "/" + strings.TrimPrefix(c.Path, "/")
	}
	return c.Type()
}
