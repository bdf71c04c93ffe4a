//! How old the answer of a serializable read may be: told with the answer, and refused if it is more than was asked for.

use std::time::Duration;

use tonic::metadata::MetadataMap;
use tonic::{Response, Status};

use super::Edge;

/// With the answer of a serializable range, in milliseconds.
const STALENESS: &str = "mainstay-staleness-ms";
/// Most that a client takes.
const STALENESS_MAX: &str = "mainstay-max-staleness-ms";

/// Most staleness that a request allows.
fn allowed(metadata: &MetadataMap) -> Result<Option<u64>, Status> {
    let Some(value) = metadata.get(STALENESS_MAX) else {
        return Ok(None);
    };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    match number {
        Some(number) => Ok(Some(number)),
        None => Err(Status::invalid_argument(format!(
            "etcdserver: {STALENESS_MAX} is not a number of milliseconds"
        ))),
    }
}

fn judge(staleness: Option<Duration>, allowed: Option<u64>) -> Result<Option<u64>, Status> {
    let staleness = staleness.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let Some(most) = allowed else {
        return Ok(staleness);
    };
    match staleness {
        Some(now) if now <= most => Ok(staleness),
        Some(now) => Err(Status::unavailable(format!(
            "etcdserver: the state of this member may be {now} ms old, and {STALENESS_MAX} is {most}"
        ))),
        None => Err(Status::unavailable(format!(
            "etcdserver: this member has not had everything that was committed yet, and {STALENESS_MAX} is {most}"
        ))),
    }
}

impl Edge {
    /// Before a serializable read: how old its answer may be, in milliseconds.
    pub(super) fn staleness(&self, metadata: &MetadataMap) -> Result<Option<u64>, Status> {
        judge(self.replica.staleness(), allowed(metadata)?)
    }
}

/// Tells it with the answer.
pub(super) fn tell<T>(mut answer: Response<T>, staleness: Option<u64>) -> Response<T> {
    if let Some(milliseconds) = staleness {
        answer.metadata_mut().insert(STALENESS, milliseconds.into());
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_allowed_is_refused() {
        let second = Some(Duration::from_secs(1));
        assert_eq!(judge(second, None).unwrap(), Some(1000));
        assert_eq!(judge(second, Some(1000)).unwrap(), Some(1000));
        let refused = judge(second, Some(999)).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unavailable);
        assert!(refused.message().contains("1000 ms old"), "{refused}");
        assert_eq!(judge(None, None).unwrap(), None);
        assert!(judge(None, Some(u64::MAX)).is_err());
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let mut metadata = MetadataMap::new();
        assert_eq!(allowed(&metadata).unwrap(), None);
        metadata.insert(STALENESS_MAX, "250".parse().unwrap());
        assert_eq!(allowed(&metadata).unwrap(), Some(250));
        metadata.insert(STALENESS_MAX, "soon".parse().unwrap());
        let refused = allowed(&metadata).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    }
}
