//! `counterfoil serve`.

use crate::config::Config;
use crate::process::{LogFormat, Signals, block_on, start_log};
use crate::{Failure, output};
use axum_server::tls_rustls::RustlsConfig;
use clap::Args;
use counterfoil_core::clock::Clock;
use counterfoil_server::admin;
use counterfoil_server::keys::Keys;
use counterfoil_server::{App, Listeners, serve};
use counterfoil_store::{GrantFilter, OpenOptions, Store, StoreKind};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Check the settings and do nothing else
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(&arguments.config).map_err(Failure::Usage)?;
    if config.endings_log.is_none() {
        return Err(Failure::usage(
            "`endings_log` is missing: what was revoked must be known apart from the store, on another disk at best",
        ));
    }
    if arguments.check {
        output::say("the settings are good");
        return Ok(());
    }
    start_log(LogFormat::Json, &config.log)?;
    block_on(async move {
        let signals = Signals::watch()?;
        let listen = |address| TcpListener::bind(address).map_err(|e| Failure::failed(format!("{address} can't be listened on: {e}")));
        let (store, tls, metrics) = (config.store.clone(), config.tls.clone(), config.metrics_listen);
        let public = listen(config.listen)?;
        let address = public.local_addr().map_err(Failure::failed)?;
        let listeners = Listeners {
            public,
            tls: match tls {
                Some((certificate, key)) => Some(tls_config(&certificate, &key).await?),
                None => None,
            },
            metrics: metrics.map(listen).transpose()?,
            admin: Some(admin::path_beside(&store)),
        };
        let app = open_app(config, "counterfoil serve")?;
        output::say(&format!("ready {address} as {}", app.settings.issuer));
        serve(app, listeners, signals.stop()).await.map_err(Failure::failed)
    })
}

async fn tls_config(certificate: &std::path::Path, key: &std::path::Path) -> Result<RustlsConfig, Failure> {
    // Fails only where a provider was installed before, and none was.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let named =
        |e: std::io::Error| Failure::failed(format!("the certificate {} with the key {}: {e}", certificate.display(), key.display()));
    RustlsConfig::from_pem_file(certificate, key).await.map_err(named)
}

/// Opens store and keys of a live server, for this process alone.
pub(crate) fn open_app(config: Config, holder: &str) -> Result<Arc<App>, Failure> {
    let clock = Clock::live();
    let issuer = config.settings.issuer.clone();
    let options = OpenOptions {
        path: config.store,
        kind: StoreKind::Live,
        issuer: issuer.clone(),
        endings_log: config.endings_log,
        holder: holder.into(),
    };
    let store = Store::open(options).map_err(Failure::failed)?;
    let any_grant = GrantFilter { limit: 1, ..GrantFilter::default() };
    if !Keys::are_at(&config.keys) && !store.grants(&any_grant).map_err(Failure::failed)?.is_empty() {
        let keys = config.keys.display();
        return Err(Failure::failed(format!(
            "there are no keys in {keys}, but the store holds grants made with some: restore them from a backup"
        )));
    }
    let keys = Keys::open(&config.keys, &issuer, clock.now()).map_err(Failure::failed)?;
    App::new(config.settings, store, keys, clock).map(Arc::new).map_err(Failure::failed)
}
