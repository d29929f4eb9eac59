package data

import (
	"picloud/app/cloud"
	"picloud/db"
)

// Replaced says that tx has put other entries in the place of all that an app had, by no
// unit's doing. Executions of the app that began before then conflict when they commit,
// whatever they read: they run again on what is there now, or fail.
func (s *Store) Replaced(tx *db.Tx, app cloud.AppID) {
	s.recent.announceReplaced(tx.Batch(), app)
	now := cloud.TimeOf(tx.Now)
	tx.AfterCommit(func() {
		s.recent.publishReplaced(app)
		s.usage.forget(app)
		s.hub.endApp(app)
		s.expiry.note(now) // to look when the next entry expires
	})
}
