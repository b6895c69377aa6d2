//! A server at work: its listeners, its maintenance, and its orderly end.

use crate::admin::{self, AdminSocket};
use crate::app::App;
use crate::follow;
use crate::maintenance;
use crate::routes::{metrics_router, router};
use crate::timekeeping;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use hyper_util::rt::TokioTimer;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

/// How long requests in flight may take to finish when the server stops.
const GRACE: Duration = Duration::from_secs(20);
/// How long a client may take to send the head of a request.
const SLOWEST_HEAD: Duration = Duration::from_secs(15);

/// Where a server listens.
pub struct Listeners {
    /// For clients and customers.
    pub public: TcpListener,
    /// Certificate and key, where the server itself speaks TLS.
    pub tls: Option<RustlsConfig>,
    /// For `/metrics` alone, where they are kept apart.
    pub metrics: Option<TcpListener>,
    /// For admin commands, beside the store.
    pub admin: Option<AdminSocket>,
}

/// Serves until `stop` is done, then finishes what is in flight.
///
/// # Errors
/// Where a listener can't be used.
pub async fn serve(app: Arc<App>, listeners: Listeners, stop: impl Future<Output = ()>) -> io::Result<()> {
    let Listeners { public, tls, metrics, admin } = listeners;
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(timekeeping::keep_time(app.clone()));
    tasks.spawn(maintenance::keep_going(app.clone()));
    if app.store.is_shared() {
        tasks.spawn(follow::keep_following(app.clone()));
    }
    let socket = admin.as_ref().map(|socket| socket.path.clone());
    if let Some(socket) = admin {
        tasks.spawn(admin::answer(app.clone(), socket));
    }
    let handle = Handle::new();
    let service = router(app.clone(), metrics.is_some());
    if let Some(listener) = metrics {
        listener.set_nonblocking(true)?;
        let server = axum_server::from_tcp(listener)?.handle(handle.clone());
        let service = metrics_router(app.clone()).into_make_service();
        tasks.spawn(async move { drop(server.serve(service).await) });
    }
    public.set_nonblocking(true)?;
    let serving = async {
        match tls {
            Some(tls) => run(axum_server::from_tcp_rustls(public, tls)?, &handle, service).await,
            None => run(axum_server::from_tcp(public)?, &handle, service).await,
        }
    };
    tokio::pin!(serving);
    let served = tokio::select! {
        // It ends by itself only where it could not go on.
        failed = &mut serving => failed,
        () = stop => {
            tracing::info!("stopping once the requests in flight are finished");
            handle.graceful_shutdown(Some(GRACE));
            serving.await
        }
    };
    tasks.shutdown().await;
    maintenance::note_secret_uses(&app).await;
    timekeeping::note(&app).await;
    if let Some(path) = socket {
        let _ = std::fs::remove_file(path);
    }
    served
}

async fn run<A>(mut server: axum_server::Server<SocketAddr, A>, handle: &Handle<SocketAddr>, service: axum::Router) -> io::Result<()>
where
    A: axum_server::accept::Accept<tokio::net::TcpStream, axum::Router> + Clone + Send + Sync + 'static,
    A::Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send,
    A::Service: axum_server::service::SendService<axum::http::Request<hyper::body::Incoming>> + Send,
    A::Future: Send,
{
    // Without a choice of versions there is no connection whose first bytes are awaited for ever.
    server = server.http1_only();
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(SLOWEST_HEAD);
    server.handle(handle.clone()).serve(service.into_make_service()).await
}
