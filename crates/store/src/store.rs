//! The store: what each verb promises, and which engine keeps the promise.

use std::sync::Arc;

use counterfoil_core::client::{Client, ClientSettings, SecretDigest};
use counterfoil_core::clock::{SKEW, Seconds, Timestamp};
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::{CodeBinding, CustomerId, GrantId, Terms};
use counterfoil_core::login::Case;
use counterfoil_core::secret::Secret;
use counterfoil_core::verdict::Counterfoil;

use crate::agreement::OnDifference;
use crate::counts::StoreCounts;
use crate::error::{OpenError, StoreError};
use crate::kept::{Kept, OfCustomer, Whose};
use crate::level::Level;
use crate::pending::Pending;
use crate::postgres::Postgres;
use crate::record::{
    Account, AddClient, AddCustomer, AddSecret, AuditEntry, Changes, CreateGrant, Customer, Ending,
    Grant, GrantFilter, NewCustomer, NewGrant, Session, SignIn, StoredKeys,
};
use crate::redeem::{Redeem, Redeemed};
use crate::sqlite::Sqlite;
use crate::{OpenOptions, StoreAddress};

/// The store. All its verbs may be called from many tasks at once; it is opened and used within a
/// tokio runtime.
///
/// A write is under way when its verb returns, whether or not the answer is awaited, and is
/// answered once it is durable. One that is answered with an error may have taken effect all the
/// same; asking again is safe. Reads see every write that was answered before they were asked, also
/// by another node.
#[derive(Debug)]
pub struct Store {
    pub(crate) engine: Engine,
    terms: Kept<GrantId, Terms>,
    accounts: Arc<Kept<Whose, [Account]>>,
}

#[derive(Debug)]
pub(crate) enum Engine {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

/// Hands a verb to the engine: one answers at once, the other is awaited.
macro_rules! read {
    ($self:ident, $verb:ident($($argument:expr),*)) => {
        match &$self.engine {
            Engine::Sqlite(engine) => engine.$verb($($argument),*),
            // Boxed: what waits for a database is large, and must not be part of every handler.
            Engine::Postgres(engine) => Box::pin(engine.$verb($($argument),*)).await,
        }
    };
}
macro_rules! write {
    ($self:ident, $verb:ident($($argument:expr),*)) => {
        match &$self.engine {
            Engine::Sqlite(engine) => engine.$verb($($argument),*),
            Engine::Postgres(engine) => engine.$verb($($argument),*),
        }
    };
}
pub(crate) use {read, write};

/// What the store is, and how it is.
impl Store {
    /// Opens the store, making or migrating it where needed. Several processes may do so at once:
    /// one of them owns a file, all share a database.
    ///
    /// Promise: where its endings log and the store don't agree, either has lost something, and it
    /// is not opened.
    ///
    /// # Errors
    /// [`OpenError`], in words for the person who started the process. A store that was there is as
    /// it was then, unless a migration failed half-way.
    pub async fn open(options: OpenOptions) -> Result<Self, OpenError> {
        Self::open_and(OnDifference::Refuse, options).await
    }

    /// The same, where something else may be done about an endings log and a store that don't agree
    /// than to refuse them.
    ///
    /// # Errors
    /// [`OpenError`], in words for the person who started the process.
    pub async fn open_and(
        on_difference: OnDifference,
        options: OpenOptions,
    ) -> Result<Self, OpenError> {
        let engine = match options.address.clone() {
            StoreAddress::Sqlite(path) => {
                Engine::Sqlite(Sqlite::open(&path, &options, on_difference)?)
            }
            StoreAddress::Postgres(address) => {
                Engine::Postgres(Postgres::open(*address, &options, on_difference).await?)
            }
        };
        Ok(Self { engine, terms: Kept::new(), accounts: Arc::new(Kept::new()) })
    }

    /// Brings the schema of the store at `options.address` up to date, which must be there, and
    /// does nothing else; gives its schema before and after. A file must not be in use; nodes on a
    /// database may go on.
    ///
    /// # Errors
    /// [`OpenError`], in words for the person who started the process.
    pub async fn migrate(options: &OpenOptions) -> Result<(u32, u32), OpenError> {
        match &options.address {
            StoreAddress::Sqlite(path) => Sqlite::migrate(path, options),
            StoreAddress::Postgres(address) => {
                Postgres::migrate((**address).clone(), options).await
            }
        }
    }

