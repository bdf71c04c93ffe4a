//! Transactions, entered as compares, requests for success and requests for failure, with empty lines between.

use std::io::BufRead;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use clap::Parser;
use proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{Compare, RequestOp, TxnRequest};

use super::arguments::{Del, Get, Put};
use super::{Session, kv};

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

/// Lines up to an empty one or the end.
fn block<T>(
    lines: &mut impl Iterator<Item = std::io::Result<String>>,
    parse: impl Fn(&str) -> Result<T>,
) -> Result<Vec<T>> {
    let mut parsed = Vec::new();
    for line in lines {
        let line = line.context("cannot read standard input")?;
        if line.trim().is_empty() {
            break;
        }
        parsed.push(parse(line.trim())?);
    }
    Ok(parsed)
}

/// `mod("key") > "5"`, the quotes around the number may be missing.
fn compare(line: &str) -> Result<Compare> {
    let malformed = || anyhow!("malformed comparison: {line}");
    let (target, rest) = line.split_once('(').ok_or_else(malformed)?;
    let (key, rest) = rest.split_once(')').ok_or_else(malformed)?;
    let mut parts = words(rest)?.into_iter();
    let (Some(operator), Some(operand), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(malformed());
    };
    let key = words(key)?.into_iter().next().ok_or_else(malformed)?;
    let result = match operator.as_str() {
        "=" => CompareResult::Equal,
        "!=" => CompareResult::NotEqual,
        "<" => CompareResult::Less,
        ">" => CompareResult::Greater,
        _ => bail!("malformed comparison: {line}; unknown operator {operator}"),
    };
    let number = |base| {
        i64::from_str_radix(&operand, base)
            .with_context(|| format!("malformed comparison: {line}; {operand} is no number"))
    };
    let (target, operand) = match target.trim() {
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
        other => bail!("malformed comparison: unknown target {other}"),
    };
    Ok(Compare {
        result: result.into(),
        target: target.into(),
        key: key.into(),
        range_end: Bytes::new(),
        target_union: Some(operand),
    })
}

/// `put key "a value"`, `get key --prefix`, `del key`.
fn request(line: &str) -> Result<RequestOp> {
    let mut words = words(line)?.into_iter();
    let command = words.next().unwrap_or_default();
    let request = match command.as_str() {
        "get" => Request::RequestRange(kv::range_request(&Get::try_parse_from(words)?)?),
        "put" => Request::RequestPut(kv::put_request(Put::try_parse_from(words)?)?),
        "del" => Request::RequestDeleteRange(kv::delete_request(&Del::try_parse_from(words)?)?),
        other => bail!("invalid txn request: {other}"),
    };
    Ok(RequestOp {
        request: Some(request),
    })
}

/// Splits at spaces outside of quotes; inside double quotes a backslash takes the next character as it is.
fn words(line: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut characters = line.chars().peekable();
    loop {
        while characters.next_if(|next| next.is_whitespace()).is_some() {}
        let Some(first) = characters.next() else {
            return Ok(words);
        };
        let mut word = String::new();
        if first == '"' || first == '\'' {
            loop {
                match characters.next() {
                    None => bail!("a quote is not closed: {line}"),
                    Some(end) if end == first => break,
                    Some('\\') if first == '"' => match characters.next() {
                        Some('n') => word.push('\n'),
                        Some('t') => word.push('\t'),
                        Some(escaped) => word.push(escaped),
                        None => bail!("a quote is not closed: {line}"),
                    },
                    Some(plain) => word.push(plain),
                }
            }
        } else {
            word.push(first);
            while let Some(plain) = characters.next_if(|next| !next.is_whitespace()) {
                word.push(plain);
            }
        }
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_words_together() {
        let split = words(r#"put "a key" 'b "c"' "d\"e\n" f"#).unwrap();
        assert_eq!(split, ["put", "a key", "b \"c\"", "d\"e\n", "f"]);
        assert!(words("put \"a").is_err());
    }

    #[test]
    fn compares_take_every_target() {
        for (line, target) in [
            ("mod(\"k\") > \"5\"", TargetUnion::ModRevision(5)),
            ("create(k) = 5", TargetUnion::CreateRevision(5)),
            ("ver(\"k\") != \"1\"", TargetUnion::Version(1)),
            ("value(\"k\") < \"x y\"", TargetUnion::Value("x y".into())),
            ("lease(\"k\") = \"1f\"", TargetUnion::Lease(31)),
        ] {
            let compare = compare(line).unwrap();
            assert_eq!(compare.target_union, Some(target), "{line}");
            assert_eq!(compare.key, "k");
        }
        for line in [
            "",
            "mod",
            "mod(k)",
            "mod(k) ~ 5",
            "mod(k) = x",
            "size(k) = 1",
            "mod(k) = 1 2",
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
}
