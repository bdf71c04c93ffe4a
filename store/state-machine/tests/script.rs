//! Reads the lines of a script, runs them and writes answers as text.

use bytes::Bytes;
use state_machine::*;
use std::fmt::Write as _;

pub(crate) struct Runner {
    machine: Option<StateMachine>,
    dir: tempfile::TempDir,
}

fn bytes(text: &str) -> Bytes {
    match text {
        "\"\"" => Bytes::new(),
        text => text.replace("\\0", "\0").into_bytes().into(),
    }
}

fn text(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        "\"\"".into()
    } else {
        String::from_utf8_lossy(bytes).replace('\0', "\\0")
    }
}

/// The words of a line. `option=value` and plain words may come in any order.
struct Words<'a> {
    plain: Vec<&'a str>,
    options: Vec<(&'a str, &'a str)>,
}

impl<'a> Words<'a> {
    fn new(line: &'a str) -> Words<'a> {
        let (options, plain) = line
            .split_whitespace()
            .partition::<Vec<_>, _>(|word| word.contains('='));
        let options = options
            .into_iter()
            .map(|word| word.split_once('=').unwrap())
            .collect();
        Words { plain, options }
    }

    fn flag(&self, name: &str) -> bool {
        self.plain.contains(&name)
    }

    fn option(&self, name: &str) -> Option<&'a str> {
        self.options
            .iter()
            .find(|(found, _)| *found == name)
            .map(|(_, value)| *value)
    }

    fn number(&self, name: &str) -> i64 {
        self.option(name).map_or(0, |value| value.parse().unwrap())
    }

    /// `start` or `start..end`; an end is written `\0` for "all from start".
    fn keys(&self, position: usize) -> KeyRange {
        keys(self.plain[position])
    }
}

fn keys(word: &str) -> KeyRange {
    let (start, end) = word.split_once("..").unwrap_or((word, "\"\""));
    KeyRange {
        start: bytes(start),
        end: bytes(end),
    }
}

fn put(words: &Words<'_>) -> Put {
    let value = words
        .plain
        .get(2)
        .filter(|word| !["prev", "ignore_value", "ignore_lease"].contains(word));
    Put {
        key: bytes(words.plain[1]),
        value: value.map_or(Bytes::new(), |value| bytes(value)),
        lease: words.number("lease"),
        prev_kv: words.flag("prev"),
        ignore_value: words.flag("ignore_value"),
        ignore_lease: words.flag("ignore_lease"),
    }
}

fn range(words: &Words<'_>) -> Range {
    Range {
        keys: words.keys(1),
        limit: words.number("limit"),
        revision: words.number("rev"),
        sort_order: match words.option("order") {
            None => SortOrder::None,
            Some("ascend") => SortOrder::Ascend,
            Some("descend") => SortOrder::Descend,
            Some(other) => panic!("order {other}"),
        },
        sort_target: match words.option("sort") {
            None | Some("key") => SortTarget::Key,
            Some("version") => SortTarget::Version,
            Some("create") => SortTarget::Create,
            Some("mod") => SortTarget::Mod,
            Some("value") => SortTarget::Value,
            Some(other) => panic!("sort {other}"),
        },
        keys_only: words.flag("keys_only"),
        count_only: words.flag("count_only"),
        min_mod_revision: words.number("min_mod"),
        max_mod_revision: words.number("max_mod"),
        min_create_revision: words.number("min_create"),
        max_create_revision: words.number("max_create"),
    }
}

/// `txn if <compare>, ... then <op>, ... else <op>, ... end`, nested with `txn ... end` as an op.
struct TxnParser<'a> {
    words: Vec<&'a str>,
    position: usize,
}

impl<'a> TxnParser<'a> {
    fn new(line: &'a str) -> TxnParser<'a> {
        TxnParser {
            words: line.split_whitespace().collect(),
            position: 1,
        }
    }

    /// Words up to the next `,` or section word.
    fn item(&mut self) -> Vec<&'a str> {
        let mut item = Vec::new();
        while let Some(word) = self.words.get(self.position) {
            if ["then", "else", "end", ","].contains(word) {
                break;
            }
            self.position += 1;
            item.push(*word);
        }
        if self.words.get(self.position) == Some(&",") {
            self.position += 1;
        }
        item
    }

    fn section(&mut self, name: &str) -> bool {
        let found = self.words.get(self.position) == Some(&name);
        self.position += usize::from(found);
        found
    }

    fn ops(&mut self) -> Vec<Op> {
        let mut ops = Vec::new();
        while !["then", "else", "end"].contains(&self.words[self.position]) {
            if self.section("txn") {
                ops.push(Op::Txn(self.txn()));
                self.section(",");
                continue;
            }
            let line = self.item().join(" ");
            let words = Words::new(&line);
            ops.push(match words.plain[0] {
                "put" => Op::Put(put(&words)),
                "get" => Op::Range(range(&words)),
                "del" => Op::DeleteRange(DeleteRange {
                    keys: words.keys(1),
                    prev_kv: words.flag("prev"),
                }),
                other => panic!("operation {other}"),
            });
        }
        ops
    }

