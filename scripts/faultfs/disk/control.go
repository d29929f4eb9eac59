package disk

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// Control answers commands, one a line, on every connection of l, until l is closed.
func (d *Disk) Control(l net.Listener) error {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go d.converse(c)
	}
}

func (d *Disk) converse(c net.Conn) {
	defer c.Close()
	for lines := bufio.NewScanner(c); lines.Scan(); {
		answer, err := d.command(lines.Text())
		if err != nil {
			answer = "error " + err.Error()
		} else {
			answer = strings.TrimSpace("ok " + answer)
		}
		if _, err := fmt.Fprintln(c, answer); err != nil {
			return
		}
	}
}

func (d *Disk) command(line string) (answer string, err error) {
	verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch verb {
	case "fault":
		f, err := ParseFault(rest)
		if err != nil {
			return "", err
		}
		return strconv.Itoa(d.AddFault(f)), nil
	case "clear":
		n := 0
		if rest != "" {
			if n, err = strconv.Atoi(rest); err != nil {
				return "", fmt.Errorf("%q is not the number of a fault", rest)
			}
		}
		d.faults.clear(n)
		return "", nil
	case "stats":
		return d.faults.stats(), nil
	case "mark":
		return "", d.mark(rest)
	}
	return "", fmt.Errorf("%q is not a command: there are fault, clear, stats and mark", verb)
}

// Client speaks to the control socket of a disk; one goroutine at a time uses it.
type Client struct {
	conn net.Conn
	in   *bufio.Reader
}

// Dial connects to a control socket.
func Dial(socket string) (*Client, error) {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	return &Client{c, bufio.NewReader(c)}, nil
}

// Do sends one command and returns its answer without the "ok".
func (c *Client) Do(command string) (string, error) {
	if strings.Contains(command, "\n") {
		return "", errors.New("a command is one line")
	}
	if _, err := io.WriteString(c.conn, command+"\n"); err != nil {
		return "", err
	}
	line, err := c.in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\n")
	if text, failed := strings.CutPrefix(line, "error "); failed {
		return "", errors.New(text)
	}
	return strings.TrimSpace(strings.TrimPrefix(line, "ok")), nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }
