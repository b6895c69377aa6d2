-- What customers sign in with: their id in the form in which names are compared, whatever the case of letters (core/src/login.rs). Not unique: those who were
-- added before may have the same. Written by the program, which knows Unicode; empty of those whom nodes of version 2 have added.
ALTER TABLE customer ADD COLUMN login TEXT;
CREATE INDEX customer_by_login ON customer (provider, login);
CREATE INDEX customer_without_login ON customer (id) WHERE login IS NULL;