    fn txn(&mut self) -> Txn {
        let mut txn = Txn::default();
        if self.section("if") {
            while !["then", "else", "end"].contains(&self.words[self.position]) {
                txn.compares.push(compare(&self.item()));
            }
        }
        if self.section("then") {
            txn.success = self.ops();
        }
        if self.section("else") {
            txn.failure = self.ops();
        }
        assert!(self.section("end"), "a txn ends with `end`");
        txn
    }
}

fn compare(words: &[&str]) -> Compare {
    let [target, on, result, operand] = words else {
        panic!("compare {words:?}")
    };
    let number = || operand.parse().unwrap();
    Compare {
        keys: keys(on),
        result: match *result {
            "==" => CompareResult::Equal,
            "!=" => CompareResult::NotEqual,
            ">" => CompareResult::Greater,
            "<" => CompareResult::Less,
            other => panic!("result {other}"),
        },
        operand: match *target {
            "version" => Operand::Version(number()),
            "create" => Operand::CreateRevision(number()),
            "mod" => Operand::ModRevision(number()),
            "lease" => Operand::Lease(number()),
            "value" => Operand::Value(bytes(operand)),
            other => panic!("target {other}"),
        },
    }
}

fn alarm(words: &Words<'_>, action: AlarmAction) -> AlarmChange {
    let alarm = match words.plain[1] {
        "any" => AlarmKind::Any,
        "nospace" => AlarmKind::NoSpace,
        "corrupt" => AlarmKind::Corrupt,
        other => panic!("alarm {other}"),
    };
    AlarmChange {
        action,
        member: words.number("member").cast_unsigned(),
        alarm,
    }
}

fn command(line: &str) -> Option<Command> {
    let words = Words::new(line);
    let id = || words.plain[1].parse().unwrap();
    Some(match words.plain[0] {
        "put" => Command::Put(put(&words)),
        "del" => Command::DeleteRange(DeleteRange {
            keys: words.keys(1),
            prev_kv: words.flag("prev"),
        }),
        "txn" => Command::Txn(TxnParser::new(line).txn()),
        "compact" => Command::Compact(Compact { revision: id() }),
        "grant" => Command::LeaseGrant(LeaseGrant {
            id: id(),
            ttl_seconds: words.number("ttl"),
        }),
        "revoke" => Command::LeaseRevoke(LeaseRevoke { id: id() }),
        "checkpoint" => Command::LeaseCheckpoint(vec![LeaseCheckpoint {
            id: id(),
            remaining_seconds: words.number("remaining"),
        }]),
        "activate" => Command::Alarm(alarm(&words, AlarmAction::Activate)),
        "deactivate" => Command::Alarm(alarm(&words, AlarmAction::Deactivate)),
        "nothing" => Command::Nothing,
        _ => return None,
    })
}

impl Runner {
    pub(crate) fn new() -> Runner {
        let dir = tempfile::tempdir().unwrap();
        let machine = Some(StateMachine::open(dir.path(), &Options::default()).unwrap());
        Runner { machine, dir }
    }

    fn machine(&self) -> &StateMachine {
        self.machine.as_ref().unwrap()
    }

    /// Runs one line; commands parted by ` ; ` are one run.
    pub(crate) fn step(&mut self, line: &str) -> Vec<String> {
        if let Some(first) = line.split(" ; ").next().and_then(command) {
            let commands = std::iter::once(first)
                .chain(line.split(" ; ").skip(1).map(|line| command(line).unwrap()))
                .collect();
            let run = Run {
                commands,
                mark: Bytes::new(),
            };
            return applied(self.machine().apply(run).unwrap());
        }
        match line {
            "sweep" => {
                while self.machine().sweep(1) {}
                vec![]
            }
            "reopen" => {
                self.machine().flush().unwrap();
                self.machine = None;
                self.machine =
                    Some(StateMachine::open(self.dir.path(), &Options::default()).unwrap());
                vec![]
            }
            line => self.read(line),
        }
    }

    fn read(&self, line: &str) -> Vec<String> {
        let words = Words::new(line);
        let first = words.plain.get(1).copied().unwrap_or_default();
        match words.plain[0] {
            "get" => match self.machine().range(&range(&words)) {
                Ok((revision, found)) => range_text(revision, &found),
                Err(rejection) => vec![format!("rejected: {rejection}")],
            },
            "read" => match self.machine().read_txn(&TxnParser::new(&line[5..]).txn()) {
                Ok((revision, response)) => {
                    let mut out = vec![format!("revision {revision}")];
                    txn_text(&response, "", &mut out);
                    out
                }
                Err(rejection) => vec![format!("rejected: {rejection}")],
            },
            "history" => match self.machine().history(first.parse().unwrap(), 100, 1 << 20) {
                Ok(found) => found.iter().map(events_text).collect(),
                Err(rejection) => vec![format!("rejected: {rejection}")],
            },
            "hash_kv" => match self.machine().hash_kv(first.parse().unwrap()) {
                Ok(HashKv {
                    hash,
                    hash_revision,
                    compact_revision,
                }) => {
                    vec![format!(
                        "{hash:08x} at {hash_revision}, compacted {compact_revision}"
                    )]
                }
                Err(rejection) => vec![format!("rejected: {rejection}")],
            },
            "at" => {
                let (main, sub) = first.split_once('.').unwrap();
                let at = Revision {
                    main: main.parse().unwrap(),
                    sub: sub.parse().unwrap(),
                };
                vec![
                    self.machine()
                        .key_value_at(at)
                        .map_or("none".into(), |kv| kv_text(&kv)),
                ]
            }
            "leases" => self.lease_lines(),
            "alarms" => vec![format!("{:?}", self.machine().alarms())],
            "size" => {
                let machine = self.machine();
                vec![format!(
                    "{} keys, {} live bytes",
                    machine.key_count(),
                    machine.live_bytes()
                )]
            }
            other => panic!("unknown step {other}"),
        }
    }

