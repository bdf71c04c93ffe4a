//! Users, roles and permissions: what changes them, what is refused, and what outlives a restart.

use std::path::Path;

use bytes::Bytes;
use state_machine::*;

fn open(dir: &Path) -> StateMachine {
    StateMachine::open(dir, &Options::default()).unwrap()
}

fn run(machine: &StateMachine, commands: Vec<Command>) -> Applied {
    let mark = Bytes::new();
    machine.apply(Run { commands, mark }).unwrap()
}

/// What a change came to, made without credentials or, while they are asked for, by root.
fn change(machine: &StateMachine, change: AuthChange) -> Result<(), AuthRejection> {
    let command = Command::Auth(change);
    let command = if machine.auth_stamp().enabled {
        command.by(by("root", machine))
    } else {
        command
    };
    outcome(machine, command)
}

fn outcome(machine: &StateMachine, command: Command) -> Result<(), AuthRejection> {
    match run(machine, vec![command]).outcomes.remove(0) {
        Ok(_) => Ok(()),
        Err(Rejection::Auth(rejection)) => Err(rejection),
        Err(other) => panic!("{other}"),
    }
}

fn by(name: &str, machine: &StateMachine) -> Caller {
    Caller::User {
        name: name.to_owned(),
        auth_revision: machine.auth_stamp().revision,
    }
}

fn user_add(name: &str) -> AuthChange {
    AuthChange::UserAdd {
        name: name.into(),
        hash: "hash".into(),
        no_password: false,
    }
}

fn role_add(name: &str) -> AuthChange {
    AuthChange::RoleAdd { name: name.into() }
}

fn grant_role(user: &str, role: &str) -> AuthChange {
    let (user, role) = (user.into(), role.into());
    AuthChange::UserGrantRole { user, role }
}

fn revoke_role(user: &str, role: &str) -> AuthChange {
    let (user, role) = (user.into(), role.into());
    AuthChange::UserRevokeRole { user, role }
}

fn keys(start: &'static str, end: &'static str) -> KeyRange {
    KeyRange {
        start: start.into(),
        end: end.into(),
    }
}

fn grant(role: &str, kind: PermissionKind, keys: KeyRange) -> AuthChange {
    AuthChange::RoleGrantPermission {
        role: role.into(),
        permission: Permission { kind, keys },
    }
}

fn put(key: &'static str) -> Put {
    Put {
        key: key.into(),
        value: "v".into(),
        ..Put::default()
    }
}

/// Root, and ann who may read and write `a` to `c`, read `r`, and write `w`; authentication is on.
fn with_ann(dir: &Path) -> StateMachine {
    use PermissionKind::{Read, ReadWrite, Write};
    let machine = open(dir);
    for step in [
        user_add("root"),
        grant_role("root", "root"),
        user_add("ann"),
        role_add("some"),
        grant("some", ReadWrite, keys("a", "c")),
        grant("some", Read, keys("r", "")),
        grant("some", Write, keys("w", "")),
        grant_role("ann", "some"),
        AuthChange::Enable,
    ] {
        assert_eq!(change(&machine, step), Ok(()));
    }
    machine
}

#[test]
fn changes_that_cannot_be_are_refused_and_count_for_nothing() {
    use AuthRejection::*;
    let dir = tempfile::tempdir().unwrap();
    let machine = with_ann(dir.path());
    let before = machine.auth_stamp();
    let delete_role = |role: &str| AuthChange::RoleDelete { name: role.into() };
    let delete_user = |name: &str| AuthChange::UserDelete { name: name.into() };
    let revoke = |keys| AuthChange::RoleRevokePermission {
        role: "some".into(),
        keys,
    };
    for (step, refused) in [
        (user_add(""), UserEmpty),
        (user_add("ann"), UserExists),
        (delete_user("bob"), UserNotFound),
        (delete_user("root"), InvalidManagement),
        (grant_role("bob", "some"), UserNotFound),
        (grant_role("ann", "none"), RoleNotFound),
        (revoke_role("bob", "some"), UserNotFound),
        (revoke_role("ann", "other"), RoleNotGranted),
        (revoke_role("root", "root"), InvalidManagement),
        (role_add(""), RoleEmpty),
        (role_add("some"), RoleExists),
        (delete_role("none"), RoleNotFound),
        (delete_role("root"), InvalidManagement),
        (
            grant("none", PermissionKind::Read, keys("k", "")),
            RoleNotFound,
        ),
        (
            grant("some", PermissionKind::Read, keys("", "")),
            InvalidManagement,
        ),
        (
            grant("some", PermissionKind::Read, keys("k", "a")),
            InvalidManagement,
        ),
        (revoke(keys("a", "d")), PermissionNotGranted),
    ] {
        assert_eq!(change(&machine, step.clone()), Err(refused), "{step:?}");
    }
    assert_eq!(machine.auth_stamp(), before);
    // Nothing new, and no error either.
    assert_eq!(change(&machine, grant_role("ann", "some")), Ok(()));
    assert_eq!(change(&machine, AuthChange::Enable), Ok(()));
    assert_eq!(machine.auth_stamp(), before);
}

