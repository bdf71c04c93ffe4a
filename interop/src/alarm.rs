//! The CORRUPT alarm by etcd's API.

use anyhow::Result;
use proto::etcdserverpb::alarm_request::AlarmAction;
use proto::etcdserverpb::{AlarmRequest, AlarmType};

use crate::client::Client;

/// Raises or lifts the alarm for a member, or asks for all alarms; those that are concerned, with etcd's number of their kind.
pub async fn alarm(
    client: &mut Client,
    action: AlarmAction,
    member: u64,
) -> Result<Vec<(u64, i32)>> {
    let kind = match action {
        AlarmAction::Get => AlarmType::None,
        _ => AlarmType::Corrupt,
    };
    let request = AlarmRequest {
        action: action.into(),
        member_id: member,
        alarm: kind.into(),
    };
    let answer = client.maintenance.alarm(request).await?.into_inner();
    let alarms = answer.alarms.iter();
    Ok(alarms
        .map(|raised| (raised.member_id, raised.alarm))
        .collect())
}
