//! Signatures of the watch hub that the edge is written against.

use std::sync::Arc;

use bytes::Bytes;
use state_machine::KeyRange;

/// Fans out events.
pub struct Hub;

/// The watches of one gRPC stream.
pub struct WatchStream;

/// What one watch asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchSpec {
    pub keys: KeyRange,
    pub start_revision: i64,
    pub id: i64,
    pub no_put: bool,
    pub no_delete: bool,
    pub prev_kv: bool,
    pub fragment: bool,
    pub progress_notify: bool,
}

/// Why a watch was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    #[error("duplicate watch id")]
    DuplicateId,
    #[error("empty range")]
    EmptyRange,
}

/// What a stream is to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    Events {
        watch_id: i64,
        revision: i64,
        events: Bytes,
        fragment: bool,
    },
    Progress {
        watch_id: i64,
        revision: i64,
    },
    Compacted {
        watch_id: i64,
        compact_revision: i64,
    },
}

impl Hub {
    pub fn open_stream(self: &Arc<Self>) -> WatchStream {
        unimplemented!()
    }
}

#[expect(unused_variables, clippy::unused_async, reason = "signatures")]
impl WatchStream {
    pub fn create(&mut self, spec: WatchSpec) -> Result<i64, CreateError> {
        unimplemented!()
    }
    pub fn cancel(&mut self, id: i64) -> bool {
        unimplemented!()
    }
    pub fn request_progress(&mut self) {
        unimplemented!()
    }
    pub fn progress_tick(&mut self) {
        unimplemented!()
    }
    pub async fn next(&mut self) -> Delivery {
        unimplemented!()
    }
}
