//! `counterfoil client`.

use clap::Subcommand;
use counterfoil_core::client::{SETTINGS, Setting};
use counterfoil_server::admin::{Command, NewSecret, Preview};

use super::Common;
use crate::{Failure, output};

/// How wide the texts of settings are, in characters.
const HELP_WIDTH: usize = 70;

fn settings_help() -> String {
    let mut help = "Settings are written as name=value. Separate the items of a list with commas, or repeat the setting; an empty value clears an
optional setting. A redirect URI may contain commas: a comma separates only if another URI follows. A JSON array is unambiguous.
"
    .to_owned();
    for setting in SETTINGS {
        let default =
            setting.default().map_or(String::new(), |value| format!(" Default: {value}."));
        help.push_str(&format!("\n  {:<29}", setting.name));
        let mut length = 0;
        for word in format!("{}{default}", setting.help()).split(' ') {
            if length + word.len() > HELP_WIDTH {
                help.push_str(&format!("\n{:31}", ""));
                length = 0;
            }
            help.push(' ');
            help.push_str(word);
            length += 1 + word.len();
        }
    }
    help
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Register a client; its secret is shown once
    #[command(after_help = settings_help())]
    Add {
        /// The client id: visible ASCII characters without `:`, `+` and `%`
        id: String,
        /// name=value
        #[arg(value_name = "SETTING=VALUE", required = true, value_parser = setting)]
        settings: Vec<(String, String)>,
        #[command(flatten)]
        common: Common,
    },
    /// List all clients
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Show a client's settings, and when its secrets were last used
    Show {
        /// The client id
        id: String,
        #[command(flatten)]
        common: Common,
    },
    /// Change settings of a client
    #[command(after_help = settings_help())]
    Set {
        /// The client id
        id: String,
        /// name=value
        #[arg(value_name = "SETTING=VALUE", required = true, value_parser = setting)]
        settings: Vec<(String, String)>,
        #[command(flatten)]
        common: Common,
    },
    /// Give a client a new secret, shown once; the previous one stays valid too
    RotateSecret {
        /// The client id
        id: String,
        /// Revoke the older secret at once
        #[arg(long)]
        drop_old: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Remove a client; its grants end at once, on every node, before this returns
    Remove {
        /// The client id
        id: String,
        #[command(flatten)]
        common: Common,
    },
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| format!("`{text}` is not written as name=value"))?;
    Setting::named(name).map_err(|e| e.to_string())?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(crate) fn run(action: Action) -> Result<(), Failure> {
    match action {
        Action::Add { id, settings, common } => {
            with_secret(&common, |announced| Command::ClientAdd {
                id: id.clone(),
                settings: settings.clone(),
                announced,
            })?;
        }
        Action::List { common } => {
            let list = common.ask(Command::ClientList)?;
            common.show(&list, |list| {
                output::table(
                    list,
                    &[
                        "client_id",
                        "name",
                        "token_endpoint_auth_method",
                        "id_token_signed_response_alg",
                        "secrets",
                    ],
                );
            });
        }
        Action::Show { id, common } => {
            common.show(&common.ask(Command::ClientShow { id })?, output::record)
        }
        Action::Set { id, settings, common } => {
            common.show(&common.ask(Command::ClientSet { id, settings })?, output::record)
        }
        Action::RotateSecret { id, drop_old, common } => {
            with_secret(&common, |announced| Command::ClientRotateSecret {
                id: id.clone(),
                drop_old,
                announced,
            })?;
        }
        Action::Remove { id, common } => {
            let removed = common.ask(Command::ClientRemove { id: id.clone() })?;
            common.show(&removed, |_| {
                output::say(&format!("removed {id}; its grants are refused from now on"))
            });
        }
    }
    Ok(())
}

/// Executes a command that makes a secret, unless the client is public.
fn with_secret(
    common: &Common,
    command: impl Fn(Option<NewSecret>) -> Command,
) -> Result<(), Failure> {
    match common.check(command(None))? {
        Preview { shown, announced: Some(announced) } => {
            common.show_and_ask("client_secret", &shown, command(Some(announced)))?;
            if !common.json {
                output::note("The client_secret is shown this once: only a digest of it is kept.");
            }
        }
        Preview { announced: None, .. } => common.show(&common.ask(command(None))?, output::record),
    }
    Ok(())
}
