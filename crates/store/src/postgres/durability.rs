//! What an acknowledgement rests on: settings of the server without which it may forget what it has
//! said.

use std::fmt;

use tokio_postgres::Client;

use super::trouble::Trouble;

/// A setting under which something can be lost.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Weakness {
    setting: String,
    value: String,
    /// Whether what was acknowledged can be lost with one machine; else with its disk alone.
    pub(super) loses: bool,
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, value, loses } = self;
        match loses {
            true => write!(
                f,
                "PostgreSQL runs with {setting} = {value}, so a crash can lose what was acknowledged; set {setting} = on"
            ),
            false => write!(
                f,
                "PostgreSQL runs with {setting} = {value}, so a standby that is promoted may lack what was acknowledged; set {setting} = on"
            ),
        }
    }
}

/// Looks at the settings that durability rests on. An engine that has none of them keeps its own
/// promises.
pub(super) async fn check(client: &Client) -> Result<Vec<Weakness>, Trouble> {
    let sql = "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit', 'synchronous_standby_names')";
    let rows = client.query(sql, &[]).await?;
    let mut settings = Vec::with_capacity(rows.len());
    for row in rows {
        settings.push((row.try_get(0)?, row.try_get(1)?));
    }
    Ok(weaknesses(&settings))
}

fn weaknesses(settings: &[(String, String)]) -> Vec<Weakness> {
    let has_standbys = settings
        .iter()
        .any(|(name, value)| name == "synchronous_standby_names" && !value.is_empty());
    let weakness = |(name, value): &(String, String)| {
        let loses = match (name.as_str(), value.as_str()) {
            ("fsync" | "full_page_writes" | "synchronous_commit", "off") => true,
            // `local` does not wait for the standby, `remote_write` not for its disk.
            ("synchronous_commit", "local" | "remote_write") if has_standbys => false,
            _ => return None,
        };
        Some(Weakness { setting: name.clone(), value: value.clone(), loses })
    };
    settings.iter().filter_map(weakness).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(settings: &[(&str, &str)]) -> Vec<(String, bool)> {
        let settings: Vec<_> = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        weaknesses(&settings)
            .into_iter()
            .map(|weakness| (weakness.setting, weakness.loses))
            .collect()
    }

    #[test]
    fn what_can_lose_an_acknowledged_write_is_told_from_what_can_miss_a_standby() {
        let good = [
            ("fsync", "on"),
            ("full_page_writes", "on"),
            ("synchronous_commit", "on"),
            ("synchronous_standby_names", ""),
        ];
        assert!(found(&good).is_empty());
        assert_eq!(found(&[("fsync", "off"), ("full_page_writes", "off")]).len(), 2);
        assert_eq!(found(&[("synchronous_commit", "off")]), [("synchronous_commit".into(), true)]);
        assert!(
            found(&[("synchronous_commit", "local"), ("synchronous_standby_names", "")]).is_empty()
        );
        let local = [("synchronous_commit", "local"), ("synchronous_standby_names", "*")];
        assert_eq!(found(&local), [("synchronous_commit".into(), false)]);
        assert!(
            found(&[("synchronous_commit", "remote_apply"), ("synchronous_standby_names", "*")])
                .is_empty()
        );
    }
}
