//! No request reads or writes a key that its sender was not granted: random requests against one key at a time.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use state_machine::*;

use crate::generate;

const DENIED: Outcome = Err(Rejection::Auth(AuthRejection::PermissionDenied));

fn user(name: &str, machine: &StateMachine) -> Caller {
    Caller::User {
        name: name.to_owned(),
        auth_revision: machine.auth_stamp().revision,
    }
}

fn apply(machine: &StateMachine, command: Command) -> Applied {
    let commands = vec![command];
    let mark = Bytes::new();
    machine.apply(Run { commands, mark }).unwrap()
}

fn change(machine: &StateMachine, change: AuthChange) {
    apply(machine, Command::Auth(change));
}

/// Leases that hold keys, users root and ann; ann has two roles that share the permissions.
fn prepare(machine: &StateMachine, permissions: &[Permission]) {
    for (id, keys) in [(1, ["a", "b"]), (2, ["c", "cc"]), (3, ["ba", "d"])] {
        let ttl_seconds = 9;
        apply(machine, Command::LeaseGrant(LeaseGrant { id, ttl_seconds }));
        for key in keys {
            let put = Put {
                key: key.into(),
                lease: id,
                ..Put::default()
            };
            apply(machine, Command::Put(put));
        }
    }
    for name in ["root", "ann"] {
        change(
            machine,
            AuthChange::UserAdd {
                name: name.into(),
                hash: Bytes::new(),
                no_password: true,
            },
        );
    }
    for role in ["odd", "even"] {
        change(machine, AuthChange::RoleAdd { name: role.into() });
    }
    for (user, role) in [("root", "root"), ("ann", "odd"), ("ann", "even")] {
        let (user, role) = (user.into(), role.into());
        change(machine, AuthChange::UserGrantRole { user, role });
    }
    for (number, permission) in permissions.iter().enumerate() {
        let role = if number % 2 == 0 { "even" } else { "odd" };
        change(
            machine,
            AuthChange::RoleGrantPermission {
                role: role.into(),
                permission: permission.clone(),
            },
        );
    }
    change(machine, AuthChange::Enable);
}

fn has(keys: &KeyRange, key: &[u8]) -> bool {
    match &keys.end[..] {
        b"" => keys.start == key,
        b"\0" => keys.start[..] <= *key,
        end => keys.start[..] <= *key && key < end,
    }
}

fn is_empty(keys: &KeyRange) -> bool {
    keys.end.len() > 1 && keys.end <= keys.start
        || keys.end.len() == 1 && keys.end != "\0" && keys.end <= keys.start
}

/// Keys of which every range that is generated has one, if it differs from another by any key.
fn every_key() -> Vec<Vec<u8>> {
    let named = ["\0", "a", "b", "ba", "c", "cc", "d", "e", "z"];
    let after = named.iter().flat_map(|key| {
        let next = |zeros: &str| [key.as_bytes(), zeros.as_bytes()].concat();
        [next(""), next("\0"), next("\0\0")]
    });
    after.collect()
}

/// Every range a request looks at or changes.
#[derive(Default)]
struct Touched {
    read: Vec<KeyRange>,
    written: Vec<KeyRange>,
    /// Not for ann, whatever she was granted.
    for_root: bool,
}

impl Touched {
    fn of(command: &Command, machine: &StateMachine) -> Touched {
        let mut touched = Touched::default();
        match command {
            Command::Put(put) => touched.put(put, machine),
            Command::DeleteRange(delete) => touched.delete(delete),
            Command::Txn(txn) => touched.txn(txn, machine),
            Command::LeaseRevoke(LeaseRevoke { id }) => touched.lease(*id, machine),
            Command::Nothing | Command::LeaseGrant(_) => {}
            _ => touched.for_root = true,
        }
        touched
    }

    fn lease(&mut self, id: i64, machine: &StateMachine) {
        let keys = machine.lease_keys(id).into_iter().map(|start| KeyRange {
            start,
            end: Bytes::new(),
        });
        self.written.extend(keys);
    }

    fn put(&mut self, put: &Put, machine: &StateMachine) {
        let keys = KeyRange {
            start: put.key.clone(),
            end: Bytes::new(),
        };
        self.written.push(keys.clone());
        self.lease(put.lease, machine);
        if put.prev_kv {
            self.read.push(keys);
        }
    }

    fn delete(&mut self, delete: &DeleteRange) {
        self.written.push(delete.keys.clone());
        if delete.prev_kv {
            self.read.push(delete.keys.clone());
        }
    }

    fn txn(&mut self, txn: &Txn, machine: &StateMachine) {
        let compared = txn.compares.iter().map(|compare| compare.keys.clone());
        self.read.extend(compared);
        for op in txn.success.iter().chain(&txn.failure) {
            match op {
                Op::Range(range) => self.read.push(range.keys.clone()),
                Op::Put(put) => self.put(put, machine),
                Op::DeleteRange(delete) => self.delete(delete),
                Op::Txn(nested) => self.txn(nested, machine),
            }
        }
    }

    fn may(&self, ann: &Granted) -> bool {
        let all = |touched: &[KeyRange], granted: &[KeyRange]| {
            let mut touched_keys = every_key().into_iter();
            touched_keys.all(|key| {
                !touched.iter().any(|keys| has(keys, &key))
                    || granted.iter().any(|keys| has(keys, &key))
            })
        };
        !self.for_root && all(&self.read, &ann.read) && all(&self.written, &ann.write)
    }

