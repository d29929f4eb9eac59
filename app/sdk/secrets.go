package sdk

// secretsModule gives a script the secrets of its app.
var secretsModule = Module{
	Name:  "secrets",
	Funcs: map[string]Func{"secrets.get": secretsGet},
	Types: `
/** The app's secrets, which are set by the API, the dashboard or picloud secrets, and read here alone. */
declare const secrets: {
  /** The value of a secret, undefined when it isn't set; only while a handler runs. What was read is hidden in the execution's log. */
  get(name: string): string | undefined;
};`,
}

func secretsGet(c *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	name := a.text("the name")
	if a.err != nil {
		return nil, a.err
	}
	value, ok, err := c.secret(name)
	if err != nil || !ok {
		return nil, err
	}
	return textOut(value), nil
}

// secret reads a secret and remembers it: the execution sees one value of it, and nothing that
// is kept of the execution shows it.
func (c *Call) secret(name string) (value string, ok bool, err error) {
	if value, ok = c.secrets[name]; ok || c.services.Secrets == nil {
		return value, ok, nil
	}
	value, ok, err = c.services.Secrets.Get(c.Ctx, c.Inv.App, name)
	if ok {
		if c.secrets == nil {
			c.secrets = map[string]string{}
		}
		c.secrets[name] = value
	}
	return value, ok, err
}
