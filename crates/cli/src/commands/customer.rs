//! `counterfoil customer`.

use std::io::Read;
use std::path::PathBuf;

use clap::Subcommand;
use counterfoil_core::grant::CustomerId;
use counterfoil_core::random;
use counterfoil_core::text_file;
use counterfoil_server::admin::Command;
use serde_json::Value;

use super::Common;
use crate::{Failure, output};

/// The default length of lists of customers and grants.
pub(super) const PAGE: u32 = 100;

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Add a customer; without --password-stdin, a random password is set and shown once
    Add {
        /// The customer's id at the provider, which is their user name
        id: String,
        /// The provider's id
        #[arg(long)]
        provider: String,
        /// The name to show; by default the id
        #[arg(long)]
        name: Option<String>,
        /// Their accounts as FDX JSON: {"accounts": [{"depositAccount": {"accountId": "..."}}]}
        #[arg(long, value_name = "FILE")]
        accounts: Option<PathBuf>,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        common: Common,
    },
    /// List customers
    List {
        /// Only this provider's
        #[arg(long)]
        provider: Option<String>,
        /// Continue after this customer, written as PROVIDER/CUSTOMER
        #[arg(long, value_parser = customer_id)]
        after: Option<CustomerId>,
        /// How many at most
        #[arg(long, default_value_t = PAGE)]
        limit: u32,
        #[command(flatten)]
        common: Common,
    },
    /// Show a customer with their accounts, sessions and living grants, and until when they are locked
    /// out
    Show {
        /// The customer's id
        id: String,
        /// The provider's id
        #[arg(long)]
        provider: String,
        #[command(flatten)]
        common: Common,
    },
    /// Replace a customer's accounts; grants stay, and accounts that are gone are no longer returned
    SetAccounts {
        /// The customer's id
        id: String,
        /// The provider's id
        #[arg(long)]
        provider: String,
        /// Their accounts as FDX JSON: {"accounts": [{"depositAccount": {"accountId": "..."}}]}
        #[arg(long, value_name = "FILE")]
        accounts: PathBuf,
        #[command(flatten)]
        common: Common,
    },
    /// Set a customer's password, end their sessions and any lock-out; without --password-stdin, a
    /// random password is set and shown once
    SetPassword {
        /// The customer's id
        id: String,
        /// The provider's id
        #[arg(long)]
        provider: String,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        common: Common,
    },
    /// End the lock-out of a customer after too many failed sign-ins, on every node
    Unlock {
        /// The customer's id
        id: String,
        /// The provider's id
        #[arg(long)]
        provider: String,
        #[command(flatten)]
        common: Common,
    },
    /// Remove a customer; their grants end at once, on every node, before this returns
    Remove {
        /// The customer's id
        id: String,
        /// The provider's id
        #[arg(long)]
        provider: String,
        #[command(flatten)]
        common: Common,
    },
}

/// Parses `PROVIDER/CUSTOMER`.
pub(super) fn customer_id(text: &str) -> Result<CustomerId, String> {
    let (provider, customer) = text.split_once('/').ok_or("write it as PROVIDER/CUSTOMER")?;
    Ok(CustomerId { provider: provider.into(), customer: customer.into() })
}

pub(crate) fn run(action: Action) -> Result<(), Failure> {
    match action {
        Action::Add { id, provider, name, accounts, password_stdin, common } => {
            let accounts: Option<Value> = accounts.map(read_json).transpose()?;
            let name = name.unwrap_or_else(|| id.clone());
            let id = CustomerId { provider, customer: id };
            with_password(&common, password_stdin, |password| Command::CustomerAdd {
                id: id.clone(),
                name: name.clone(),
                password,
                accounts: accounts.clone(),
            })?;
        }
        Action::List { provider, after, limit, common } => {
            let list = common.ask(Command::CustomerList { provider, after, limit })?;
            common.show(&list, |list| {
                output::table(list, &["provider", "customer", "name", "accounts", "created_at"])
            });
            if !common.json {
                list.as_array().into_iter().flatten().for_each(note_same_name);
            }
        }
        Action::Show { id, provider, common } => {
            let shown =
                common.ask(Command::CustomerShow { id: CustomerId { provider, customer: id } })?;
            common.show(&shown, output::record);
            if !common.json {
                note_same_name(&shown);
            }
        }
        Action::SetAccounts { id, provider, accounts, common } => {
            let accounts = read_json(accounts)?;
            let set = common.ask(Command::CustomerSetAccounts {
                id: CustomerId { provider, customer: id },
                accounts,
            })?;
            common.show(&set, output::record);
        }
        Action::SetPassword { id, provider, password_stdin, common } => {
            let id = CustomerId { provider, customer: id };
            with_password(&common, password_stdin, |password| Command::CustomerSetPassword {
                id: id.clone(),
                password,
            })?;
            if !common.json {
                output::note(
                    "The password is set; sessions that began with the old one are ended.",
                );
            }
        }
        Action::Unlock { id, provider, common } => {
            let unlocked = common
                .ask(Command::CustomerUnlock { id: CustomerId { provider, customer: id } })?;
            common.show(&unlocked, output::record);
        }
        Action::Remove { id, provider, common } => {
            let typed = CustomerId { provider, customer: id };
            let removed = common.ask(Command::CustomerRemove { id: typed.clone() })?;
            // The stored id may be spelled differently from the one typed.
            let id = serde_json::from_value(removed["removed"].clone()).unwrap_or(typed);
            common.show(&removed, |_| {
                output::say(&format!("removed {id}; their grants are refused from now on"))
            });
        }
    }
    Ok(())
}

fn read_json(path: PathBuf) -> Result<Value, Failure> {
    let content =
        std::fs::read(&path).map_err(|e| Failure::failed(format!("{}: {e}", path.display())))?;
    let text = text_file::decode(&content)
        .map_err(|e| Failure::failed(format!("{}: {e}", path.display())))?;
    serde_json::from_str(text)
        .map_err(|e| Failure::failed(format!("{} is not JSON: {e}", path.display())))
}

/// Warns if a customer has the same name as others.
fn note_same_name(customer: &Value) {
    let others: Vec<_> =
        customer["same_name"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if let (Some(id), false) = (customer["customer"].as_str(), others.is_empty()) {
        let others: Vec<_> =
            others.iter().map(|other| format!("`{}`", other.escape_default())).collect();
        output::note(&format!(
            "`{}` has the same name as {}: each can sign in only by writing it just so. Remove all but one, or add them again under other names.",
            id.escape_default(),
            others.join(", ")
        ));
    }
}

/// Executes a command that sets a password: one from standard input, or a random one that is shown.
fn with_password(
    common: &Common,
    from_stdin: bool,
    command: impl Fn(String) -> Command,
) -> Result<(), Failure> {
    if from_stdin {
        common.show(&common.ask(command(read_password()?))?, output::record);
        return Ok(());
    }
    let password = hex::encode(random::bytes::<12>());
    let mut shown = common.check(command(password.clone()))?.shown;
    shown["password"] = password.as_str().into();
    common.show_and_ask("password", &shown, command(password))?;
    if !common.json {
        output::note("The password is shown this once: only a hash of it is kept.");
    }
    Ok(())
}

fn read_password() -> Result<String, Failure> {
    let mut content = Vec::new();
    std::io::stdin()
        .take(64 * 1024)
        .read_to_end(&mut content)
        .map_err(|e| Failure::failed(format!("standard input: {e}")))?;
    let text =
        text_file::decode(&content).map_err(|e| Failure::failed(format!("standard input: {e}")))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
