-- The store of Counterfoil on SQLite. Column choices were measured: crates/store/examples/hot_row.rs, docs/decisions/.
-- Times are unix seconds.

-- What the store is: kind (live or sandbox), issuer, epoch; and what it must remember: clock_offset, unredeemed_swept_up_to, probe.
CREATE TABLE meta (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- The terms of a grant: written once at consent, never changed. A grant id is ordered by time.
CREATE TABLE terms (
    grant_id INTEGER PRIMARY KEY,
    client TEXT NOT NULL,
    provider TEXT NOT NULL,
    customer TEXT NOT NULL,
    name TEXT NOT NULL,
    scopes INTEGER NOT NULL,
    clusters INTEGER NOT NULL,
    accounts TEXT NOT NULL,
    lookback_days INTEGER,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    authenticated_at INTEGER NOT NULL,
    redirect_uri TEXT NOT NULL,
    challenge BLOB,
    nonce TEXT,
    client_era INTEGER NOT NULL,
    customer_era INTEGER NOT NULL
);
CREATE INDEX terms_by_customer ON terms (provider, customer);

-- The mutable part of a grant, one small row. No index but its key: every refresh rewrites it.
CREATE TABLE counterfoil (
    grant_id INTEGER PRIMARY KEY,
    seal BLOB NOT NULL,
    next_slip INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    claim BLOB,
    redeemed_at INTEGER NOT NULL,
    slip_key INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    ended INTEGER NOT NULL
);

-- Who ended a grant, and when; the flag in the counterfoil decides.
CREATE TABLE ending (
    grant_id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    ended_by TEXT NOT NULL
);

-- What happened to grants. The same thing again within an hour is counted, so a flood is one row.
CREATE TABLE audit (
    grant_id INTEGER NOT NULL,
    event TEXT NOT NULL,
    hour INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    count INTEGER NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (grant_id, event, hour)
) WITHOUT ROWID;
CREATE INDEX audit_by_hour ON audit (hour);

-- Outgoing notifications, in the order to deliver them.
CREATE TABLE event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    type TEXT NOT NULL,
    grant_id INTEGER NOT NULL,
    initiator TEXT NOT NULL
);

CREATE TABLE client (
    client_id TEXT NOT NULL PRIMARY KEY,
    settings TEXT NOT NULL,
    created_at INTEGER NOT NULL
);
CREATE TABLE client_secret (
    id INTEGER PRIMARY KEY,
    client_id TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL
);
CREATE INDEX client_secret_by_client ON client_secret (client_id);

CREATE TABLE customer (
    id INTEGER PRIMARY KEY,
    provider TEXT NOT NULL,
    customer TEXT NOT NULL,
    name TEXT NOT NULL,
    password TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (provider, customer)
);
-- The directory of accounts: FDX entities as they were given.
CREATE TABLE account (
    id INTEGER PRIMARY KEY,
    customer INTEGER NOT NULL REFERENCES customer (id) ON DELETE CASCADE,
    account_id TEXT NOT NULL,
    entity TEXT NOT NULL,
    UNIQUE (customer, account_id)
);

-- How often a client or customer of a name was removed. Grants of an earlier era are dead.
-- Either `client` or `provider` and `customer` name who it is; the others are empty.
CREATE TABLE era (
    client TEXT NOT NULL,
    provider TEXT NOT NULL,
    customer TEXT NOT NULL,
    era INTEGER NOT NULL,
    PRIMARY KEY (client, provider, customer)
) WITHOUT ROWID;
-- Removals whose grants are being worked off one by one; `done_up_to` is the last grant seen to.
CREATE TABLE removal (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    client TEXT NOT NULL,
    provider TEXT NOT NULL,
    customer TEXT NOT NULL,
    era INTEGER NOT NULL,
    done_up_to INTEGER NOT NULL,
    done INTEGER NOT NULL
);

-- Browser sessions of customers, by the hash of the cookie.
CREATE TABLE session (
    id BLOB NOT NULL PRIMARY KEY,
    provider TEXT NOT NULL,
    customer TEXT NOT NULL,
    name TEXT NOT NULL,
    authenticated_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    customer_era INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX session_by_expiry ON session (expires_at);

-- Failed sign-ins, by the hash of provider and name, whether or not such a customer exists.
CREATE TABLE sign_in_failure (
    id INTEGER PRIMARY KEY,
    customer BLOB NOT NULL,
    at INTEGER NOT NULL
);
CREATE INDEX sign_in_failure_by_customer ON sign_in_failure (customer, at);
CREATE INDEX sign_in_failure_by_time ON sign_in_failure (at);
