//! Work that waits for the disk, kept off the runtime's threads where there are several.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::JoinError;

/// Whether the runtime has one thread, as in simulations. There, work is done in place, so that the order of events
/// does not depend on how long it takes.
pub(crate) fn is_alone() -> bool {
    Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread
}

/// Does the work and waits for it.
pub(crate) async fn run<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    if is_alone() {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await
}

/// Does the work, in the background where there are threads for it.
pub(crate) fn start(work: impl FnOnce() + Send + 'static) {
    if is_alone() {
        work();
    } else {
        drop(tokio::task::spawn_blocking(work));
    }
}
