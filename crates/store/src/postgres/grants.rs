//! Grants: made at consent, ended in one way, looked at by people. What the token path reads of
//! them is in `reads.rs`.

use std::sync::LazyLock;

use counterfoil_core::clock::{HOUR, MINUTE, Seconds, Timestamp};
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::{CodeBinding, CustomerId, GrantId, Terms};
use counterfoil_core::verdict::Counterfoil;
use futures_util::FutureExt as _;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::Postgres;
use super::row::Columns;
use super::trouble::Trouble;
use super::write::Write;
use crate::audit::Event;
use crate::columns::{COUNTERFOIL_COLUMNS, Value, counterfoil_columns, parent_lives, read_code};
use crate::error::StoreError;
use crate::journal::Line;
use crate::level::Level;
use crate::pending::Pending;
use crate::record::{AuditEntry, CreateGrant, EndedAt, Ending, Grant, GrantFilter, NewGrant};
use crate::terms;

/// A grant with its counterfoil, how it was ended, whether it is of the era of its client and
/// customer, and whether what it hangs on lives.
fn select_grant(condition: &str) -> String {
    format!(
        "SELECT {}, {}, ending.at, ended_by, \
         client_era = coalesce((SELECT era FROM era WHERE era.client = terms.client AND era.provider = '' AND era.customer = ''), 0) \
         AND customer_era = coalesce((SELECT era FROM era WHERE era.client = '' AND era.provider = terms.provider \
            AND era.customer = terms.customer), 0), {} \
         FROM terms JOIN counterfoil USING (grant_id) LEFT JOIN ending USING (grant_id) {condition}",
        *terms::NAMES,
        counterfoil_columns!(),
        parent_lives!(),
    )
}

static READ_GRANT: LazyLock<String> = LazyLock::new(|| select_grant("WHERE terms.grant_id = $1"));
static LIST: LazyLock<String> = LazyLock::new(|| {
    select_grant(
        "WHERE terms.grant_id < $1 AND ($2::text IS NULL OR client = $2) ORDER BY terms.grant_id DESC LIMIT $3",
    )
});
static LIST_OF_CUSTOMER: LazyLock<String> = LazyLock::new(|| {
    select_grant(
        "WHERE parent IS NULL AND provider = $1 AND customer = $2 AND terms.grant_id < $3 AND ($4::text IS NULL OR client = $4) \
         ORDER BY terms.grant_id DESC LIMIT $5",
    )
});
static READ_EXISTING: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {}, {} FROM terms JOIN counterfoil USING (grant_id) WHERE terms.grant_id = $1",
        *terms::NAMES,
        counterfoil_columns!(),
    )
});

/// Seconds for which an ending may still lack its line in any journal: its node was killed in
/// between, and starts again or is replaced within them.
const VOUCHED_FOR: Seconds = 15 * MINUTE;

/// The place of the ending in the columns of `select_grant`.
const ENDING_COLUMN: usize = terms::WIDTH + COUNTERFOIL_COLUMNS;

impl Postgres {
    pub(crate) fn create_grant(&self, grant: NewGrant) -> Pending<CreateGrant> {
        self.write((grant, self.inner.level()), |write, (grant, level)| {
            create(write, grant, *level).boxed()
        })
    }

    pub(crate) async fn code(&self, grant: GrantId) -> Result<Option<CodeBinding>, StoreError> {
        let rows = self.rows(read_code!(), &[&grant.number()]).await?;
        rows.first()
            .map(|row| Columns::of(row, "code").code().map_err(StoreError::from))
            .transpose()
    }

    pub(crate) fn end_grant(&self, grant: GrantId, by: EndedBy, now: Timestamp) -> Pending<Ending> {
        let inner = self.inner.clone();
        self.begin(async move {
            let ending = inner
                .write(
                    &(grant, by, now),
                    |write, (grant, by, now)| end_or_vouch(write, *grant, *by, *now).boxed(),
                    false,
                )
                .await?;
            // An ending that an earlier call made may still wait for its line in the journal; this
            // answer vouches for it.
            inner.flush_journal(Vec::new()).await.map(|()| ending)
        })
    }

    pub(crate) fn expire_slip(&self, grant: GrantId, number: u64, now: Timestamp) -> Pending<bool> {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        self.write((grant, number, now), |write, (grant, number, now)| {
            async move {
                let expire =
                    "UPDATE counterfoil SET expires_at = $3 WHERE grant_id = $1 AND next_slip = $2 AND NOT ended AND expires_at > $3";
                Ok(write.execute(expire, &[&grant.number(), number, &now.unix()]).await? == 1)
            }
            .boxed()
        })
    }

