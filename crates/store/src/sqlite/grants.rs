//! Grants: made at consent, read on every request, ended in one way.

use std::sync::{Arc, LazyLock};

use counterfoil_core::clock::{HOUR, Timestamp};
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::{CodeBinding, CustomerId, GrantId, Terms};
use counterfoil_core::verdict::Counterfoil;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::Sqlite;
use super::batch::Batch;
use super::era::Eras;
use super::row::{self, column, named, time};
use crate::audit::Event;
use crate::columns::{COUNTERFOIL_COLUMNS, counterfoil_columns, parent_lives, read_code};
use crate::error::StoreError;
use crate::journal::Line;
use crate::level::Level;
use crate::pending::Pending;
use crate::record::{AuditEntry, CreateGrant, EndedAt, Ending, Grant, GrantFilter, NewGrant};
use crate::terms;

/// A grant with its counterfoil, how it was ended, and whether what it hangs on lives.
fn select_grant(condition: &str) -> String {
    format!(
        "SELECT {}, {}, ending.at, ended_by, {} \
         FROM terms JOIN counterfoil USING (grant_id) LEFT JOIN ending USING (grant_id) {condition}",
        *terms::NAMES,
        counterfoil_columns!(),
        parent_lives!(),
    )
}

static READ_GRANT: LazyLock<String> = LazyLock::new(|| select_grant("WHERE terms.grant_id = ?1"));
static LIST: LazyLock<String> = LazyLock::new(|| {
    select_grant(
        "WHERE terms.grant_id < ?1 AND (?2 IS NULL OR client = ?2) ORDER BY terms.grant_id DESC LIMIT ?3",
    )
});
static LIST_OF_CUSTOMER: LazyLock<String> = LazyLock::new(|| {
    select_grant(
        "WHERE parent IS NULL AND provider = ?1 AND customer = ?2 AND terms.grant_id < ?3 AND (?4 IS NULL OR client = ?4) \
         ORDER BY terms.grant_id DESC LIMIT ?5",
    )
});

impl Sqlite {
    pub(crate) fn create_grant(&self, grant: NewGrant) -> Pending<CreateGrant> {
        let (level, epoch, eras) = (self.level, self.epoch.clone(), self.eras.clone());
        self.writer.queue(move |batch| create(batch.db, &grant, level, epoch.now(), &eras))
    }

    pub(crate) fn terms(&self, grant: GrantId) -> Result<Option<Arc<Terms>>, StoreError> {
        let found = terms(&self.readers.reader(), grant).map_err(named("terms", grant))?;
        Ok(found.map(Arc::new))
    }

    pub(crate) fn living(&self, terms: &Terms) -> Result<Option<Counterfoil>, StoreError> {
        if !self.eras.are_current(terms) {
            return Ok(None);
        }
        let reader = self.readers.reader();
        let Some(row) =
            counterfoil(&reader, terms.grant).map_err(named("counterfoil", terms.grant))?
        else {
            return Ok(None);
        };
        Ok((!row.ended && hangs_on_living(&reader, terms)?).then_some(row))
    }

    pub(crate) fn code(&self, grant: GrantId) -> Result<Option<CodeBinding>, StoreError> {
        let reader = self.readers.reader();
        let mut query = reader.prepare_cached(read_code!())?;
        query.query_row([grant.number()], row::code).optional().map_err(named("code", grant))
    }

    pub(crate) fn counterfoil(&self, grant: GrantId) -> Result<Option<Counterfoil>, StoreError> {
        let reader = self.readers.reader();
        counterfoil(&reader, grant).map_err(named("counterfoil", grant))
    }

    pub(crate) fn end_grant(&self, grant: GrantId, by: EndedBy, now: Timestamp) -> Pending<Ending> {
        let epoch = self.epoch.clone();
        self.writer.queue(move |batch| {
            // An ending that an earlier call made may not be in the journal yet; this answer
            // vouches for it.
            batch.acknowledges_ending();
            end(batch, grant, by, now, epoch.now())
        })
    }

    pub(crate) fn expire_slip(&self, grant: GrantId, number: u64, now: Timestamp) -> Pending<bool> {
        self.writer.queue(move |batch| {
            let mut expire = batch.db.prepare_cached(
                "UPDATE counterfoil SET expires_at = ?3 WHERE grant_id = ?1 AND next_slip = ?2 AND ended = 0 AND expires_at > ?3",
            )?;
            Ok(expire.execute(params![grant.number(), i64::try_from(number).unwrap_or(i64::MAX), now.unix()])? == 1)
        })
    }