    /// Ranges without keys need no grant, and may be denied all the same.
    fn has_empty(&self) -> bool {
        self.read.iter().chain(&self.written).any(is_empty)
    }
}

/// What ann was granted.
struct Granted {
    read: Vec<KeyRange>,
    write: Vec<KeyRange>,
}

impl Granted {
    /// Of permissions on the same keys of one role the last counts.
    fn of(machine: &StateMachine) -> Granted {
        let roles = ["odd", "even"]
            .map(|role| machine.role(role).unwrap())
            .concat();
        let keys = |kind| {
            let granted = roles
                .iter()
                .filter(|own| own.kind == kind || own.kind == PermissionKind::ReadWrite);
            granted.map(|own| own.keys.clone()).collect()
        };
        Granted {
            read: keys(PermissionKind::Read),
            write: keys(PermissionKind::Write),
        }
    }
}

fn key_of(kv: &EncodedKeyValue) -> Bytes {
    Bytes::copy_from_slice(&decode_key_value(&kv.0).unwrap().key)
}

/// Every key-value that an answer shows.
fn shown(body: &Body) -> Vec<Bytes> {
    match body {
        Body::Put(put) => put.prev_kv.iter().map(key_of).collect(),
        Body::DeleteRange(delete) => delete.prev_kvs.iter().map(key_of).collect(),
        Body::Txn(txn) => shown_by_txn(txn),
        _ => Vec::new(),
    }
}

fn shown_by_txn(txn: &TxnResponse) -> Vec<Bytes> {
    let responses = txn.responses.iter().flat_map(|response| match response {
        OpResponse::Range { response, .. } => response.kvs.iter().map(key_of).collect(),
        OpResponse::Put { response, .. } => response.prev_kv.iter().map(key_of).collect(),
        OpResponse::DeleteRange { response, .. } => response.prev_kvs.iter().map(key_of).collect(),
        OpResponse::Txn { response, .. } => shown_by_txn(response),
    });
    responses.collect()
}

fn permission() -> impl Strategy<Value = Permission> {
    use PermissionKind::{Read, ReadWrite, Write};
    let kind = select(vec![Read, Write, ReadWrite, ReadWrite]);
    (kind, generate::keys()).prop_map(|(kind, keys)| Permission { kind, keys })
}

fn allowed_at_the_edge(command: &Command) -> bool {
    match command {
        Command::Txn(txn) => check_txn(txn, 128).is_ok(),
        _ => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn commands_touch_only_what_was_granted(
        permissions in vec(permission(), 0..8),
        steps in vec((any::<bool>(), generate::command().prop_filter("refused at the edge", allowed_at_the_edge)), 1..40),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let machine = StateMachine::open(dir.path(), &Options::default()).unwrap();
        prepare(&machine, &permissions);
        let granted = Granted::of(&machine);
        let is_granted = |granted: &[KeyRange], key: &[u8]| granted.iter().any(|keys| has(keys, key));
        for (by_ann, command) in steps {
            if !by_ann {
                apply(&machine, command.by(user("root", &machine)));
                continue;
            }
            let touched = Touched::of(&command, &machine);
            let described = format!("{command:?}");
            let applied = apply(&machine, command.by(user("ann", &machine)));
            let outcome = &applied.outcomes[0];
            let is_denied = *outcome == DENIED;
            if !touched.may(&granted) {
                prop_assert!(is_denied, "{described} was not denied: {outcome:?}");
                prop_assert!(applied.events.is_empty() && applied.leases.is_empty());
            } else if !touched.has_empty() {
                prop_assert!(!matches!(outcome, Err(Rejection::Auth(_))), "{described}: {outcome:?}");
            }
            for event in applied.events.iter().flat_map(|revision| revision.events.iter()) {
                prop_assert!(is_granted(&granted.write, &event.key), "{described}");
            }
            if let Ok(response) = outcome {
                for key in shown(&response.body) {
                    prop_assert!(is_granted(&granted.read, &key), "{described} showed {key:?}");
                }
            }
        }
    }

    /// Ranges, watches and transactions that are read here, renewals of leases, and the keys of leases.
    #[test]
    fn reads_see_only_what_was_granted(
        permissions in vec(permission(), 0..8),
        commands in vec(generate::command().prop_filter("refused at the edge", allowed_at_the_edge), 1..20),
        ranges in vec(generate::keys(), 1..20),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let machine = StateMachine::open(dir.path(), &Options::default()).unwrap();
        prepare(&machine, &permissions);
        let granted = Granted::of(&machine);
        for command in commands {
            apply(&machine, command.by(Caller::System));
        }
        let ann = user("ann", &machine);
        let may = |access: Access<'_>| machine.authorize(Some(&ann), access).is_ok();
        for keys in ranges {
            let touched = Touched { read: vec![keys.clone()], ..Touched::default() };
            let allowed = may(Access::Read(&keys));
            prop_assert!(!allowed || touched.may(&granted), "{keys:?}");
            prop_assert!(allowed || !touched.may(&granted) || touched.has_empty(), "{keys:?}");
        }
        for id in 1..4 {
            let mut renewed = Touched::default();
            renewed.lease(id, &machine);
            let read = Touched { read: renewed.written.clone(), ..Touched::default() };
            prop_assert_eq!(may(Access::RenewLease(id)), renewed.may(&granted));
            prop_assert_eq!(may(Access::LeaseKeys(id)), read.may(&granted));
        }
    }
}
