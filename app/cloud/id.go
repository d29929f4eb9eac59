package cloud

import (
	"database/sql/driver"
	"encoding/hex"
	"fmt"

	"github.com/google/uuid"
)

// ID is a UUIDv7 (RFC 9562) that knows what it identifies, so that an AppID can't be
// passed where a ScriptID is wanted. It is text at the edges and BLOB(16) in the database;
// the zero ID means "none", is the empty string as text and NULL as SQL.
type ID[T any] [16]byte

type (
	AppID        = ID[App]
	ScriptID     = ID[Script]
	RouteID      = ID[Route]
	DomainID     = ID[Domain]
	TriggerID    = ID[Trigger]
	ExecutionID  = ID[Execution]
	RowID        = ID[Row]
	DeadLetterID = ID[DeadLetter]
	AbandonedID  = ID[Abandoned]
	UserID       = ID[User]
	KeyID        = ID[Key]
	SessionID    = ID[Session]
	AuditID      = ID[AuditEntry]
)

// NewID returns a fresh id; ids made by one process sort in the order they were made.
func NewID[I ~[16]byte]() I {
	return I(uuid.Must(uuid.NewV7()))
}

// ParseID reads the 36-character text form. Anything else is NotFound: an id that
// could not exist is answered like one that does not.
func ParseID[I ~[16]byte](s string) (I, error) {
	if len(s) != 36 {
		return I{}, Errorf(NotFound, "no such id: ids are UUIDs of 36 characters")
	}
	u, err := uuid.Parse(s)
	if err != nil {
		return I{}, Errorf(NotFound, "no such id: ids are UUIDs of 36 characters")
	}
	return I(u), nil
}

// IsZero reports whether the id names nothing; encoding/json's omitzero asks it.
func (id ID[T]) IsZero() bool { return id == ID[T]{} }

func (id ID[T]) String() string {
	if id.IsZero() {
		return ""
	}
	b, _ := id.AppendText(make([]byte, 0, 36))
	return string(b)
}

// AppendText appends the 36-character form; the zero id appends nothing.
func (id ID[T]) AppendText(b []byte) ([]byte, error) {
	if id.IsZero() {
		return b, nil
	}
	b = hex.AppendEncode(b, id[0:4])
	b = append(b, '-')
	b = hex.AppendEncode(b, id[4:6])
	b = append(b, '-')
	b = hex.AppendEncode(b, id[6:8])
	b = append(b, '-')
	b = hex.AppendEncode(b, id[8:10])
	b = append(b, '-')
	return hex.AppendEncode(b, id[10:16]), nil
}

// MarshalJSON writes the text form, or null for the zero id.
func (id ID[T]) MarshalJSON() ([]byte, error) {
	if id.IsZero() {
		return []byte("null"), nil
	}
	b := append(make([]byte, 0, 38), '"')
	b, _ = id.AppendText(b)
	return append(b, '"'), nil
}

func (id ID[T]) MarshalText() ([]byte, error) { return id.AppendText(nil) }

func (id *ID[T]) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*id = ID[T]{}
		return nil
	}
	v, err := ParseID[ID[T]](string(b))
	if err != nil {
		return Errorf(Invalid, "%q is not an id: ids are UUIDs of 36 characters", b)
	}
	*id = v
	return nil
}

// UnmarshalJSON accepts the text form and null.
func (id *ID[T]) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*id = ID[T]{}
		return nil
	}
	if len(b) < 2 || b[0] != '"' {
		return Errorf(Invalid, "an id is a string")
	}
	return id.UnmarshalText(b[1 : len(b)-1])
}

// Value is the id for the database: 16 bytes, or NULL for the zero id.
func (id ID[T]) Value() (driver.Value, error) {
	if id.IsZero() {
		return nil, nil
	}
	return id[:], nil
}

// Scan reads what Value wrote.
func (id *ID[T]) Scan(src any) error {
	switch b := src.(type) {
	case nil:
		*id = ID[T]{}
		return nil
	case []byte:
		if len(b) == 16 {
			copy(id[:], b)
			return nil
		}
	}
	return fmt.Errorf("scan id: got %T, want 16 bytes", src)
}