#[test]
fn authentication_needs_a_root_user_with_the_role() {
    let dir = tempfile::tempdir().unwrap();
    let machine = open(dir.path());
    let enable = || change(&machine, AuthChange::Enable);
    assert_eq!(enable(), Err(AuthRejection::RootUserNotExist));
    change(&machine, user_add("root")).unwrap();
    assert_eq!(enable(), Err(AuthRejection::RootRoleNotExist));
    change(&machine, grant_role("root", "root")).unwrap();
    assert_eq!(enable(), Ok(()));
    assert!(machine.auth_stamp().enabled);
    assert_eq!(change(&machine, AuthChange::Disable), Ok(()));
    assert!(!machine.auth_stamp().enabled);
    // Without it, nobody asks, and root can go.
    change(&machine, revoke_role("root", "root")).unwrap();
}

#[test]
fn every_change_makes_older_credentials_old() {
    let dir = tempfile::tempdir().unwrap();
    let machine = with_ann(dir.path());
    let ann = by("ann", &machine);
    let write = || Command::Put(put("a")).by(ann.clone());
    assert_eq!(outcome(&machine, write()), Ok(()));
    change(&machine, role_add("other")).unwrap();
    assert_eq!(outcome(&machine, write()), Err(AuthRejection::OldRevision));
    let access = Access::Read(&keys("a", ""));
    let read = machine.authorize(Some(&ann), access);
    assert_eq!(read, Err(AuthRejection::OldRevision));
    let again = Command::Put(put("a")).by(by("ann", &machine));
    assert_eq!(outcome(&machine, again), Ok(()));
}

#[test]
fn who_shows_no_credentials_is_refused_and_the_store_itself_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let machine = with_ann(dir.path());
    let revision = machine.revision();
    let anonymous = Command::Put(put("a"));
    assert_eq!(
        outcome(&machine, anonymous.clone()),
        Err(AuthRejection::UserEmpty)
    );
    let grant = Command::LeaseGrant(LeaseGrant {
        id: 1,
        ttl_seconds: 9,
    });
    assert_eq!(outcome(&machine, grant), Err(AuthRejection::UserEmpty));
    assert_eq!(
        outcome(&machine, anonymous.clone().by(by("bob", &machine))),
        Err(AuthRejection::PermissionDenied)
    );
    assert_eq!(machine.revision(), revision);
    assert_eq!(outcome(&machine, anonymous.by(Caller::System)), Ok(()));
}

#[test]
fn a_nested_transaction_is_no_way_around() {
    let dir = tempfile::tempdir().unwrap();
    let machine = with_ann(dir.path());
    let nest = |op: Op| Txn {
        success: vec![Op::Txn(Txn {
            failure: vec![op],
            ..Txn::default()
        })],
        ..Txn::default()
    };
    let delete = |start, prev_kv| {
        Op::DeleteRange(DeleteRange {
            keys: keys(start, ""),
            prev_kv,
        })
    };
    let range = |start, end| {
        Op::Range(Range {
            keys: keys(start, end),
            ..Range::default()
        })
    };
    let prev = |key| {
        Op::Put(Put {
            prev_kv: true,
            ..put(key)
        })
    };
    for (op, allowed) in [
        (Op::Put(put("a")), true),
        (Op::Put(put("x")), false),
        (Op::Put(put("w")), true),
        (prev("w"), false),
        (prev("a"), true),
        (delete("w", false), true),
        (delete("w", true), false),
        (delete("r", false), false),
        (range("a", "c"), true),
        (range("a", "d"), false),
        (range("r", ""), true),
        (range("r", "\0"), false),
    ] {
        let described = format!("{op:?}");
        let done = outcome(&machine, Command::Txn(nest(op)).by(by("ann", &machine)));
        assert_eq!(done.is_ok(), allowed, "{described}");
    }
}