    pub(crate) async fn grant(&self, grant: GrantId) -> Result<Option<Grant>, StoreError> {
        let rows = self.rows(&READ_GRANT, &[&grant.number()]).await?;
        rows.first().map(|row| whole(row).map_err(StoreError::from)).transpose()
    }

    pub(crate) async fn grants(&self, filter: &GrantFilter) -> Result<Vec<Grant>, StoreError> {
        let (before, limit) =
            (filter.before.map_or(i64::MAX, GrantId::number), i64::from(filter.limit));
        let rows = match &filter.customer {
            Some(CustomerId { provider, customer }) => {
                self.rows(&LIST_OF_CUSTOMER, &[provider, customer, &before, &filter.client, &limit])
                    .await?
            }
            None => self.rows(&LIST, &[&before, &filter.client, &limit]).await?,
        };
        Ok(rows.iter().map(whole).collect::<Result<_, _>>()?)
    }

    pub(crate) async fn audit(&self, grant: GrantId) -> Result<Vec<AuditEntry>, StoreError> {
        let sql = "SELECT event, first_at, last_at, count, detail FROM audit WHERE grant_id = $1 ORDER BY last_at DESC, event";
        let rows = self.rows(sql, &[&grant.number()]).await?;
        let entry = |row: &Row| {
            let columns = Columns::of(row, "audit");
            Ok(AuditEntry {
                event: columns.get(0)?,
                first_at: columns.time(1)?,
                last_at: columns.time(2)?,
                count: columns.get(3)?,
                detail: columns.get(4)?,
            })
        };
        Ok(rows.iter().map(entry).collect::<Result<_, Trouble>>()?)
    }

    pub(crate) async fn replayed(&self, grants: &[GrantId]) -> Result<Vec<GrantId>, StoreError> {
        let numbers: Vec<i64> = grants.iter().map(|grant| grant.number()).collect();
        let sql = "SELECT DISTINCT grant_id FROM audit WHERE grant_id = ANY($1) AND event IN ('code_replayed', 'refresh_token_replayed')";
        let rows = self.rows(sql, &[&numbers]).await?;
        Ok(rows
            .iter()
            .map(|row| Columns::of(row, "audit").make(0, GrantId::from_number))
            .collect::<Result<_, Trouble>>()?)
    }
}

async fn create(
    write: &mut Write<'_>,
    grant: &NewGrant,
    level: Level,
) -> Result<CreateGrant, Trouble> {
    let NewGrant { terms, code, seal, code_expires_at, slip_key } = grant;
    let id = terms.grant.number();
    if let Some(parent) = terms.parent
        && !parent_lives(write, terms, parent).await?
    {
        // A doubled consent is told what became of the first, whatever became of the parent since.
        let existing = existing(write, id).await?;
        return Ok(existing
            .map_or(CreateGrant::NoParent, |existing| CreateGrant::Exists(Box::new(existing))));
    }
    let row: Vec<Value<'_>> = terms::to_insert(terms, code, level).collect();
    let row: Vec<&(dyn ToSql + Sync)> = row.iter().map(|value| value as _).collect();
    let made = write.execute(&terms::INSERT, &row).await?;
    if made == 0
        && let Some(existing) = existing(write, id).await?
    {
        return Ok(CreateGrant::Exists(Box::new(existing)));
    }
    if level >= Level::Two {
        let CodeBinding { redirect_uri, challenge, nonce } = code;
        let challenge = challenge.as_ref().map(|challenge| challenge.as_bytes().as_slice());
        let insert = "INSERT INTO code VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
        write.execute(insert, &[&id, redirect_uri, &challenge, nonce]).await?;
    }
    write
        .execute(
            "INSERT INTO counterfoil (grant_id, seal, next_slip, expires_at, claim, redeemed_at, slip_key, epoch, ended) \
             VALUES ($1, $2, 0, $3, NULL, $4, $5, (SELECT value::integer FROM meta WHERE key = 'epoch'), false)",
            &[&id, &seal.expose().as_slice(), &code_expires_at.unix(), &terms.created_at.unix(), &i32::from(slip_key.0)],
        )
        .await?;
    Ok(CreateGrant::Created)
}

