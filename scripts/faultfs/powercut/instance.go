package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	ownerName     = "owner"
	ownerPassword = "correct horse battery staple"
	startWait     = time.Minute
)

// instance is a running binary and a client of it, logged in as the owner.
type instance struct {
	binary, dir, durability string

	replica string // its litestream.yml; "": no second copy

	addr   string
	cmd    *exec.Cmd
	ended  chan error // gets how cmd ended
	log    bytes.Buffer
	client *http.Client
	cookie string
}

func newInstance(binary, dir, durability string) *instance {
	return &instance{binary: binary, dir: dir, durability: durability,
		client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

func (in *instance) command(args ...string) *exec.Cmd {
	cmd := exec.Command(in.binary, args...)
	// Attempts that the power cut broke count, and must not use up an event's.
	cmd.Env = append(os.Environ(), "PICLOUD_DATA_DIR="+in.dir, "PICLOUD_DURABILITY="+in.durability, "PICLOUD_OWNER_USERNAME="+ownerName, "PICLOUD_OWNER_PASSWORD="+ownerPassword,
		"PICLOUD_TRIGGER_RETRY_MAX_ATTEMPTS=100", "PICLOUD_TRIGGER_RETRY_BASE_MS=10", "PICLOUD_MDNS=false", "PICLOUD_LITESTREAM_CONFIG="+cmp.Or(in.replica, "off"), "PICLOUD_DISK_RESERVE_BYTES=0")
	return cmd
}

// start runs the binary until it is ready.
func (in *instance) start() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	in.addr = l.Addr().String()
	l.Close()
	in.log.Reset()
	in.cmd = in.command("serve", "--listen", in.addr)
	in.cmd.Stderr = &in.log
	if err := in.cmd.Start(); err != nil {
		return err
	}
	in.ended = make(chan error, 1)
	go func() { in.ended <- in.cmd.Wait() }()
	for deadline := time.Now().Add(startWait); ; time.Sleep(5 * time.Millisecond) {
		if resp, err := in.client.Get("http://" + in.addr + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-in.ended:
			return fmt.Errorf("the instance did not start: %v\n%s", err, in.log.String())
		default:
		}
		if time.Now().After(deadline) {
			in.cmd.Process.Kill()
			return fmt.Errorf("the instance was not ready after %v\n%s", startWait, in.log.String())
		}
	}
}

// stop ends it in order.
func (in *instance) stop() error {
	in.client.CloseIdleConnections()
	if err := in.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-in.ended:
		if err != nil {
			return fmt.Errorf("the instance stopped with %w\n%s", err, in.log.String())
		}
		return nil
	case <-time.After(startWait):
		in.kill()
		return fmt.Errorf("the instance did not stop in %v", startWait)
	}
}

// kill ends it at once.
func (in *instance) kill() {
	in.client.CloseIdleConnections()
	if in.cmd.Process.Kill() == nil {
		<-in.ended
	}
}

func (in *instance) login() error {
	body := fmt.Sprintf(`{"username":%q,"password":%q}`, ownerName, ownerPassword)
	req, err := in.request("POST", "/api/v1/admin/auth/login", body)
	if err != nil {
		return err
	}
	resp, err := in.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("login: %s", resp.Status)
	}
	in.cookie = strings.Split(resp.Header.Get("Set-Cookie"), ";")[0]
	return nil
}

func (in *instance) request(method, path, body string) (*http.Request, error) {
	req, err := http.NewRequest(method, "http://"+in.addr+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if strings.HasPrefix(path, "/api/") {
		req.Header.Set("Cookie", in.cookie)
		req.Header.Set("Origin", "http://"+in.addr)
	}
	return req, nil
}

// do sends a request whose answer must be a 2xx, and returns the answer.
func (in *instance) do(method, path string, body any) (map[string]any, error) {
	var text []byte
	var err error
	if body != nil {
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	req, err := in.request(method, path, string(text))
	if err != nil {
		return nil, err
	}
	resp, err := in.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode > 299 {
		return nil, fmt.Errorf("%s %s: %s %s", method, path, resp.Status, answer)
	}
	var out map[string]any
	if len(answer) > 0 {
		err = json.Unmarshal(answer, &out)
	}
	return out, err
}

// admin is an API call on the app default.
func (in *instance) admin(method, path string, body any) (map[string]any, error) {
	return in.do(method, "/api/v1/admin"+path, body)
}
