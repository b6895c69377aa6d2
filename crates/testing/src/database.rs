//! What is done to databases, with `psql`.

use std::io::Write;
use std::process::{Command, Stdio};

use url::Url;

pub(crate) const SCRIPT: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/private-postgres");

/// Copying the template through the log takes a fraction of the checkpoints that copying its files
/// takes. The name is drawn by the database, since the cluster may outlive the process and be used
/// by many.
const CREATE: &str = r"
SELECT 'test_' || replace(gen_random_uuid()::text, '-', '') AS name \gset
CREATE DATABASE :name STRATEGY wal_log;
\echo :name
";

/// Runs what `psql` can run, statements and its own commands, in the database at a URL, and gives
/// what it printed: a line for each row, with `|` between columns and without the last line's end.
/// In TLS and the like, libpq's parameters of the URL apply.
///
/// # Panics
/// At the first error, with its text.
pub fn psql(url: &str, commands: &str) -> String {
    let mut psql = Command::new(SCRIPT)
        .args(["psql", url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{SCRIPT} can't be run: {e}"));
    // Where it doesn't read to the end, it has failed and says why.
    let _ = psql.stdin.take().expect("it is piped").write_all(commands.as_bytes());
    let output =
        psql.wait_with_output().unwrap_or_else(|e| panic!("psql can't be waited for: {e}"));
    assert!(
        output.status.success(),
        "psql {url}: {}in: {commands}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
}

/// A dump of the database at a URL, by `pg_dump`. Run by [`psql`], it takes the place of what is
/// there.
///
/// # Panics
/// Where it can't be made.
pub fn dump(url: &str) -> String {
    let output = Command::new(SCRIPT)
        .args(["dump", url])
        .output()
        .unwrap_or_else(|e| panic!("{SCRIPT} can't be run: {e}"));
    assert!(output.status.success(), "dump {url}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Makes a database on the cluster at a URL, and gives its own.
pub(crate) fn create(url: &str) -> String {
    let name = psql(url, CREATE);
    let mut url = Url::parse(url).unwrap_or_else(|e| panic!("{url} is no URL: {e}"));
    url.set_path(&name);
    url.into()
}
