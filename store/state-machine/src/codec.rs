//! How commands stand in the raft log: tagged, versioned and self-delimiting.

mod auth;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::auth::By;
use crate::command::*;
use crate::varint;

pub(crate) use auth::{AuthRow, read_auth};

/// First byte of a command. A changed layout takes the next number.
const VERSION: u8 = 1;
/// First byte of a command that says who asks: the caller follows, then what follows [`VERSION`].
const VERSION_BY: u8 = 2;
/// Deepest nesting of transactions; the edge's protobuf decoder stops well before.
const NESTING_MAX: usize = 200;

mod tag {
    pub(super) const NOTHING: u8 = 0;
    pub(super) const PUT: u8 = 1;
    pub(super) const DELETE_RANGE: u8 = 2;
    pub(super) const TXN: u8 = 3;
    pub(super) const COMPACT: u8 = 4;
    pub(super) const LEASE_GRANT: u8 = 5;
    pub(super) const LEASE_REVOKE: u8 = 6;
    pub(super) const LEASE_CHECKPOINT: u8 = 7;
    pub(super) const ALARM: u8 = 8;
    /// Only inside a transaction.
    pub(super) const RANGE: u8 = 9;
    pub(super) const AUTH: u8 = 10;
    pub(super) const AUTHENTICATE: u8 = 11;
    pub(super) const DOWNGRADE: u8 = 12;
}

/// The bytes are no command of a version this build knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the bytes end inside a field")]
    Short,
    #[error("unknown tag {0}")]
    Tag(u8),
    #[error("a field is out of its range")]
    Field,
}

impl Command {
    /// Appends the command.
    pub fn encode(&self, out: &mut BytesMut) {
        let mut writer = Writer(out);
        let command = match self {
            Command::By(by) => {
                writer.byte(VERSION_BY);
                writer.caller(&by.caller);
                &by.command
            }
            command => {
                writer.byte(VERSION);
                command
            }
        };
        command.encode_content(&mut writer);
    }

    fn encode_content(&self, writer: &mut Writer<'_>) {
        match self {
            Command::Nothing => writer.byte(tag::NOTHING),
            Command::Put(put) => writer.put(put),
            Command::DeleteRange(delete) => writer.delete_range(delete),
            Command::Txn(txn) => writer.txn(txn),
            Command::Compact(compact) => {
                writer.byte(tag::COMPACT);
                writer.signed(compact.revision);
            }
            Command::LeaseGrant(grant) => {
                writer.byte(tag::LEASE_GRANT);
                writer.signed(grant.id);
                writer.signed(grant.ttl_seconds);
            }
            Command::LeaseRevoke(revoke) => {
                writer.byte(tag::LEASE_REVOKE);
                writer.signed(revoke.id);
            }
            Command::LeaseCheckpoint(checkpoints) => {
                writer.byte(tag::LEASE_CHECKPOINT);
                writer.unsigned(checkpoints.len() as u64);
                for checkpoint in checkpoints {
                    writer.signed(checkpoint.id);
                    writer.signed(checkpoint.remaining_seconds);
                }
            }
            Command::Alarm(change) => {
                writer.byte(tag::ALARM);
                writer.byte(change.action as u8);
                writer.unsigned(change.member);
                writer.byte(change.alarm as u8);
            }
            Command::Downgrade(change) => {
                writer.byte(tag::DOWNGRADE);
                writer.downgrade(*change);
            }
            Command::Auth(change) => {
                writer.byte(tag::AUTH);
                writer.auth_change(change);
            }
            Command::Authenticate(request) => {
                writer.byte(tag::AUTHENTICATE);
                writer.authenticate(request);
            }
            Command::By(_) => unreachable!("a caller stands in front of a command once"),
        }
    }

    /// Takes one command off the front of `input`; byte strings share the memory of `input`.
    pub fn decode(input: &mut Bytes) -> Result<Command, DecodeError> {
        let mut reader = Reader(input);
        match reader.byte()? {
            VERSION => Command::decode_content(&mut reader),
            VERSION_BY => Ok(Command::By(Box::new(By {
                caller: reader.caller()?,
                command: Command::decode_content(&mut reader)?,
            }))),
            other => Err(DecodeError::Tag(other)),
        }
    }

