package web

import (
	"io"
	"net/http"
	"time"
)

// patience is how long a peer may take for one piece of a file.
const patience = time.Minute

// sendFile writes f piece by piece; a reader that takes none for a while is given up.
func sendFile(w http.ResponseWriter, f io.Reader) error {
	control := http.NewResponseController(w)
	buf := make([]byte, 256<<10)
	for {
		n, err := f.Read(buf)
		if n > 0 {
			_ = control.SetWriteDeadline(time.Now().Add(patience)) // a writer without deadlines has none to move
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
