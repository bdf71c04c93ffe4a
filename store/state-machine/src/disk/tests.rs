//! Folders that older builds wrote.

use super::*;
use crate::machine::StateMachine;
use crate::state::State;

#[test]
fn a_folder_from_before_there_were_users_opens_without_any() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    let db = DB::open_cf(&options, dir.path(), [KV, META, LEASE, ALARM]);
    let db = db.expect("a database of an older build");
    let meta = db.cf_handle(META).expect("its meta");
    db.put_cf(meta, FORMAT, FORMAT_VERSION).expect("a write");
    drop(db);
    let machine = StateMachine::open(dir.path(), &Options::default());
    let machine = machine.expect("the folder opens");
    assert_eq!(machine.auth_stamp(), State::default().auth.stamp);
    assert!(machine.users().is_empty() && machine.roles().is_empty());
}