    pub(crate) fn grant(&self, grant: GrantId) -> Result<Option<Grant>, StoreError> {
        let reader = self.readers.reader();
        let mut query = reader.prepare_cached(&READ_GRANT)?;
        let found =
            query.query_row([grant.number()], whole).optional().map_err(named("terms", grant))?;
        Ok(found.map(|grant| self.with_currency(grant)))
    }

    pub(crate) fn grants(&self, filter: &GrantFilter) -> Result<Vec<Grant>, StoreError> {
        let reader = self.readers.reader();
        let before = filter.before.map_or(i64::MAX, GrantId::number);
        let found: rusqlite::Result<Vec<Grant>> = match &filter.customer {
            Some(CustomerId { provider, customer }) => reader
                .prepare_cached(&LIST_OF_CUSTOMER)?
                .query_map(params![provider, customer, before, filter.client, filter.limit], whole)?
                .collect(),
            None => reader
                .prepare_cached(&LIST)?
                .query_map(params![before, filter.client, filter.limit], whole)?
                .collect(),
        };
        Ok(found
            .map_err(named("terms", "listed"))?
            .into_iter()
            .map(|grant| self.with_currency(grant))
            .collect())
    }

    pub(crate) fn audit(&self, grant: GrantId) -> Result<Vec<AuditEntry>, StoreError> {
        let reader = self.readers.reader();
        let mut query = reader
            .prepare_cached("SELECT event, first_at, last_at, count, detail FROM audit WHERE grant_id = ?1 ORDER BY last_at DESC, event")?;
        let entry = |row: &Row<'_>| {
            Ok(AuditEntry {
                event: row.get(0)?,
                first_at: time(row, 1)?,
                last_at: time(row, 2)?,
                count: row.get(3)?,
                detail: row.get(4)?,
            })
        };
        query
            .query_map([grant.number()], entry)?
            .collect::<rusqlite::Result<_>>()
            .map_err(named("audit", grant))
    }

    pub(crate) fn replayed(&self, grants: &[GrantId]) -> Result<Vec<GrantId>, StoreError> {
        let reader = self.readers.reader();
        let mut query = reader.prepare_cached(
            "SELECT DISTINCT grant_id FROM audit \
             WHERE grant_id IN (SELECT value FROM json_each(?1)) AND event IN ('code_replayed', 'refresh_token_replayed')",
        )?;
        let numbers: Vec<i64> = grants.iter().map(|grant| grant.number()).collect();
        let replayed = query.query_map([serde_json::json!(numbers).to_string()], |row| {
            column(row, 0, GrantId::from_number)
        })?;
        replayed.collect::<rusqlite::Result<_>>().map_err(named("audit", "of many"))
    }

    fn with_currency(&self, grant: Grant) -> Grant {
        Grant { current: self.eras.are_current(&grant.terms), ..grant }
    }
}

fn create(
    db: &Connection,
    grant: &NewGrant,
    level: Level,
    epoch: u32,
    eras: &Eras,
) -> rusqlite::Result<CreateGrant> {
    let (terms, code) = (&grant.terms, &grant.code);
    let id = terms.grant.number();
    if let Some(parent) = terms.parent {
        // A doubled consent is told what became of the first, whatever became of the parent since.
        let is_new = !db.prepare_cached(READ_COUNTERFOIL)?.exists([id])?;
        let above = self::terms(db, parent)?
            .filter(|above| terms.may_hang_on(above) && eras.are_current(above));
        if is_new && !(above.is_some() && hangs_on_living(db, terms)?) {
            return Ok(CreateGrant::NoParent);
        }
    }
    let made = db
        .prepare_cached(&terms::INSERT)?
        .execute(params_from_iter(terms::to_insert(terms, code, level)))?;
    if made == 0
        && let Some(existing) = self::terms(db, terms.grant)?.zip(counterfoil(db, terms.grant)?)
    {
        return Ok(CreateGrant::Exists(Box::new(existing)));
    }
    if level >= Level::Two {
        let CodeBinding { redirect_uri, challenge, nonce } = code;
        db.prepare_cached("INSERT INTO code VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING")?
            .execute(params![
                id,
                redirect_uri,
                challenge.as_ref().map(|challenge| challenge.as_bytes()),
                nonce
            ])?;
    }
    db.prepare_cached("INSERT INTO counterfoil VALUES (?1, ?2, 0, ?3, NULL, ?4, ?5, ?6, 0)")?
        .execute(params![
            id,
            grant.seal.expose(),
            grant.code_expires_at.unix(),
            terms.created_at.unix(),
            grant.slip_key.0,
            epoch,
        ])?;
    Ok(CreateGrant::Created)
}

