-- Nothing looked records up by this: ids are in the order of time. Each index costs every
-- execution a write.
DROP INDEX executions_started;
