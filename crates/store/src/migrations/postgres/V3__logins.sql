-- As in the second: nobody waits long behind a lock that this waits for.
SET LOCAL lock_timeout = '1500ms';

-- What customers sign in with: their id in the form in which names are compared, whatever the case of letters (core/src/login.rs). Not unique: those who were
-- added before may have the same. Written by the program, which knows Unicode; empty of those whom nodes of version 2 have added.
ALTER TABLE customer ADD COLUMN login text;

-- Its indexes are made apart from this: src/postgres/indexes.rs.