/// By primary key alone, as the gate.
pub(crate) const READ_COUNTERFOIL: &str =
    concat!("SELECT ", counterfoil_columns!(), " FROM counterfoil WHERE grant_id = ?1");

/// The counterfoil of a grant, by primary key alone.
pub(crate) fn counterfoil(
    db: &Connection,
    grant: GrantId,
) -> rusqlite::Result<Option<Counterfoil>> {
    db.prepare_cached(READ_COUNTERFOIL)?
        .query_row([grant.number()], |row| row::counterfoil(row, 0))
        .optional()
}

/// Whether the consent that a grant hangs on, if it hangs on one, is there and not ended. It is of
/// the same eras, and of no earlier end: [`Terms::may_hang_on`].
pub(super) fn hangs_on_living(db: &Connection, terms: &Terms) -> rusqlite::Result<bool> {
    let Some(parent) = terms.parent else {
        return Ok(true);
    };
    Ok(counterfoil(db, parent)?.is_some_and(|above| !above.ended))
}

/// By primary key alone.
pub(crate) static READ_TERMS: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM terms WHERE grant_id = ?1", *terms::NAMES));

fn terms(db: &Connection, grant: GrantId) -> rusqlite::Result<Option<Terms>> {
    db.prepare_cached(&READ_TERMS)?.query_row([grant.number()], row::terms).optional()
}

/// The one way in which a grant ends.
pub(crate) fn end(
    batch: &mut Batch<'_>,
    grant: GrantId,
    by: EndedBy,
    now: Timestamp,
    epoch: u32,
) -> rusqlite::Result<Ending> {
    let id = grant.number();
    let ended = batch
        .db
        .prepare_cached(
            "UPDATE counterfoil SET ended = 1, epoch = ?2 WHERE grant_id = ?1 AND ended = 0",
        )?
        .execute(params![id, epoch])?;
    if ended == 0 {
        let known = batch.db.prepare_cached(READ_COUNTERFOIL)?.exists([id])?;
        return Ok(if known { Ending::AlreadyEnded } else { Ending::NotFound });
    }
    let number = next_number(batch.db)?;
    let insert = "INSERT INTO ending (grant_id, at, ended_by, number) VALUES (?1, ?2, ?3, ?4)";
    batch.db.prepare_cached(insert)?.execute(params![id, now.unix(), by.name(), number])?;
    audit(batch.db, grant, Event::GrantEnded, now, &format!("ended by {by}"))?;
    batch.journal(Line::Grant { at: now, grant, by, number: Some(number) });
    Ok(Ending::Ended)
}

/// The number of the next ending: never one that was given before, also where the row that had it
/// was swept.
fn next_number(db: &Connection) -> rusqlite::Result<i64> {
    let next = db
        .prepare_cached(
            "UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'ending' RETURNING seq",
        )?
        .query_row([], |row| row.get(0))
        .optional()?;
    if let Some(next) = next {
        return Ok(next);
    }
    db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('ending', 1)", [])?;
    Ok(1)
}

/// Records that something happened to a grant. The same again within the hour is counted.
pub(crate) fn audit(
    db: &Connection,
    grant: GrantId,
    event: Event,
    now: Timestamp,
    detail: &str,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?4, 1, ?5) \
         ON CONFLICT (grant_id, event, hour) DO UPDATE SET last_at = excluded.last_at, count = count + 1, detail = excluded.detail",
    )?
    .execute(params![grant.number(), event.name(), now.unix().div_euclid(HOUR), now.unix(), detail])
    .map(drop)
}

/// The place of the ending in the columns of `select_grant`.
const ENDING_COLUMN: usize = terms::WIDTH + COUNTERFOIL_COLUMNS;

fn whole(row: &Row<'_>) -> rusqlite::Result<Grant> {
    let ended_by: Option<String> = row.get(ENDING_COLUMN + 1)?;
    let ended = match ended_by {
        None => None,
        Some(name) => {
            Some(EndedAt { at: time(row, ENDING_COLUMN)?, by: EndedBy::from_name(&name) })
        }
    };
    let (terms, counterfoil) = (row::terms(row)?, row::counterfoil(row, terms::WIDTH)?);
    Ok(Grant {
        terms,
        counterfoil,
        ended,
        current: true,
        parent_lives: row.get(ENDING_COLUMN + 2)?,
    })
}
