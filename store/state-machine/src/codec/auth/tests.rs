//! The bytes of users and roles on disk.

use super::*;
use crate::command::KeyRange;

fn permission(kind: PermissionKind, start: &'static str, end: &'static str) -> Permission {
    Permission {
        kind,
        keys: KeyRange {
            start: start.into(),
            end: end.into(),
        },
    }
}

fn rows() -> Vec<(Bytes, Bytes)> {
    let stamp = AuthStamp {
        enabled: true,
        revision: 300,
    };
    let user = User {
        hash: "$2a$10$".into(),
        no_password: false,
        roles: vec![String::new(), "root".into()],
    };
    let permissions = [
        permission(PermissionKind::Read, "a", ""),
        permission(PermissionKind::ReadWrite, "b", "\0"),
    ];
    let rows = [
        AuthRow::role("some", Some(&permissions)),
        AuthRow::stamp(stamp),
        AuthRow::user("ann", Some(&user)),
    ];
    let whole = |row: AuthRow| (row.key.into(), row.value.expect("a value").freeze());
    rows.map(whole).into()
}

#[test]
fn rows_keep_their_bytes() {
    let hex =
        |bytes: &Bytes| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let written: Vec<[String; 2]> = rows().iter().map(|(k, v)| [hex(k), hex(v)]).collect();
    assert_eq!(
        written,
        [
            ["72736f6d65", "0102000161000201620100"],
            ["73", "0101ac02"],
            [
                "75616e6e",
                "0100072432612431302402000472 6f6f74"
                    .replace(' ', "")
                    .as_str()
            ],
        ]
    );
}

#[test]
fn rows_come_back_as_they_were() {
    let auth = read_auth(&rows()).expect("rows that were just made");
    assert_eq!(
        auth.stamp,
        AuthStamp {
            enabled: true,
            revision: 300
        }
    );
    assert_eq!(auth.users["ann"].roles, ["", "root"]);
    assert_eq!(auth.users["ann"].hash, "$2a$10$");
    assert_eq!(auth.roles["some"].len(), 2);
}

#[test]
fn rows_that_are_cut_or_too_long_or_of_another_format_are_refused() {
    for (key, value) in rows() {
        for length in 0..value.len() {
            let cut = [(key.clone(), value.slice(..length))];
            assert!(read_auth(&cut).is_err(), "{key:?} {length}");
        }
        let longer = [(key.clone(), [&value[..], b"\0"].concat().into())];
        assert!(read_auth(&longer).is_err());
        let other = [(key.clone(), [b"\x02", &value[1..]].concat().into())];
        assert!(read_auth(&other).is_err());
    }
    assert!(read_auth(&[("x".into(), "\x01".into())]).is_err());
}
