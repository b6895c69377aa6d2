//! What the log shows, which can change while the process runs. tracing-subscriber has a layer for
//! that, which takes two locks a line.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::{EnvFilter, Layer};

/// What lets lines through now.
static CURRENT: OnceLock<ArcSwap<EnvFilter>> = OnceLock::new();

/// Shows what `filter` lets through.
pub(super) fn layer(filter: EnvFilter) -> CurrentFilter {
    CurrentFilter(CURRENT.get_or_init(|| ArcSwap::from_pointee(filter)))
}

/// Shows what `filter` lets through from now on.
pub(super) fn show(filter: EnvFilter) {
    if let Some(current) = CURRENT.get() {
        current.store(Arc::new(filter));
        // Each place that logs remembers whether it is shown.
        tracing_core::callsite::rebuild_interest_cache();
    }
}

/// The layer that asks the current filter.
pub(super) struct CurrentFilter(&'static ArcSwap<EnvFilter>);

impl<S: Subscriber> Layer<S> for CurrentFilter {
    fn register_callsite(&self, place: &'static Metadata<'static>) -> Interest {
        Filter::<S>::callsite_enabled(&**self.0.load(), place)
    }

    fn enabled(&self, place: &Metadata<'_>, context: Context<'_, S>) -> bool {
        Filter::enabled(&**self.0.load(), place, &context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Filter::<S>::max_level_hint(&**self.0.load())
    }
}
