-- An execution that nothing led to is its own root, and found by its id. Most are.
DROP INDEX executions_root;
CREATE INDEX executions_root ON executions(root_execution_id) WHERE root_execution_id != id;