#[test]
fn a_lease_that_holds_a_foreign_key_takes_no_more_keys_and_is_not_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let machine = with_ann(dir.path());
    let lease = |key| Put {
        lease: 7,
        ..put(key)
    };
    let as_user = |name, command: Command| outcome(&machine, command.by(by(name, &machine)));
    let grant = LeaseGrant {
        id: 7,
        ttl_seconds: 9,
    };
    as_user("ann", Command::LeaseGrant(grant)).unwrap();
    as_user("ann", Command::Put(lease("a"))).unwrap();
    as_user("root", Command::Put(lease("x"))).unwrap();
    let denied = Err(AuthRejection::PermissionDenied);
    assert_eq!(as_user("ann", Command::Put(lease("b"))), denied);
    let txn = Txn {
        success: vec![Op::Put(lease("b"))],
        ..Txn::default()
    };
    assert_eq!(as_user("ann", Command::Txn(txn)), denied);
    let revoke = Command::LeaseRevoke(LeaseRevoke { id: 7 });
    assert_eq!(as_user("ann", revoke.clone()), denied);
    as_user("root", revoke).unwrap();
}

#[test]
fn users_roles_and_permissions_outlive_a_restart_and_travel_in_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    let (home, copy) = (dir.path().join("home"), dir.path().join("copy"));
    let machine = with_ann(&home);
    let delete = AuthChange::UserDelete { name: "bob".into() };
    change(&machine, user_add("bob")).unwrap();
    change(&machine, delete).unwrap();
    let told = |machine: &StateMachine| {
        let ann = by("ann", machine);
        (
            machine.auth_stamp(),
            (machine.users(), machine.roles()),
            (machine.user("ann"), machine.role("some")),
            machine.authorize(Some(&ann), Access::Read(&keys("a", "c"))),
            machine.authorize(Some(&ann), Access::Read(&keys("x", ""))),
        )
    };
    let before = told(&machine);
    assert_eq!(
        before.1,
        (vec!["ann".into(), "root".into()], vec!["some".into()])
    );
    assert_eq!(
        (before.3, before.4),
        (Ok(()), Err(AuthRejection::PermissionDenied))
    );
    machine.flush().unwrap();
    machine.checkpoint(&copy).unwrap();
    drop(machine);
    assert_eq!(told(&open(&home)), before);
    assert_eq!(told(&open(&copy)), before);
}

#[test]
fn tokens_are_given_to_who_was_checked_and_end_with_what_was_checked() {
    let dir = tempfile::tempdir().unwrap();
    let machine = with_ann(dir.path());
    let ask = |user: &str, checked_revision| {
        Command::Authenticate(Authenticate {
            user: user.into(),
            secret: "secret".into(),
            checked_revision,
        })
    };
    let revision = machine.auth_stamp().revision;
    assert_eq!(
        outcome(&machine, ask("bob", revision)),
        Err(AuthRejection::Failed)
    );
    assert_eq!(
        outcome(&machine, ask("ann", revision - 1)),
        Err(AuthRejection::OldRevision)
    );
    let given = run(&machine, vec![Command::Nothing, ask("ann", revision)]).tokens;
    let token = TokenChange::Given {
        command: 1,
        user: "ann".into(),
        secret: "secret".into(),
    };
    assert_eq!(given, [token]);
    let password = Command::Auth(AuthChange::UserChangePassword {
        name: "ann".into(),
        hash: "other".into(),
    });
    let changed = run(&machine, vec![password.by(Caller::System)]).tokens;
    assert_eq!(changed, [TokenChange::EndOf { user: "ann".into() }]);
    let off = Command::Auth(AuthChange::Disable).by(Caller::System);
    assert_eq!(run(&machine, vec![off]).tokens, [TokenChange::End]);
    let revision = machine.auth_stamp().revision;
    assert_eq!(
        outcome(&machine, ask("ann", revision)),
        Err(AuthRejection::NotEnabled)
    );
}
