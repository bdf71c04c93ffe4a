//! downgrade validate, enable and cancel, as etcdctl 3.6 has them.

use anyhow::Result;
use proto::etcdserverpb::DowngradeRequest;
use proto::etcdserverpb::downgrade_request::DowngradeAction as Action;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;

use super::Session;
use super::arguments::{Downgrade, Format};
use super::json::Json;
use super::print::{header_json, unsupported};

pub(super) async fn downgrade(session: &Session, command: Downgrade) -> Result<()> {
    let (action, version, word) = match command {
        Downgrade::Validate { target_version } => (Action::Validate, target_version, "validate"),
        Downgrade::Enable { target_version } => (Action::Enable, target_version, "enable"),
        Downgrade::Cancel => (Action::Cancel, String::new(), "cancel"),
    };
    if version.is_empty() && action != Action::Cancel {
        misuse!("target version not provided");
    }
    let request = DowngradeRequest {
        action: action.into(),
        version,
    };
    let mut client = MaintenanceClient::new(session.channel().await?);
    let answer = session.within(client.downgrade(request)).await?;
    if session.printer.encoded(&answer) {
        return Ok(());
    }
    let version = &answer.version;
    match session.printer.format {
        Format::Simple => outln!("Downgrade {word} success, cluster version {version}"),
        Format::Json => outln!(
            "{}",
            Json::sparse([
                header_json(answer.header.as_ref()),
                ("version", Json::Text(version.clone())),
            ])
        ),
        format => return unsupported(format),
    }
    Ok(())
}
