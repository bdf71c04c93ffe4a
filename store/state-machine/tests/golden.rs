//! Bytes of the log's commands, pinned: a replica reads logs that an older build wrote.

use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};
use state_machine::*;

fn keys(start: &'static str, end: &'static str) -> KeyRange {
    KeyRange {
        start: start.into(),
        end: end.into(),
    }
}

fn put() -> Put {
    Put {
        key: "k".into(),
        value: "v".into(),
        lease: 7,
        prev_kv: true,
        ignore_value: false,
        ignore_lease: true,
    }
}

fn range() -> Range {
    Range {
        keys: keys("a", "b"),
        limit: 10,
        revision: -1,
        sort_order: SortOrder::Descend,
        sort_target: SortTarget::Value,
        keys_only: true,
        count_only: false,
        min_mod_revision: 1,
        max_mod_revision: 200,
        min_create_revision: 3,
        max_create_revision: 4,
    }
}

fn txn() -> Txn {
    let compare = |operand| Compare {
        keys: keys("c", "\0"),
        result: CompareResult::NotEqual,
        operand,
    };
    let delete = DeleteRange {
        keys: keys("d", ""),
        prev_kv: true,
    };
    Txn {
        compares: vec![
            compare(Operand::Version(1)),
            compare(Operand::CreateRevision(2)),
            compare(Operand::ModRevision(3)),
            compare(Operand::Value("x".into())),
            compare(Operand::Lease(-4)),
        ],
        success: vec![Op::Range(range()), Op::Put(put()), Op::DeleteRange(delete)],
        failure: vec![Op::Txn(Txn::default())],
    }
}

fn commands() -> Vec<(&'static str, Command)> {
    let checkpoint = |id, remaining_seconds| LeaseCheckpoint {
        id,
        remaining_seconds,
    };
    let alarm = |action, alarm| {
        Command::Alarm(AlarmChange {
            action,
            member: u64::MAX,
            alarm,
        })
    };
    vec![
        ("nothing", Command::Nothing),
        ("put", Command::Put(put())),
        (
            "delete_range",
            Command::DeleteRange(DeleteRange {
                keys: keys("d", "e"),
                prev_kv: false,
            }),
        ),
        ("txn", Command::Txn(txn())),
        ("compact", Command::Compact(Compact { revision: 300 })),
        (
            "lease_grant",
            Command::LeaseGrant(LeaseGrant {
                id: i64::MAX,
                ttl_seconds: 60,
            }),
        ),
        ("lease_revoke", Command::LeaseRevoke(LeaseRevoke { id: 5 })),
        (
            "lease_checkpoint",
            Command::LeaseCheckpoint(vec![checkpoint(1, 0), checkpoint(2, 30)]),
        ),
        ("alarm_on", alarm(AlarmAction::Activate, AlarmKind::NoSpace)),
        (
            "alarm_off",
            alarm(AlarmAction::Deactivate, AlarmKind::Corrupt),
        ),
        (
            "downgrade_enable",
            Command::Downgrade(DowngradeChange::Enable(Release {
                major: 3,
                minor: 300,
            })),
        ),
        (
            "downgrade_cancel",
            Command::Downgrade(DowngradeChange::Cancel),
        ),
    ]
    .into_iter()
    .chain(auth_commands())
    .collect()
}

fn auth_changes() -> Vec<(&'static str, AuthChange)> {
    let (user, role) = (|| "ann".to_owned(), || "some".to_owned());
    let permission = Permission {
        kind: PermissionKind::ReadWrite,
        keys: keys("a", "\0"),
    };
    vec![
        ("auth_enable", AuthChange::Enable),
        ("auth_disable", AuthChange::Disable),
        (
            "user_add",
            AuthChange::UserAdd {
                name: user(),
                hash: "hash".into(),
                no_password: true,
            },
        ),
        ("user_delete", AuthChange::UserDelete { name: user() }),
        (
            "user_change_password",
            AuthChange::UserChangePassword {
                name: user(),
                hash: "hash".into(),
            },
        ),
        (
            "user_grant_role",
            AuthChange::UserGrantRole {
                user: user(),
                role: role(),
            },
        ),
        (
            "user_revoke_role",
            AuthChange::UserRevokeRole {
                user: user(),
                role: role(),
            },
        ),
        ("role_add", AuthChange::RoleAdd { name: role() }),
        ("role_delete", AuthChange::RoleDelete { name: role() }),
        (
            "role_grant_permission",
            AuthChange::RoleGrantPermission {
                role: role(),
                permission,
            },
        ),
        (
            "role_revoke_permission",
            AuthChange::RoleRevokePermission {
                role: role(),
                keys: keys("a", "b"),
            },
        ),
    ]
}

fn auth_commands() -> Vec<(&'static str, Command)> {
    let changes = auth_changes().into_iter();
    let mut commands: Vec<_> = changes
        .map(|(name, change)| (name, Command::Auth(change)))
        .collect();
    let authenticate = Command::Authenticate(Authenticate {
        user: "ann".into(),
        secret: "letters".into(),
        checked_revision: 300,
    });
    commands.push(("authenticate", authenticate));
    let caller = Caller::User {
        name: "ann".into(),
        auth_revision: 300,
    };
    commands.push(("put_by_user", Command::Put(put()).by(caller)));
    let revoke = Command::LeaseRevoke(LeaseRevoke { id: 5 });
    commands.push(("lease_revoke_by_system", revoke.by(Caller::System)));
    commands
}

#[test]
fn commands_keep_their_bytes() {
    let mut lines = String::new();
    for (name, command) in commands() {
        let mut bytes = BytesMut::new();
        command.encode(&mut bytes);
        write!(lines, "{name} ").unwrap();
        bytes
            .iter()
            .for_each(|byte| write!(lines, "{byte:02x}").unwrap());
        lines.push('\n');
        assert_eq!(Command::decode(&mut bytes.freeze()), Ok(command));
    }
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/commands.hex");
    if std::env::var_os("REWRITE").is_some() {
        std::fs::write(&path, &lines).unwrap();
    }
    assert_eq!(lines, std::fs::read_to_string(&path).unwrap());
}

#[test]
fn unknown_versions_and_tags_are_refused() {
    for (bytes, error) in [
        (&[3, 0][..], DecodeError::Tag(3)),
        (&[2, 7, 0], DecodeError::Tag(7)),
        (&[2, 0, 200], DecodeError::Tag(200)),
        (&[1, 10, 11], DecodeError::Tag(11)),
        (&[1, 10, 3, 1, 255], DecodeError::Field),
        (&[1, 9], DecodeError::Tag(9)),
        (&[1, 77], DecodeError::Tag(77)),
        (&[1, 8, 2, 0, 0], DecodeError::Field),
        (&[1, 1, 8, 0, 0, 0], DecodeError::Field),
        (&[1, 1, 0, 0, 200, 200], DecodeError::Short),
        (&[1, 12, 2], DecodeError::Field),
        (&[1, 7, 255, 255, 255, 255, 15], DecodeError::Short),
    ] {
        assert_eq!(
            Command::decode(&mut Bytes::copy_from_slice(bytes)),
            Err(error),
            "{bytes:?}"
        );
    }
    // Transactions nested without end
    let mut deep = vec![1];
    deep.extend([3, 0, 1].repeat(100_000));
    assert_eq!(
        Command::decode(&mut Bytes::from(deep)),
        Err(DecodeError::Field)
    );
}
