//! A running server: its listeners, its maintenance, and its orderly shutdown.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::admin::{self, AdminSocket};
use crate::customer::logins;
use crate::http::connections::{End, Listener, Stage, listen};
use crate::node::app::App;
use crate::node::{freshness, maintenance, timekeeping};

/// How long requests in flight may take to finish once the listener is closed.
const GRACE: Duration = Duration::from_secs(20);

/// What a server serves, and how it shuts down.
pub struct Server {
    /// Its listeners; at least one with [`End::InOrder`].
    pub listeners: Vec<Listener>,
    /// For admin commands; next to the store.
    pub admin: Option<AdminSocket>,
    /// How long it keeps serving after it is told to stop and reports that it is not ready, so that
    /// load balancers notice.
    pub shutdown_delay: Duration,
}

/// Serves until `stop` completes. Then reports that it is not ready, stops accepting connections
/// after the delay, and finishes the requests in flight. Once `at_once` completes too, it waits for
/// nothing more.
///
/// # Errors
/// A listener can't be used.
pub async fn serve(
    app: Arc<App>,
    server: Server,
    stop: impl Future<Output = ()>,
    at_once: impl Future<Output = ()>,
) -> io::Result<()> {
    let Server { listeners, admin, shutdown_delay } = server;
    let mut tasks = JoinSet::new();
    tasks.spawn(timekeeping::keep_time(app.clone()));
    tasks.spawn(maintenance::keep_going(app.clone()));
    tasks.spawn(logins::keep(app.clone()));
    if app.store.is_shared() {
        tasks.spawn(freshness::keep_polling(app.clone()));
    }
    let socket = admin.as_ref().map(|socket| socket.path.clone());
    if let Some(socket) = admin {
        tasks.spawn(admin::answer(app.clone(), socket));
    }
    let (stages, stage) = watch::channel(Stage::Open);
    let (last_stages, last_stage) = watch::channel(Stage::Open);
    let (mut in_order, mut last) = (JoinSet::new(), JoinSet::new());
    for listener in listeners {
        match listener.end {
            End::InOrder => in_order.spawn(listen(app.clone(), listener, stage.clone())),
            End::Last => last.spawn(listen(app.clone(), listener, last_stage.clone())),
        };
    }
    let ended = tokio::select! {
        // Before `stop`, a listener ends only if it could not start.
        ended = in_order.join_next() => ended,
        () = stop => None,
    };
    let served = match ended {
        Some(ended) => {
            stages.send_replace(Stage::Cut);
            ended.map_err(io::Error::other).flatten().and(all_of(&mut in_order).await)
        }
        None => {
            app.begin_stopping();
            let serves_for = shutdown_delay.as_secs_f64();
            tracing::info!(
                serves_for,
                "told to stop: not ready any more, and over once the requests in flight are finished"
            );
            let finished = async {
                sleep(shutdown_delay).await;
                stages.send_replace(Stage::Closing);
                timeout(GRACE, all_of(&mut in_order)).await.ok()
            };
            let ended = tokio::select! {
                ended = finished => ended,
                () = at_once => None,
            };
            stages.send_replace(Stage::Cut);
            match ended {
                Some(ended) => ended,
                None => {
                    tracing::warn!("connections are cut off that were not finished");
                    all_of(&mut in_order).await
                }
            }
        }
    };
    last_stages.send_replace(Stage::Cut);
    if let Err(error) = all_of(&mut last).await {
        tracing::error!(%error, "a listener for those who watch the server failed");
    }
    tasks.shutdown().await;
    maintenance::note_secret_uses(&app).await;
    timekeeping::note(&app).await;
    maintenance::settle_endings(&app).await;
    if let Some(path) = socket {
        let _ = std::fs::remove_file(path);
    }
    served
}

/// Waits until all listeners have ended; the first failure, if any.
async fn all_of(listeners: &mut JoinSet<io::Result<()>>) -> io::Result<()> {
    let mut all = Ok(());
    while let Some(ended) = listeners.join_next().await {
        all = all.and(ended.map_err(io::Error::other).flatten());
    }
    all
}