    /// Raises the level of the store at `options.address` to the newest, once no node of an earlier
    /// version uses it: from then on it is written in forms that those can't read. Gives its level
    /// before and after. A file must not be in use; nodes of this version on a database may go on,
    /// and learn of it within two seconds.
    ///
    /// # Errors
    /// [`OpenError`], in words for the person who started the process; [`OpenError::Older`] where
    /// the schema is not up to date.
    pub async fn finish_migration(options: &OpenOptions) -> Result<(u32, u32), OpenError> {
        match &options.address {
            StoreAddress::Sqlite(path) => Sqlite::finish(path, options),
            StoreAddress::Postgres(address) => Postgres::finish((**address).clone(), options).await,
        }
    }

    /// Holds the endings log of `options` against the store, as a start would, and changes nothing.
    /// A store that is not there yet agrees with any.
    ///
    /// # Errors
    /// [`OpenError`], as the start would be refused with.
    pub async fn check_endings(options: &OpenOptions) -> Result<(), OpenError> {
        let Some(log) = &options.endings_log else {
            return Ok(());
        };
        match &options.address {
            StoreAddress::Sqlite(path) => Sqlite::check_endings(path, log, options),
            StoreAddress::Postgres(address) => {
                Postgres::check_endings((**address).clone(), log, options).await
            }
        }
    }

    /// Looks whether there is a store at `address`; changes nothing.
    ///
    /// # Errors
    /// [`OpenError::NoStore`] where there is none; else why that can't be told.
    pub async fn must_exist(address: &StoreAddress) -> Result<(), OpenError> {
        match address {
            StoreAddress::Sqlite(path) if path.exists() => Ok(()),
            StoreAddress::Sqlite(path) => {
                match path
                    .parent()
                    .filter(|directory| !directory.as_os_str().is_empty() && !directory.is_dir())
                {
                    Some(directory) => Err(OpenError::NoDirectory(directory.to_owned())),
                    None => Err(OpenError::NoStore(path.display().to_string())),
                }
            }
            StoreAddress::Postgres(address) => Postgres::must_exist((**address).clone()).await,
        }
    }

    /// Whether other processes may use the store at the same time, and so change what this one
    /// keeps in memory.
    pub fn is_shared(&self) -> bool {
        matches!(self.engine, Engine::Postgres(_))
    }

    /// Whether it is written in the newest forms: no node of an earlier version uses it any more,
    /// as far as this process has seen.
    pub fn is_at_newest_level(&self) -> bool {
        match &self.engine {
            Engine::Sqlite(engine) => engine.level() >= Level::Two,
            Engine::Postgres(engine) => engine.level() >= Level::Two,
        }
    }

    /// Seconds that the clocks of the processes which use it may be apart.
    pub fn skew(&self) -> Seconds {
        if self.is_shared() { SKEW } else { 0 }
    }

    /// Whether the store can be written now, found out by writing, and whether all endings so far
    /// are in the journal.
    pub fn probe(&self) -> Pending<()> {
        write!(self, probe())
    }

    /// What tells a process whether it must read again what it keeps in memory: clients, keys,
    /// clock, faults, a declared loss.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn changes(&self) -> Result<Changes, StoreError> {
        read!(self, changes())
    }

    /// Bytes in the write-ahead log when it was last looked at; 0 where a database server keeps its
    /// own.
    pub fn wal_bytes(&self) -> u64 {
        match &self.engine {
            Engine::Sqlite(engine) => engine.wal_bytes(),
            Engine::Postgres(_) => 0,
        }
    }

    /// What happened since the store was opened, by this process.
    pub fn counts(&self) -> StoreCounts {
        write!(self, counts())
    }

    /// Forgets what is kept in memory of terms and accounts. Terms never change, unless data was
    /// lost and given anew: then a declared loss, which is a change ([`Store::changes`]), tells
    /// every process; and so are accounts that were set.
    pub fn forget_kept(&self) {
        self.terms.forget();
        self.accounts.forget();
    }

    /// Writes that wait or are under way.
    pub fn queued_writes(&self) -> usize {
        write!(self, queued_writes())
    }
}

/// Slips and grants.
impl Store {
    /// Redeems a slip, if it is the next one of a living grant and in time; else refuses it,
    /// records what that means, and ends the grant where the verdict says so.
    ///
    /// Promise: of any number of concurrent calls for one slip, at any number of nodes, exactly one
    /// tears it; a refused call changes no counterfoil but to end the grant; once answered `Torn`,
    /// that survives the loss of the process and of power. A call whose commit had an unknown
    /// outcome finds out whether it was its own that took effect, and is never refused for its own
    /// success.
    pub fn redeem(&self, redeem: Redeem) -> Pending<Redeemed> {
        write!(self, redeem(redeem))
    }

