//! The schema, version by version: SQL files, forward only, the same versions for both engines.

/// The newest version of the schema.
pub(crate) const NEWEST: u32 = 3;

/// What leads from one version to the next: its name, and its SQL.
type Migration = (&'static str, &'static str);

/// Those of SQLite. The first makes version 1.
pub(crate) const SQLITE: [Migration; NEWEST as usize] = [
    ("first", include_str!("migrations/sqlite/V1__first.sql")),
    ("parents_and_codes", include_str!("migrations/sqlite/V2__parents_and_codes.sql")),
    ("logins_and_endings_logs", include_str!("migrations/sqlite/V3__logins_and_endings_logs.sql")),
];

/// Those of PostgreSQL.
pub(crate) const POSTGRES: [Migration; NEWEST as usize] = [
    ("first", include_str!("migrations/postgres/V1__first.sql")),
    ("parents_and_codes", include_str!("migrations/postgres/V2__parents_and_codes.sql")),
    (
        "logins_and_endings_logs",
        include_str!("migrations/postgres/V3__logins_and_endings_logs.sql"),
    ),
];

/// The table that says which versions a store has had; the name and the columns are those of the
/// library that the first stores were made with. It kept a checksum of each file, which nobody
/// reads.
const HISTORY: &str = "CREATE TABLE IF NOT EXISTS refinery_schema_history \
     (version INTEGER PRIMARY KEY, name TEXT, applied_on TEXT, checksum TEXT)";

/// The migrations that a store of version `found` lacks, each a script that also records it. `now`
/// is SQL for the time.
pub(crate) fn missing(
    migrations: &[Migration],
    found: u32,
    now: &str,
) -> impl Iterator<Item = String> {
    (1_u32..).zip(migrations).filter(move |(version, _)| *version > found).map(
        move |(version, (name, sql))| {
            format!(
                "{HISTORY};\n{sql}\nINSERT INTO refinery_schema_history (version, name, applied_on, checksum) \
                 VALUES ({version}, '{name}', {now}, '');"
            )
        },
    )
}