/// Whether the consent that a grant is to hang on is there, is one that it may hang on, and lives.
async fn parent_lives(
    write: &mut Write<'_>,
    terms: &Terms,
    parent: GrantId,
) -> Result<bool, Trouble> {
    let Some(row) = write.row(&READ_GRANT, &[&parent.number()]).await? else {
        return Ok(false);
    };
    let above = whole(&row)?;
    Ok(terms.may_hang_on(&above.terms) && above.current && !above.counterfoil.ended)
}

async fn existing(
    write: &mut Write<'_>,
    grant: i64,
) -> Result<Option<(Terms, Counterfoil)>, Trouble> {
    let Some(row) = write.row(&READ_EXISTING, &[&grant]).await? else {
        return Ok(None);
    };
    let columns = Columns::of(&row, "terms");
    Ok(Some((columns.terms()?, columns.counterfoil(terms::WIDTH)?)))
}

/// The one way in which a grant ends.
pub(super) async fn end(
    write: &mut Write<'_>,
    grant: GrantId,
    by: EndedBy,
    now: Timestamp,
) -> Result<Ending, Trouble> {
    let id = grant.number();
    let end = "UPDATE counterfoil SET ended = true, epoch = (SELECT value::integer FROM meta WHERE key = 'epoch') \
        WHERE grant_id = $1 AND NOT ended";
    if write.execute(end, &[&id]).await? == 0 {
        let known = write.row("SELECT FROM counterfoil WHERE grant_id = $1", &[&id]).await?;
        return Ok(if known.is_some() { Ending::AlreadyEnded } else { Ending::NotFound });
    }
    let insert = "INSERT INTO ending (grant_id, at, ended_by) VALUES ($1, $2, $3) RETURNING number";
    let numbered = write.row(insert, &[&id, &now.unix(), &by.name()]).await?;
    let number = numbered.map(|row| Columns::of(&row, "ending").get(0)).transpose()?;
    audit(write, grant, Event::GrantEnded, now, &format!("ended by {by}")).await?;
    write.lines.push(Line::Grant { at: now, grant, by, number });
    Ok(Ending::Ended)
}

/// Ends a grant, or sees to it that its ending is known apart from the store: the one that is there
/// may be an earlier try's of this call, or that of a node that was killed before it wrote its
/// line. Lines may repeat.
async fn end_or_vouch(
    write: &mut Write<'_>,
    grant: GrantId,
    by: EndedBy,
    now: Timestamp,
) -> Result<Ending, Trouble> {
    let ending = end(write, grant, by, now).await?;
    if ending == Ending::AlreadyEnded
        && let Some(row) = write
            .row("SELECT at, ended_by, number FROM ending WHERE grant_id = $1", &[&grant.number()])
            .await?
    {
        let columns = Columns::of(&row, "ending");
        let (at, by) = (columns.time(0)?, EndedBy::from_name(columns.get(1)?));
        if write.again || now.since(at) < VOUCHED_FOR {
            write.lines.push(Line::Grant { at, grant, by, number: columns.get(2)? });
        }
    }
    Ok(ending)
}

/// Records that something happened to a grant. The same again within the hour is counted.
pub(super) async fn audit(
    write: &mut Write<'_>,
    grant: GrantId,
    event: Event,
    now: Timestamp,
    detail: &str,
) -> Result<(), Trouble> {
    let record = "INSERT INTO audit VALUES ($1, $2, $3, $4, $4, 1, $5) \
        ON CONFLICT (grant_id, event, hour) DO UPDATE SET last_at = excluded.last_at, count = audit.count + 1, detail = excluded.detail";
    let (hour, now) = (now.unix().div_euclid(HOUR), now.unix());
    write.execute(record, &[&grant.number(), &event.name(), &hour, &now, &detail]).await.map(drop)
}

fn whole(row: &Row) -> Result<Grant, Trouble> {
    let columns = Columns::of(row, "terms");
    let ended = match columns.get::<Option<&str>>(ENDING_COLUMN + 1)? {
        None => None,
        Some(name) => {
            Some(EndedAt { at: columns.time(ENDING_COLUMN)?, by: EndedBy::from_name(name) })
        }
    };
    let (terms, counterfoil) = (columns.terms()?, columns.counterfoil(terms::WIDTH)?);
    let (current, parent_lives) =
        (columns.get(ENDING_COLUMN + 2)?, columns.get(ENDING_COLUMN + 3)?);
    Ok(Grant { terms, counterfoil, ended, current, parent_lives })
}