    /// Makes a grant. Promise: it is there, with its counterfoil, or it is not at all; a second
    /// call with the same id makes nothing. One that is to hang on a consent is made only where
    /// that one lives.
    pub fn create_grant(&self, grant: NewGrant) -> Pending<CreateGrant> {
        write!(self, create_grant(grant))
    }

    /// The terms of a grant. They never change, so those that were read lately are kept; whether
    /// the grant lives is never answered from them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn terms(&self, grant: GrantId) -> Result<Option<Arc<Terms>>, StoreError> {
        if let Some(known) = self.terms.get(&grant) {
            return Ok(Some(known));
        }
        let since = self.terms.begin();
        let found = read!(self, terms(grant))?;
        if let Some(terms) = &found {
            self.terms.keep(since, grant, terms.clone());
        }
        Ok(found)
    }

    /// What the code of a grant is bound to, for as long as it can be exchanged or replayed; `None`
    /// once that was swept, or where there is no such grant.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn code(&self, grant: GrantId) -> Result<Option<CodeBinding>, StoreError> {
        read!(self, code(grant))
    }

    /// The counterfoil of a grant, if the grant is neither ended nor of an earlier era than its
    /// client or customer, and neither is the consent that it hangs on, if it hangs on one: one
    /// read by primary key, every time.
    ///
    /// Promise: once an ending or removal was answered, by whatever node, this gives `None`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn living(&self, terms: &Arc<Terms>) -> Result<Option<Counterfoil>, StoreError> {
        read!(self, living(terms))
    }

    /// The counterfoil of a grant, ended or not, by primary key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn counterfoil(&self, grant: GrantId) -> Result<Option<Counterfoil>, StoreError> {
        read!(self, counterfoil(grant))
    }

    /// Ends a grant: flag, who and why, and audit in one transaction; in the endings journal before
    /// the answer.
    ///
    /// Promise: once answered, no check finds the grant living, at no node, now or after any loss
    /// of process or power.
    pub fn end_grant(&self, grant: GrantId, by: EndedBy, now: Timestamp) -> Pending<Ending> {
        write!(self, end_grant(grant, by, now))
    }

    /// Lets a slip of a living grant expire now, if it is the next: what the user of a sandbox may
    /// ask for. True where it had not.
    ///
    /// Promise: once answered, that slip is refused as expired; no other slip of the grant is.
    pub fn expire_slip(&self, grant: GrantId, number: u64, now: Timestamp) -> Pending<bool> {
        write!(self, expire_slip(grant, number, now))
    }

    /// A grant with all that is known of it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn grant(&self, grant: GrantId) -> Result<Option<Grant>, StoreError> {
        read!(self, grant(grant))
    }

    /// Grants, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn grants(&self, filter: &GrantFilter) -> Result<Vec<Grant>, StoreError> {
        read!(self, grants(filter))
    }

    /// What happened to a grant, the latest first. The same thing again within an hour is one entry
    /// with a count.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit(&self, grant: GrantId) -> Result<Vec<AuditEntry>, StoreError> {
        read!(self, audit(grant))
    }

    /// Those of `grants` of which a used code or refresh token ever came again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn replayed(&self, grants: &[GrantId]) -> Result<Vec<GrantId>, StoreError> {
        read!(self, replayed(grants))
    }
}

