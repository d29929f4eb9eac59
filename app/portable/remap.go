package portable

import (
	"crypto/sha256"
	"regexp"

	"picloud/app/cloud"
	"picloud/db"
)

// remap gives an app's rows the ids that they have from now on. With no nonce they keep them.
type remap struct {
	nonce []byte // makes new ids of old ones
	app   cloud.AppID
	own   map[cloud.AppID]bool // ids of the app's rows, which text may mention

	people people                        // of the file
	users  map[cloud.UserID]cloud.UserID // those of them that exist here
	by     cloud.UserID                  // stands in for the others
}

// id is the new id of an old one: random, but for the time in it, which keeps their order.
func (m *remap) id(old cloud.AppID) cloud.AppID {
	if m.nonce == nil || old.IsZero() {
		return old
	}
	sum := sha256.Sum256(append(m.nonce[:len(m.nonce):len(m.nonce)], old[:]...))
	made := old
	copy(made[7:], sum[:]) // the first 6 bytes are the time
	made[6] = old[6]&0xf0 | sum[16]&0x0f
	made[8] = made[8]&0x3f | 0x80
	return made
}

// collect learns the ids of the app's own rows.
func (m *remap) collect(rx *db.Rx, all []table) error {
	m.own = map[cloud.AppID]bool{m.app: true}
	for _, t := range all {
		at := t.index("id")
		if at < 0 || t.cols[at].kind != "BLOB" {
			continue
		}
		err := t.each(rx, m.app, func(r row) error {
			if v, ok := id(r[at]); ok {
				m.own[v] = true
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// row makes the row that is stored here of one of the file.
func (m *remap) row(t *table, r row) {
	for i, c := range t.cols {
		switch v := r[i].(type) {
		case []byte:
			if u, ok := m.people.named(v); ok {
				r[i] = m.user(c, u)
			} else if old, ok := id(v); ok && c.isID {
				made := m.id(old)
				r[i] = made[:]
			}
		case string:
			if m.nonce != nil && c.name != "source" && t.name != "kv_entries" { // users' own texts
				r[i] = m.text(v)
			}
		}
	}
}

// user is who stands for a user of the file: the one of that name here. A trigger runs as
// whoever puts it in: a file can't borrow the rights of others.
func (m *remap) user(c column, u cloud.UserID) any {
	here, ok := m.users[u]
	switch {
	case c.name == "registered_by_principal":
		return m.by[:]
	case ok:
		return here[:]
	case c.nullable:
		return nil
	}
	return m.by[:]
}

var uuidText = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)

// text renames the app's own ids in what PiCloud itself wrote, such as the payload of an event.
func (m *remap) text(s string) string {
	if len(s) < 36 {
		return s
	}
	return uuidText.ReplaceAllStringFunc(s, func(text string) string {
		old, err := cloud.ParseID[cloud.AppID](text)
		if err != nil || !m.own[old] {
			return text
		}
		return m.id(old).String()
	})
}
