-- Reserved addresses and hosts that an app's scripts may call: a JSON array.
ALTER TABLE apps ADD COLUMN outbound_allow TEXT NOT NULL DEFAULT '[]';
