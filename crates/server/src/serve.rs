//! A server at work: its listeners, its maintenance, and its orderly end.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::admin::{self, AdminSocket};
use crate::customer::logins;
use crate::http::connections::{Bounds, Listening, Stage, Tls, listen};
use crate::node::app::App;
use crate::node::follow;
use crate::node::maintenance;
use crate::node::timekeeping;
use crate::routes::{metrics_router, router};

/// How long requests in flight may take to finish once the listener is closed.
const GRACE: Duration = Duration::from_secs(20);
/// How many connections a listener for `/metrics` takes at the most.
pub const METRICS_CONNECTIONS: usize = 16;

/// Where a server listens.
pub struct Listeners {
    /// For clients and customers.
    pub public: TcpListener,
    /// The certificate, where the server itself speaks TLS.
    pub tls: Option<Arc<Tls>>,
    /// For `/metrics` and health alone, where they are kept apart.
    pub metrics: Option<TcpListener>,
    /// For admin commands, beside the store.
    pub admin: Option<AdminSocket>,
    /// What connections are bounded by.
    pub bounds: Bounds,
    /// For how long the server goes on as before, once it is told to stop and says that it is not
    /// ready: until whoever sends requests here has noticed.
    pub shutdown_delay: Duration,
}

/// Serves until `stop` is done; then says that it is not ready, after a while takes no more
/// connections, and finishes what is in flight. Where `at_once` is done too, it waits for nothing
/// any more.
///
/// # Errors
/// Where a listener can't be used.
pub async fn serve(
    app: Arc<App>,
    listeners: Listeners,
    stop: impl Future<Output = ()>,
    at_once: impl Future<Output = ()>,
) -> io::Result<()> {
    let Listeners { public, tls, metrics, admin, bounds, shutdown_delay } = listeners;
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(timekeeping::keep_time(app.clone()));
    tasks.spawn(maintenance::keep_going(app.clone()));
    tasks.spawn(logins::keep(app.clone()));
    if app.store.is_shared() {
        tasks.spawn(follow::keep_following(app.clone()));
    }
    let socket = admin.as_ref().map(|socket| socket.path.clone());
    if let Some(socket) = admin {
        tasks.spawn(admin::answer(app.clone(), socket));
    }
    let (stages, stage) = watch::channel(Stage::Open);
    let router = router(app.clone(), metrics.is_some());
    // Whoever watches the server sees it until its end.
    let (metrics_stages, metrics_stage) = watch::channel(Stage::Open);
    let watched = metrics.map(|listener| {
        let bounds = Bounds { limit: bounds.limit.min(METRICS_CONNECTIONS), ..bounds };
        let (router, counts) =
            (metrics_router(app.clone()), app.metrics.metrics_connections.clone());
        tokio::spawn(listen(
            app.clone(),
            Listening { name: "metrics", listener, tls: None, router, bounds, counts },
            metrics_stage,
        ))
    });
    let counts = app.metrics.connections.clone();
    let listening = Listening { name: "public", listener: public, tls, router, bounds, counts };
    let mut listening = tokio::spawn(listen(app.clone(), listening, stage));
    let ended = tokio::select! {
        // It ends by itself only where it could not begin.
        ended = &mut listening => Some(ended),
        () = stop => None,
    };
    let served = match ended {
        Some(ended) => ended,
        None => {
            app.begin_stopping();
            let serves_for = shutdown_delay.as_secs_f64();
            tracing::info!(
                serves_for,
                "told to stop: not ready any more, and over once the requests in flight are finished"
            );
            let in_order = async {
                sleep(shutdown_delay).await;
                stages.send_replace(Stage::Closing);
                timeout(GRACE, &mut listening).await.ok()
            };
            let ended = tokio::select! {
                ended = in_order => ended,
                () = at_once => None,
            };
            stages.send_replace(Stage::Cut);
            match ended {
                Some(ended) => ended,
                None => {
                    tracing::warn!("connections are cut off that were not finished");
                    listening.await
                }
            }
        }
    };
    metrics_stages.send_replace(Stage::Cut);
    if let Some(watched) = watched
        && let Err(error) = watched.await.map_err(io::Error::other).flatten()
    {
        tracing::error!(%error, "the listener for metrics failed");
    }
    tasks.shutdown().await;
    maintenance::note_secret_uses(&app).await;
    timekeeping::note(&app).await;
    maintenance::settle_endings(&app).await;
    if let Some(path) = socket {
        let _ = std::fs::remove_file(path);
    }
    served.map_err(io::Error::other)?
}
