package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"picloud/app/cloud"
)

// loginCommand trades a password for a key of this machine's own: the password is not kept,
// and the key can be deleted without touching anything else.
func loginCommand() *cobra.Command {
	var username string
	c := &cobra.Command{
		Use:   "login URL",
		Short: "Get an API key of an instance for this computer",
		Long: "Logs in at an instance, makes an API key there that is named after this computer, and stores it in the\n" +
			"user's configuration directory. The key may do what its owner may. Username and password are read from\n" +
			"standard input, one line each.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			base, err := instanceURL(args[0])
			if err != nil {
				return err
			}
			if sendsInClear(base) {
				fmt.Fprintf(cmd.ErrOrStderr(), "picloud: warning: %s is not encrypted: who is on the way can read the password\n", base)
			}
			password, err := ask(cmd, &username)
			if err != nil {
				return err
			}
			if err := login(cmd.Context(), base, username, password, cmd.ErrOrStderr()); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "logged in at %s as %s\n", base, username)
			return err
		},
	}
	c.Flags().StringVar(&username, "username", "", "don't ask for the username")
	return c
}

// ask reads the username, unless it is known, and the password.
func ask(cmd *cobra.Command, username *string) (password string, err error) {
	in := bufio.NewReader(io.LimitReader(cmd.InOrStdin(), 4096))
	if *username == "" {
		fmt.Fprint(cmd.ErrOrStderr(), "Username: ")
		line, err := in.ReadString('\n')
		if err != nil && err != io.EOF {
			return "", fmt.Errorf("read the username: %w", err)
		}
		if *username = strings.TrimSpace(line); *username == "" {
			return "", usageError{errors.New("give the username on standard input, one line, or with --username")}
		}
	}
	fmt.Fprint(cmd.ErrOrStderr(), "Password: ")
	show := hideTyping(cmd.InOrStdin())
	// A signal ends the command with the terminal as it was.
	defer context.AfterFunc(cmd.Context(), show)()
	defer show()
	password, err = readPassword(in)
	fmt.Fprintln(cmd.ErrOrStderr())
	return password, err
}

// login makes a key and stores it. The key of an earlier login is deleted; so is the one just
// made when it can't be stored.
func login(ctx context.Context, base, username, password string, warnings io.Writer) error {
	path, err := credentialsPath()
	if err != nil {
		return err
	}
	stored, err := readCredentials(path)
	if err != nil {
		return err
	}
	made, err := makeKey(ctx, base, username, password)
	if err != nil {
		return err
	}
	former, again := stored.Instances[base]
	stored.Instances[base] = made
	if err := stored.write(path); err != nil {
		return errors.Join(err, deleteKey(ctx, base, made))
	}
	if again {
		if err := deleteKey(ctx, base, former); err != nil {
			fmt.Fprintf(warnings, "picloud: warning: the key of the earlier login is still valid, delete it in the dashboard: %v\n", err)
		}
	}
	return nil
}

// makeKey begins a session, makes a key in it and ends it.
func makeKey(ctx context.Context, base, username, password string) (credential, error) {
	c := &client{base: base}
	var me struct {
		cloud.User
		Roles map[cloud.AppID]cloud.Role `json:"roles"`
	}
	in := map[string]string{"username": username, "password": password}
	if err := c.call(ctx, http.MethodPost, "/auth/login", in, &me); err != nil {
		return credential{}, err
	}
	if c.session == nil {
		return credential{}, fmt.Errorf("%s began no session: check the address", base)
	}
	defer endSession(ctx, c)
	scopes := (&cloud.Principal{Role: me.InstanceRole, Roles: me.Roles}).UsableScopes()
	if len(scopes) == 0 {
		return credential{}, cloud.Errorf(cloud.Forbidden, "%s has no role in any app of %s: ask an administrator for one", username, base)
	}
	var key struct {
		ID     cloud.KeyID `json:"id"`
		Secret string      `json:"key"`
	}
	if err := c.call(ctx, http.MethodPost, "/api-keys", map[string]any{"name": computer(), "scopes": scopes}, &key); err != nil {
		return credential{}, err
	}
	return credential{Username: me.Username, KeyID: key.ID, Key: key.Secret}, nil
}

// endSession ends what only this program knows. That it fails does no harm: the token is
// forgotten, and runs out.
func endSession(ctx context.Context, c *client) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = c.call(ctx, http.MethodPost, "/auth/logout", nil, nil)
}

func computer() string {
	name, _ := os.Hostname()
	return cmp.Or(name, "picloud login")
}

func logoutCommand() *cobra.Command {
	var forget bool
	c := &cobra.Command{
		Use:   "logout [URL]",
		Short: "Delete the API key that login made, at the instance and here",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			base, err := logout(cmd.Context(), args, forget)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "logged out of %s\n", base)
			return err
		},
	}
	c.Flags().BoolVar(&forget, "forget", false, "only forget the key here: for an instance that can't be reached any more")
	return c
}

// logout deletes the key at the instance and then its entry here, so that a failure can be
// tried again.
func logout(ctx context.Context, args []string, forget bool) (base string, err error) {
	path, err := credentialsPath()
	if err != nil {
		return "", err
	}
	stored, err := readCredentials(path)
	if err != nil {
		return "", err
	}
	if base, err = stored.choose(args); err != nil {
		return "", err
	}
	if !forget {
		if err := deleteKey(ctx, base, stored.Instances[base]); err != nil {
			return "", err
		}
	}
	delete(stored.Instances, base)
	return base, stored.write(path)
}

// choose is the instance that args name, or the only one there is.
func (c *credentials) choose(args []string) (string, error) {
	known := slices.Sorted(maps.Keys(c.Instances))
	if len(args) == 0 {
		switch len(known) {
		case 0:
			return "", errors.New("not logged in anywhere")
		case 1:
			return known[0], nil
		}
		return "", usageError{fmt.Errorf("logged in at several instances, name one of: %s", strings.Join(known, " "))}
	}
	base, err := instanceURL(args[0])
	if err != nil {
		return "", err
	}
	if _, ok := c.Instances[base]; !ok {
		return "", fmt.Errorf("not logged in at %s", base)
	}
	return base, nil
}

// deleteKey deletes a key by its own right. One that opens nothing any more is as good as
// deleted.
func deleteKey(ctx context.Context, base string, k credential) error {
	c := &client{base: base, key: k.Key}
	err := c.call(ctx, http.MethodDelete, "/api-keys/"+k.KeyID.String(), nil, nil)
	if kind := cloud.KindOf(err); kind == cloud.Unauthenticated || kind == cloud.NotFound {
		return nil
	}
	return err
}
