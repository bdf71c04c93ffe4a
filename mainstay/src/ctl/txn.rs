//! Transactions, entered as compares, requests for success and requests for failure, with empty lines between.

use std::io::BufRead;

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Parser;
use proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{Compare, RequestOp, TxnRequest};

use super::arguments::{Del, Get, Put};
use super::words::{self, invalid};
use super::{Session, go, kv};

pub(super) async fn run(session: &Session, interactive: bool) -> Result<()> {
    let say = |text: &str| {
        if interactive {
            outln!("{text}");
        }
    };
    let mut lines = std::io::stdin().lock().lines();
    say("compares:");
    let compare = block(&mut lines, compare)?;
    say("success requests (get, put, del):");
    let success = block(&mut lines, request)?;
    say("failure requests (get, put, del):");
    let failure = block(&mut lines, request)?;
    let mut client = kv::client(session).await?;
    let request = TxnRequest {
        compare,
        success,
        failure,
    };
    let answer = session.within(client.txn(request)).await?;
    session.printer.txn(&answer)
}

/// Lines up to an empty one. Input that ends before is cut off, and a part of a transaction is another transaction.
fn block<T>(
    lines: &mut impl Iterator<Item = std::io::Result<String>>,
    parse: impl Fn(&str) -> Result<T>,
) -> Result<Vec<T>> {
    let mut parsed = Vec::new();
    for line in lines {
        let line = line.context("cannot read standard input")?;
        if line.trim().is_empty() {
            return Ok(parsed);
        }
        parsed.push(parse(line.trim())?);
    }
    Err(invalid("EOF".to_owned()))
}

/// `mod("key") > "5"`, with the quotation marks. What stands behind the second string is passed over.
fn compare(line: &str) -> Result<Compare> {
    let (target, rest) = line
        .split_once('(')
        .ok_or_else(|| invalid(format!("malformed comparison: {line}")))?;
    let Comparison {
        key,
        operator,
        operand,
    } = comparison(rest).map_err(|found| {
        let (key, operand) = (go::quoted(&found.key), go::quoted(&found.operand));
        let found = format!("{target}({key}) {} {operand}", found.operator);
        invalid(format!("malformed comparison: {line}; got {found}"))
    })?;
    let result = match operator.as_str() {
        "=" => CompareResult::Equal,
        "!=" => CompareResult::NotEqual,
        "<" => CompareResult::Less,
        ">" => CompareResult::Greater,
        _ => {
            let why = format!("malformed comparison: {line} (unknown operator {operator})");
            return Err(invalid(why));
        }
    };
    let number = |base| {
        let text = std::str::from_utf8(&operand).ok();
        text.and_then(|text| i64::from_str_radix(text, base).ok())
            .ok_or_else(|| invalid(format!("invalid txn compare request: {line}")))
    };
    let (target, operand) = match target {
        "ver" | "version" => (CompareTarget::Version, TargetUnion::Version(number(10)?)),
        "c" | "create" => (
            CompareTarget::Create,
            TargetUnion::CreateRevision(number(10)?),
        ),
        "m" | "mod" => (CompareTarget::Mod, TargetUnion::ModRevision(number(10)?)),
        "val" | "value" => (
            CompareTarget::Value,
            TargetUnion::Value(operand.clone().into()),
        ),
        "lease" => (CompareTarget::Lease, TargetUnion::Lease(number(16)?)),
        other => {
            let why = format!("malformed comparison: {line} (unknown target {other})");
            return Err(invalid(why));
        }
    };
    Ok(Compare {
        result: result.into(),
        target: target.into(),
        key: key.into(),
        range_end: Bytes::new(),
        target_union: Some(operand),
    })
}

/// What stands in a compare behind its target.
#[derive(Default)]
struct Comparison {
    key: Vec<u8>,
    operator: String,
    operand: Vec<u8>,
}

/// Reads `"key") operator "operand"` as Go's scan of `%q) %s %q` does; the error is what was read before it failed.
fn comparison(text: &str) -> Result<Comparison, Comparison> {
    let mut read = Comparison::default();
    let Some((key, rest)) = words::quoted(text) else {
        return Err(read);
    };
    read.key = key;
    let rest = rest.strip_prefix(')').unwrap_or_default();
    if !rest.starts_with(char::is_whitespace) {
        return Err(read);
    }
    let rest = rest.trim_start();
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let (operator, rest) = rest.split_at(end);
    operator.clone_into(&mut read.operator);
    match words::quoted(rest) {
        Some((operand, _)) => Ok(Comparison { operand, ..read }),
        None => Err(read),
    }
}

/// `put key "a value"`, `get key --prefix`, `del key`.
fn request(line: &str) -> Result<RequestOp> {
    let words = words::split(line)?;
    if words.len() < 2 {
        let why = format!("invalid txn compare request: {line}");
        return Err(invalid(why));
    }
    let unknown = |_| invalid(format!("invalid txn request: {line}"));
    let mut words = words.into_iter();
    let command = words.next().unwrap_or_default();
    let request = match command.as_encoded_bytes() {
        b"get" => {
            let get = Get::try_parse_from(words).map_err(unknown)?;
            Request::RequestRange(kv::range_request(&get)?)
        }
        b"put" => Request::RequestPut(kv::put_request(
            Put::try_parse_from(words).map_err(unknown)?,
        )?),
        b"del" => {
            let del = Del::try_parse_from(words).map_err(unknown)?;
            Request::RequestDeleteRange(kv::delete_request(&del)?)
        }
        _ => return Err(invalid(format!("invalid txn request: {line}"))),
    };
    Ok(RequestOp {
        request: Some(request),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_take_every_target() {
        for (line, target) in [
            ("mod(\"k\") > \"5\"", TargetUnion::ModRevision(5)),
            ("create(\"k\") = \"5\"", TargetUnion::CreateRevision(5)),
            ("ver( \"k\") != \"1\" x", TargetUnion::Version(1)),
            ("value(\"k\") < \"x y\"", TargetUnion::Value("x y".into())),
            ("lease(`k`)  =  \"1f\"", TargetUnion::Lease(31)),
        ] {
            let compare = compare(line).unwrap();
            assert_eq!(compare.target_union, Some(target), "{line}");
            assert_eq!(compare.key, "k");
        }
        for line in [
            "",
            "mod",
            "mod(\"k\")",
            "mod(k) = \"1\"",
            "mod(\"k\") ~ \"5\"",
            "mod(\"k\") = 5",
            "mod(\"k\")= \"5\"",
            "mod(\"k\") = \"x\"",
            "mod (\"k\") = \"1\"",
            "size(\"k\") = \"1\"",
        ] {
            assert!(compare(line).is_err(), "{line}");
        }
    }

    #[test]
    fn requests_take_the_flags_of_their_commands() {
        let Some(Request::RequestRange(range)) =
            request("get a --prefix --limit 3").unwrap().request
        else {
            panic!("not a range");
        };
        assert_eq!((range.range_end.as_ref(), range.limit), (&b"b"[..], 3));
        assert!(request("lock a").is_err());
        assert!(request("put").is_err());
    }

    #[test]
    fn input_that_is_cut_off_is_no_transaction() {
        let block = |text: &str| block(&mut text.lines().map(|line| Ok(line.to_owned())), request);
        assert_eq!(block("put a 1\n\n").unwrap().len(), 1);
        assert_eq!(block("put a 1\n").unwrap_err().to_string(), "EOF");
    }
}
