//! The header of every answer.

use proto::etcdserverpb::ResponseHeader;

use super::Edge;

impl Edge {
    /// The header of an answer that shows the store at `revision`.
    pub(crate) fn header(&self, revision: i64) -> ResponseHeader {
        let identity = self.replica.identity();
        ResponseHeader {
            cluster_id: identity.cluster_id,
            member_id: identity.member_id,
            revision,
            raft_term: self.replica.raft_term(),
        }
    }

    /// The header of an answer about the store as it is now.
    pub(crate) fn header_now(&self) -> ResponseHeader {
        self.header(self.replica.machine().revision())
    }
}
