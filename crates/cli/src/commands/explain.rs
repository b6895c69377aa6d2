//! `counterfoil explain`.

use std::io::Read;

use clap::Args;
use counterfoil_core::text_file;

use crate::{Failure, output};

/// The longest token that is read, in bytes.
const LONGEST: u64 = 1 << 20;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The token, or - to read it from standard input, which keeps it out of shell histories and
    /// process lists
    token: String,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut token = arguments.token.clone();
    if token == "-" {
        let mut content = Vec::new();
        std::io::stdin()
            .take(LONGEST)
            .read_to_end(&mut content)
            .map_err(|e| Failure::failed(format!("standard input: {e}")))?;
        token = text_file::decode(&content)
            .map_err(|e| Failure::failed(format!("standard input: {e}")))?
            .to_owned();
    }
    let told = counterfoil_core::explain::explain(&token).ok_or_else(|| {
        Failure::failed(
            "this is not a code, refresh token, access token or ID token of Counterfoil",
        )
    })?;
    if arguments.json {
        output::json(&told)
    } else {
        output::record(&told)
    }
    Ok(())
}
