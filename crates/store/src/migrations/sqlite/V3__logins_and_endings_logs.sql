-- What customers sign in with: their id in the form in which names are compared, whatever the case of letters (core/src/login.rs). Not unique: those who were
-- added before may have the same. Written by the program, which knows Unicode; empty of those whom nodes of version 2 have added.
ALTER TABLE customer ADD COLUMN login TEXT;
CREATE INDEX customer_by_login ON customer (provider, login);
CREATE INDEX customer_without_login ON customer (id) WHERE login IS NULL;

-- The endings logs of this store's nodes. A node numbers the lines of its own log; the store counts with it, so that a store or log that went back in time is
-- noticed. `line` is the last number that was given, `written` the last up to which all lines are known to be on disk; `host` and `path` say where the log lies,
-- so that one that is missing is missed.
CREATE TABLE endings_log (
    node TEXT NOT NULL PRIMARY KEY,
    line INTEGER NOT NULL,
    written INTEGER NOT NULL,
    host TEXT NOT NULL,
    path TEXT NOT NULL
) WITHOUT ROWID;