    fn decode_content(reader: &mut Reader<'_>) -> Result<Command, DecodeError> {
        Ok(match reader.byte()? {
            tag::NOTHING => Command::Nothing,
            tag::PUT => Command::Put(reader.put()?),
            tag::DELETE_RANGE => Command::DeleteRange(reader.delete_range()?),
            tag::TXN => Command::Txn(reader.txn(NESTING_MAX)?),
            tag::COMPACT => Command::Compact(Compact {
                revision: reader.signed()?,
            }),
            tag::LEASE_GRANT => Command::LeaseGrant(LeaseGrant {
                id: reader.signed()?,
                ttl_seconds: reader.signed()?,
            }),
            tag::LEASE_REVOKE => Command::LeaseRevoke(LeaseRevoke {
                id: reader.signed()?,
            }),
            tag::LEASE_CHECKPOINT => Command::LeaseCheckpoint(reader.list(|reader| {
                Ok(LeaseCheckpoint {
                    id: reader.signed()?,
                    remaining_seconds: reader.signed()?,
                })
            })?),
            tag::ALARM => Command::Alarm(AlarmChange {
                action: reader.choice(&[AlarmAction::Activate, AlarmAction::Deactivate])?,
                member: reader.unsigned()?,
                alarm: reader.choice(&[AlarmKind::Any, AlarmKind::NoSpace, AlarmKind::Corrupt])?,
            }),
            tag::DOWNGRADE => Command::Downgrade(reader.downgrade()?),
            tag::AUTH => Command::Auth(reader.auth_change()?),
            tag::AUTHENTICATE => Command::Authenticate(reader.authenticate()?),
            other => return Err(DecodeError::Tag(other)),
        })
    }
}

struct Writer<'a>(&'a mut BytesMut);