/// Clients. They are few and kept in memory by the server; the store is where they survive.
impl Store {
    /// Every client, with its live secrets.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn clients(&self) -> Result<Vec<Client>, StoreError> {
        read!(self, clients(None))
    }

    /// One client, with its live secrets.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn client(&self, id: &str) -> Result<Option<Client>, StoreError> {
        read!(self, clients(Some(id))).map(|mut found| found.pop())
    }

    /// Adds a client, with a secret if it is to have one, or nothing.
    pub fn add_client(
        &self,
        id: String,
        settings: ClientSettings,
        secret: Option<SecretDigest>,
        now: Timestamp,
    ) -> Pending<AddClient> {
        write!(self, add_client(id, settings, secret, now))
    }

    /// Sets the settings of a client; false where there is no such client.
    pub fn set_client(&self, id: String, settings: ClientSettings) -> Pending<bool> {
        write!(self, set_client(id, settings))
    }

    /// Adds a secret to a client and drops the oldest until `keep` older ones are left, at most one
    /// less than [`MOST_SECRETS`](counterfoil_core::client::MOST_SECRETS).
    pub fn add_client_secret(
        &self,
        id: String,
        digest: SecretDigest,
        keep: usize,
        now: Timestamp,
    ) -> Pending<AddSecret> {
        write!(self, add_client_secret(id, digest, keep, now))
    }

    /// Writes down when secrets were last used; a later use that is known already stays.
    pub fn note_secret_uses(&self, uses: Vec<(SecretDigest, Timestamp)>) -> Pending<()> {
        write!(self, note_secret_uses(uses))
    }

    /// Removes a client and ends all its grants at once, by raising its era. Audit entries are
    /// written as [`Store::work_off_removals`] comes to them. False where there is no such client.
    ///
    /// Promise: once answered, no check finds a grant of it living, at no node.
    pub fn remove_client(&self, id: String, now: Timestamp) -> Pending<bool> {
        write!(self, remove_client(id, now))
    }
}

/// Local customers of providers, and the directory of their accounts.
impl Store {
    /// The customer of this id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn customer(&self, id: &CustomerId) -> Result<Option<Customer>, StoreError> {
        read!(self, customer(id))
    }

    /// Customers in the order of their ids, after `after`, of one provider or of all.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn customers(
        &self,
        provider: Option<&str>,
        after: Option<&CustomerId>,
        limit: u32,
    ) -> Result<Vec<Customer>, StoreError> {
        read!(self, customers(provider, after, limit))
    }

    /// The accounts of a customer, in the order in which they were given.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn accounts(&self, id: &CustomerId) -> Result<Vec<Account>, StoreError> {
        read!(self, accounts(id))
    }

    /// The accounts of the customer who gave a living grant, in the order in which they were given.
    /// They seldom change, so those that were read lately are kept, until [`Store::forget_kept`]
    /// where another process may have set them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn accounts_behind(&self, terms: &Terms) -> Result<Arc<[Account]>, StoreError> {
        let (customer, era) = (&terms.customer, terms.customer_era);
        if let Some(kept) = self.accounts.get(&OfCustomer(customer, era)) {
            return Ok(kept);
        }
        let since = self.accounts.begin();
        let accounts: Arc<[Account]> = self.accounts(customer).await?.into();
        // Where there are none, the customer may not have been added yet.
        if !accounts.is_empty() {
            self.accounts.keep(since, (customer.clone(), era), accounts.clone());
        }
        Ok(accounts)
    }

    /// The era of customers of this id, to be recorded in the grants and sessions that one gets.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn customer_era(&self, id: &CustomerId) -> Result<u32, StoreError> {
        read!(self, customer_era(id))
    }

    /// The customer of this id, and those of other ids that may be the same to who signs in,
    /// whatever the case of letters: `login::meant` tells whom it means. One whom a process of an
    /// earlier version added is found by the id alone until [`Store::fill_logins`] came to them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn customers_named(&self, id: &CustomerId) -> Result<Vec<Customer>, StoreError> {
        read!(self, customers_named(id))
    }

    /// Customers of whom others of the same provider have the same name but perhaps for the case of
    /// letters, in an order that has those together; some where they are many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn customers_with_a_common_name(&self) -> Result<Vec<CustomerId>, StoreError> {
        read!(self, customers_with_a_common_name())
    }

    /// Writes down what some customers sign in with whom a process of an earlier version added;
    /// true where there may be more of them.
    pub fn fill_logins(&self) -> Pending<bool> {
        write!(self, fill_logins())
    }

    /// Adds a customer with their accounts, or nothing. `case` is whether names of the provider's
    /// customers are the same whatever the case of letters.
    ///
    /// Promise: two customers whose name is the same are not both added, at whatever node.
    pub fn add_customer(&self, new: NewCustomer, case: Case) -> Pending<AddCustomer> {
        write!(self, add_customer(new, case))
    }

    /// Replaces the accounts of a customer; false where there is no such customer. Grants stay as
    /// they are.
    ///
    /// Promise: once answered, this process answers nothing from those before; others know of a
    /// change ([`Store::changes`]).
    pub async fn set_accounts(
        &self,
        id: CustomerId,
        accounts: Vec<Account>,
    ) -> Result<bool, StoreError> {
        match &self.engine {
            Engine::Sqlite(engine) => {
                engine.set_accounts(id, accounts, self.accounts.clone()).await
            }
            Engine::Postgres(engine) => {
                let set = engine.set_accounts(id, accounts).await;
                self.accounts.forget();
                set
            }
        }
    }

    /// Sets a customer's password, ends their sessions, and forgets the failures that are counted
    /// under `sign_ins`; false where there is no such customer.
    pub fn set_password(
        &self,
        id: CustomerId,
        password: Secret,
        sign_ins: [u8; 32],
    ) -> Pending<bool> {
        write!(self, set_password(id, password, sign_ins))
    }

    /// Removes a customer with their accounts and sessions and ends all their grants at once, by
    /// raising their era. Audit entries are written as [`Store::work_off_removals`] comes to them.
    /// False where there is no such customer.
    ///
    /// Promise: once answered, no check finds a grant of theirs living, at no node.
    pub fn remove_customer(&self, id: CustomerId, now: Timestamp) -> Pending<bool> {
        write!(self, remove_customer(id, now))
    }
}

