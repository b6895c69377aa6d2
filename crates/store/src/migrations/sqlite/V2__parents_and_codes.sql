-- The consent that a grant hangs on; and what the server reads only whole, as one sparse JSON document.
-- `redirect_uri`, `challenge` and `nonce` are of level 1: from level 2 on they stand in `code`, and are empty here.
ALTER TABLE terms ADD COLUMN parent INTEGER;
ALTER TABLE terms ADD COLUMN open TEXT;
-- Lists are of grants that hang on no other.
DROP INDEX terms_by_customer;
CREATE INDEX consent_by_customer ON terms (provider, customer) WHERE parent IS NULL;

-- What only the exchange of a code needs, swept once no code can be exchanged or replayed any more.
CREATE TABLE code (
    grant_id INTEGER PRIMARY KEY,
    redirect_uri TEXT NOT NULL,
    challenge BLOB,
    nonce TEXT
);

-- Endings are numbered, so that those are found which a crash may have kept out of the endings log. Older ones than the latest have no number.
-- The last number that was given is where SQLite has that of other tables.
ALTER TABLE ending ADD COLUMN number INTEGER;
UPDATE ending SET number = latest.number FROM (
    SELECT grant_id, row_number() OVER (ORDER BY id) AS number FROM (
        SELECT grant_id, max(id) AS id FROM (SELECT grant_id, id FROM event WHERE type = 'CONSENT_REVOKED' ORDER BY id DESC LIMIT 1024) AS last
        GROUP BY grant_id
    ) AS each_once
) AS latest WHERE latest.grant_id = ending.grant_id;
INSERT INTO sqlite_sequence (name, seq) SELECT 'ending', coalesce(max(number), 0) FROM ending;
CREATE INDEX ending_by_number ON ending (number) WHERE number IS NOT NULL;

-- Outgoing notifications, in the order to deliver them. Those that version 1 wrote, in `event`, are never delivered.
CREATE TABLE delivery (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    type TEXT NOT NULL,
    grant_id INTEGER NOT NULL,
    initiator TEXT NOT NULL
);

-- Half-done authorizations, by the hash of what names them in the browser.
CREATE TABLE "authorization" (
    id BLOB NOT NULL PRIMARY KEY,
    browser BLOB NOT NULL,
    kind TEXT NOT NULL,
    document TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX authorization_by_expiry ON "authorization" (expires_at);

-- Customers who sign in elsewhere have no password. SQLite can't take a NOT NULL away, so the table is made again; whoever runs this has foreign keys
-- switched off, or the accounts would go with the old one.
CREATE TABLE customer_2 (
    id INTEGER PRIMARY KEY,
    provider TEXT NOT NULL,
    customer TEXT NOT NULL,
    name TEXT NOT NULL,
    password TEXT,
    created_at INTEGER NOT NULL,
    UNIQUE (provider, customer)
);
INSERT INTO customer_2 SELECT id, provider, customer, name, password, created_at FROM customer;
DROP TABLE customer;
ALTER TABLE customer_2 RENAME TO customer;

-- A store that is made now has no older nodes to wait for.
INSERT INTO meta SELECT key, '2' FROM (SELECT 'level' AS key UNION ALL SELECT 'oldest_reader')
    WHERE NOT EXISTS (SELECT 1 FROM meta WHERE meta.key IN ('kind', 'copying'));
