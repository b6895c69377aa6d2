-- As in the second: nobody waits long behind a lock that this waits for.
SET LOCAL lock_timeout = '1500ms';

-- What customers sign in with: their id in the form in which names are compared, whatever the case of letters (core/src/login.rs). Not unique: those who were
-- added before may have the same. Written by the program, which knows Unicode; empty of those whom nodes of version 2 have added.
ALTER TABLE customer ADD COLUMN login text;

-- Its indexes are made apart from this: src/postgres/indexes.rs.

-- The endings logs of this store's nodes. A node numbers the lines of its own log; the store counts with it, so that a store or log that went back in time is
-- noticed. `line` is the last number that was given, `written` the last up to which all lines are known to be on disk; `host` and `path` say where the log lies,
-- so that one that is missing is missed.
CREATE TABLE endings_log (
    node text NOT NULL PRIMARY KEY,
    line bigint NOT NULL,
    written bigint NOT NULL,
    host text NOT NULL,
    path text NOT NULL
) WITH (fillfactor = 50);