/// Browser sessions of customers, and the counting of failed sign-ins.
impl Store {
    /// Keeps a session under the hash of its cookie. The one that the browser had `before` ends: at
    /// once where it is another customer's, else at `before_ends`, since another tab may have sent
    /// its cookie just now.
    pub fn create_session(
        &self,
        id: [u8; 32],
        session: Session,
        before: Option<[u8; 32]>,
        before_ends: Timestamp,
    ) -> Pending<()> {
        write!(self, create_session(id, session, before, before_ends))
    }

    /// The session under this hash, if it is good at `now` and its customer was not removed since
    /// it began.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn session(
        &self,
        id: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        read!(self, session(id, now))
    }

    /// How many sessions of a customer are good at `now`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_sessions(&self, id: &CustomerId, now: Timestamp) -> Result<u64, StoreError> {
        read!(self, count_sessions(id, now))
    }

    /// Ends a session.
    pub fn end_session(&self, id: [u8; 32]) -> Pending<()> {
        write!(self, end_session(id))
    }

    /// Asks whether a try to sign in as `customer` (a hash of provider and name) may go on, and
    /// counts it as failed until it succeeds.
    ///
    /// Promise: however many tries run at once, at any number of nodes, no more passwords are
    /// looked at in any 15 minutes than may fail, beside those that were right, unless failures are
    /// forgotten meanwhile.
    pub fn begin_sign_in(&self, customer: [u8; 32], now: Timestamp) -> Pending<SignIn> {
        write!(self, begin_sign_in(customer, now))
    }

    /// Until when no password of `customer` is looked at; `None` where the next try may be made.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sign_in_closed_until(
        &self,
        customer: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        read!(self, sign_in_closed_until(customer, now))
    }

    /// Forgets the tries to sign in as `customer` that are counted as failed, and so lets them try
    /// again, at every node; gives how many there were.
    pub fn forget_failures(&self, customer: [u8; 32]) -> Pending<u64> {
        write!(self, forget_failures(customer))
    }

    /// Takes back the failure that a try was counted as: the password was right.
    pub fn sign_in_succeeded(&self, number: i64) -> Pending<()> {
        write!(self, sign_in_succeeded(number))
    }
}

/// What servers on one store share beside its rows.
impl Store {
    /// How far the sandbox's clock is ahead of the machine's, in seconds.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn clock_offset(&self) -> Result<Seconds, StoreError> {
        read!(self, clock_offset())
    }

    /// Sets how far the sandbox's clock is ahead.
    pub fn set_clock_offset(&self, offset: Seconds) -> Pending<()> {
        write!(self, set_clock_offset(offset))
    }

    /// The faults that are set in a sandbox, as they were written.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn faults(&self) -> Result<Option<String>, StoreError> {
        read!(self, faults())
    }

    /// Replaces the faults that are set in a sandbox, if they are still `before`. False where
    /// another node came first.
    pub fn swap_faults(&self, before: Option<String>, after: String) -> Pending<bool> {
        write!(self, swap_faults(before, after))
    }

    /// The keys that are kept in the store. A file keeps none: they are in a directory apart from
    /// it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keys(&self) -> Result<Option<StoredKeys>, StoreError> {
        read!(self, keys())
    }

    /// Replaces the keys in the store, if the `before`-th are still there (0: there are none).
    /// False where another node came first.
    pub fn swap_keys(&self, before: i64, document: Vec<u8>) -> Pending<bool> {
        write!(self, swap_keys(before, document))
    }
}