impl Writer<'_> {
    fn byte(&mut self, byte: u8) {
        self.0.put_u8(byte);
    }

    fn unsigned(&mut self, number: u64) {
        varint::put(self.0, number);
    }

    /// Zigzag, so that small negative numbers stay short.
    fn signed(&mut self, number: i64) {
        self.unsigned(((number << 1) ^ (number >> 63)).cast_unsigned());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.unsigned(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn keys(&mut self, keys: &KeyRange) {
        self.bytes(&keys.start);
        self.bytes(&keys.end);
    }

    fn flags(&mut self, flags: [bool; 3]) {
        self.byte(
            flags
                .iter()
                .rev()
                .fold(0, |byte, &flag| byte << 1 | u8::from(flag)),
        );
    }

    fn downgrade(&mut self, change: DowngradeChange) {
        match change {
            DowngradeChange::Enable(Release { major, minor }) => {
                self.byte(0);
                self.unsigned(major);
                self.unsigned(minor);
            }
            DowngradeChange::Cancel => self.byte(1),
        }
    }

    fn put(&mut self, put: &Put) {
        self.byte(tag::PUT);
        self.flags([put.prev_kv, put.ignore_value, put.ignore_lease]);
        self.signed(put.lease);
        self.bytes(&put.key);
        self.bytes(&put.value);
    }

    fn delete_range(&mut self, delete: &DeleteRange) {
        self.byte(tag::DELETE_RANGE);
        self.flags([delete.prev_kv, false, false]);
        self.keys(&delete.keys);
    }

    fn range(&mut self, range: &Range) {
        self.byte(tag::RANGE);
        self.flags([range.keys_only, range.count_only, false]);
        self.byte(range.sort_order as u8);
        self.byte(range.sort_target as u8);
        self.keys(&range.keys);
        self.signed(range.limit);
        self.signed(range.revision);
        self.signed(range.min_mod_revision);
        self.signed(range.max_mod_revision);
        self.signed(range.min_create_revision);
        self.signed(range.max_create_revision);
    }

    fn txn(&mut self, txn: &Txn) {
        self.byte(tag::TXN);
        self.unsigned(txn.compares.len() as u64);
        for compare in &txn.compares {
            self.compare(compare);
        }
        for branch in [&txn.success, &txn.failure] {
            self.unsigned(branch.len() as u64);
            for op in branch {
                match op {
                    Op::Range(range) => self.range(range),
                    Op::Put(put) => self.put(put),
                    Op::DeleteRange(delete) => self.delete_range(delete),
                    Op::Txn(nested) => self.txn(nested),
                }
            }
        }
    }

    fn compare(&mut self, compare: &Compare) {
        self.byte(compare.result as u8);
        self.keys(&compare.keys);
        let (target, number) = match &compare.operand {
            Operand::Version(number) => (0, number),
            Operand::CreateRevision(number) => (1, number),
            Operand::ModRevision(number) => (2, number),
            Operand::Lease(number) => (4, number),
            Operand::Value(value) => {
                self.byte(3);
                self.bytes(value);
                return;
            }
        };
        self.byte(target);
        self.signed(*number);
    }
}

struct Reader<'a>(&'a mut Bytes);

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, DecodeError> {
        self.0.try_get_u8().map_err(|_short| DecodeError::Short)
    }

    fn unsigned(&mut self) -> Result<u64, DecodeError> {
        let mut rest: &[u8] = self.0;
        let number = varint::take(&mut rest).ok_or(DecodeError::Short)?;
        let taken = self.0.len() - rest.len();
        self.0.advance(taken);
        Ok(number)
    }

    fn signed(&mut self) -> Result<i64, DecodeError> {
        let number = self.unsigned()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    fn bytes(&mut self) -> Result<Bytes, DecodeError> {
        let length = usize::try_from(self.unsigned()?).map_err(|_large| DecodeError::Short)?;
        if length > self.0.len() {
            return Err(DecodeError::Short);
        }
        Ok(self.0.split_to(length))
    }

    fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = usize::try_from(self.unsigned()?).map_err(|_large| DecodeError::Short)?;
        // Every item takes two bytes or more, so a false count cannot ask for much memory.
        if count > self.0.len() / 2 {
            return Err(DecodeError::Short);
        }
        (0..count).map(|_| item(self)).collect()
    }

    fn choice<T: Copy>(&mut self, choices: &[T]) -> Result<T, DecodeError> {
        let index = usize::from(self.byte()?);
        choices.get(index).copied().ok_or(DecodeError::Field)
    }

    fn flags(&mut self) -> Result<[bool; 3], DecodeError> {
        let byte = self.byte()?;
        if byte >= 8 {
            return Err(DecodeError::Field);
        }
        Ok([byte & 1 != 0, byte & 2 != 0, byte & 4 != 0])
    }

    fn keys(&mut self) -> Result<KeyRange, DecodeError> {
        Ok(KeyRange {
            start: self.bytes()?,
            end: self.bytes()?,
        })
    }

    fn downgrade(&mut self) -> Result<DowngradeChange, DecodeError> {
        Ok(match self.byte()? {
            0 => DowngradeChange::Enable(Release {
                major: self.unsigned()?,
                minor: self.unsigned()?,
            }),
            1 => DowngradeChange::Cancel,
            _ => return Err(DecodeError::Field),
        })
    }

    fn put(&mut self) -> Result<Put, DecodeError> {
        let [prev_kv, ignore_value, ignore_lease] = self.flags()?;
        let lease = self.signed()?;
        let key = self.bytes()?;
        let value = self.bytes()?;
        Ok(Put {
            key,
            value,
            lease,
            prev_kv,
            ignore_value,
            ignore_lease,
        })
    }

    fn delete_range(&mut self) -> Result<DeleteRange, DecodeError> {
        let [prev_kv, ..] = self.flags()?;
        Ok(DeleteRange {
            keys: self.keys()?,
            prev_kv,
        })
    }

    fn range(&mut self) -> Result<Range, DecodeError> {
        use SortOrder::{Ascend, Descend, None};
        use SortTarget::{Create, Key, Mod, Value, Version};
        let [keys_only, count_only, _] = self.flags()?;
        Ok(Range {
            keys_only,
            count_only,
            sort_order: self.choice(&[None, Ascend, Descend])?,
            sort_target: self.choice(&[Key, Version, Create, Mod, Value])?,
            keys: self.keys()?,
            limit: self.signed()?,
            revision: self.signed()?,
            min_mod_revision: self.signed()?,
            max_mod_revision: self.signed()?,
            min_create_revision: self.signed()?,
            max_create_revision: self.signed()?,
        })
    }

    fn txn(&mut self, nesting_left: usize) -> Result<Txn, DecodeError> {
        let nesting_left = nesting_left.checked_sub(1).ok_or(DecodeError::Field)?;
        let branch = |reader: &mut Self| reader.list(|reader| reader.op(nesting_left));
        Ok(Txn {
            compares: self.list(Self::compare)?,
            success: branch(self)?,
            failure: branch(self)?,
        })
    }

    fn op(&mut self, nesting_left: usize) -> Result<Op, DecodeError> {
        Ok(match self.byte()? {
            tag::RANGE => Op::Range(self.range()?),
            tag::PUT => Op::Put(self.put()?),
            tag::DELETE_RANGE => Op::DeleteRange(self.delete_range()?),
            tag::TXN => Op::Txn(self.txn(nesting_left)?),
            other => return Err(DecodeError::Tag(other)),
        })
    }

    fn compare(&mut self) -> Result<Compare, DecodeError> {
        use CompareResult::{Equal, Greater, Less, NotEqual};
        let result = self.choice(&[Equal, Greater, Less, NotEqual])?;
        let keys = self.keys()?;
        let operand = match self.byte()? {
            0 => Operand::Version(self.signed()?),
            1 => Operand::CreateRevision(self.signed()?),
            2 => Operand::ModRevision(self.signed()?),
            3 => Operand::Value(self.bytes()?),
            4 => Operand::Lease(self.signed()?),
            other => return Err(DecodeError::Tag(other)),
        };
        Ok(Compare {
            keys,
            result,
            operand,
        })
    }
}