    fn lease_lines(&self) -> Vec<String> {
        let line = |lease: LeaseInfo| {
            let keys = self.machine().lease_keys(lease.id);
            let keys: Vec<String> = keys.iter().map(|key| text(key)).collect();
            format!(
                "{} ttl {} remaining {} keys {keys:?}",
                lease.id, lease.ttl_seconds, lease.remaining_seconds
            )
        };
        self.machine().leases().into_iter().map(line).collect()
    }
}

fn applied(applied: Applied) -> Vec<String> {
    let mut out = Vec::new();
    for outcome in &applied.outcomes {
        match outcome {
            Err(rejection) => out.push(format!("rejected: {rejection} ({rejection:?})")),
            Ok(response) => {
                out.push(format!("revision {}", response.revision));
                match &response.body {
                    Body::Put(put) => put_text(put, "", &mut out),
                    Body::DeleteRange(delete) => delete_text(delete, "", &mut out),
                    Body::Txn(txn) => txn_text(txn, "", &mut out),
                    Body::Done => {}
                    other => out.push(format!("{other:?}")),
                }
            }
        }
    }
    out.extend(applied.events.iter().map(events_text));
    out.extend(applied.leases.iter().map(|change| format!("{change:?}")));
    out
}

fn put_text(put: &PutResponse, indent: &str, out: &mut Vec<String>) {
    out.extend(
        put.prev_kv
            .iter()
            .map(|kv| format!("{indent}prev {}", kv_text(kv))),
    );
}

fn delete_text(delete: &DeleteRangeResponse, indent: &str, out: &mut Vec<String>) {
    out.push(format!("{indent}deleted {}", delete.deleted));
    out.extend(
        delete
            .prev_kvs
            .iter()
            .map(|kv| format!("{indent}prev {}", kv_text(kv))),
    );
}

fn range_text(revision: i64, found: &RangeResponse) -> Vec<String> {
    let more = if found.more { ", more" } else { "" };
    let mut out = vec![format!("revision {revision}, count {}{more}", found.count)];
    out.extend(found.kvs.iter().map(kv_text));
    out
}

fn txn_text(txn: &TxnResponse, indent: &str, out: &mut Vec<String>) {
    out.push(format!("{indent}succeeded {}", txn.succeeded));
    let inner = format!("{indent}  ");
    for response in &txn.responses {
        match response {
            OpResponse::Put { revision, response } => {
                out.push(format!("{indent}put revision {revision}"));
                put_text(response, &inner, out);
            }
            OpResponse::DeleteRange { revision, response } => {
                out.push(format!("{indent}del revision {revision}"));
                delete_text(response, &inner, out);
            }
            OpResponse::Range { revision, response } => {
                let lines = range_text(*revision, response);
                out.push(format!("{indent}get {}", lines[0]));
                out.extend(lines[1..].iter().map(|line| format!("{inner}{line}")));
            }
            OpResponse::Txn { revision, response } => {
                out.push(format!("{indent}txn revision {revision}"));
                txn_text(response, &inner, out);
            }
        }
    }
}

fn kv_text(kv: &EncodedKeyValue) -> String {
    let kv = decode_key_value(&kv.0).unwrap();
    let mut out = format!("{}={}", text(&kv.key), text(&kv.value));
    write!(
        out,
        " create {} mod {} version {}",
        kv.create_revision, kv.mod_revision, kv.version
    )
    .unwrap();
    if kv.lease != 0 {
        write!(out, " lease {}", kv.lease).unwrap();
    }
    out
}

fn events_text(events: &RevisionEvents) -> String {
    let mut out = format!("events of {}:", events.revision);
    for event in events.events.iter() {
        let kv = decode_key_value(&event.kv.0).unwrap();
        assert_eq!(kv.key, event.key);
        assert_eq!(kv.mod_revision, events.revision);
        write!(out, " {:?} {}", event.kind, text(&kv.key)).unwrap();
        if event.kind == EventKind::Put {
            write!(out, "={}", text(&kv.value)).unwrap();
        }
        if event.created {
            out.push_str(" created");
        }
        if let Some(prev) = event.prev {
            write!(out, " prev {}.{}", prev.main, prev.sub).unwrap();
        }
        out.push(';');
    }
    out
}
