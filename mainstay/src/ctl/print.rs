//! Answers about keys and leases, in etcdctl's formats.

use anyhow::Result;
use prost::Message;
use proto::etcdserverpb::response_op::Response as OpResponse;
use proto::etcdserverpb::{
    DeleteRangeResponse, PutResponse, RangeResponse, ResponseHeader, TxnResponse,
};
use proto::mvccpb::KeyValue;

use super::arguments::{Format, Global};
use super::failure::{Failure, UNSUPPORTED_EXIT_CODE};
use super::go;
use super::json::Json;
use crate::output;

/// Prints to standard output.
#[derive(Debug, Clone)]
pub(super) struct Printer {
    pub(super) format: Format,
    hex: bool,
    /// Of a `get`: leave the keys out.
    pub(super) value_only: bool,
    /// Of a `get`: only the number of keys.
    pub(super) count_only: bool,
}

impl Printer {
    pub(super) fn new(global: &Global) -> Printer {
        Printer {
            format: global.write_out,
            hex: global.hex,
            value_only: false,
            count_only: false,
        }
    }

    pub(super) fn put(&self, answer: &PutResponse) -> Result<()> {
        if self.encoded(answer) {
            return Ok(());
        }
        match self.format {
            Format::Simple => {
                outln!("OK");
                answer.prev_kv.iter().for_each(|pair| self.pair(pair));
            }
            Format::Json => outln!("{}", put_json(answer)),
            Format::Fields => self.put_fields(answer),
            format @ (Format::Protobuf | Format::Table) => return unsupported(format),
        }
        Ok(())
    }

    pub(super) fn get(&self, answer: &RangeResponse) -> Result<()> {
        if self.encoded(answer) {
            return Ok(());
        }
        match self.format {
            Format::Simple if self.count_only => outln!("{}", answer.count),
            Format::Simple => answer.kvs.iter().for_each(|pair| self.pair(pair)),
            Format::Json => outln!("{}", range_json(answer)),
            Format::Fields => self.range_fields(answer),
            format @ (Format::Protobuf | Format::Table) => return unsupported(format),
        }
        Ok(())
    }

    pub(super) fn delete(&self, answer: &DeleteRangeResponse) -> Result<()> {
        if self.encoded(answer) {
            return Ok(());
        }
        match self.format {
            Format::Simple => {
                outln!("{}", answer.deleted);
                answer.prev_kvs.iter().for_each(|pair| self.pair(pair));
            }
            Format::Json => outln!("{}", delete_json(answer)),
            Format::Fields => self.delete_fields(answer),
            format @ (Format::Protobuf | Format::Table) => return unsupported(format),
        }
        Ok(())
    }

    pub(super) fn txn(&self, answer: &TxnResponse) -> Result<()> {
        if self.encoded(answer) {
            return Ok(());
        }
        match self.format {
            Format::Simple => {
                outln!(
                    "{}",
                    if answer.succeeded {
                        "SUCCESS"
                    } else {
                        "FAILURE"
                    }
                );
                for response in &answer.responses {
                    outln!();
                    match &response.response {
                        Some(OpResponse::ResponsePut(put)) => self.put(put)?,
                        Some(OpResponse::ResponseRange(range)) => self.get(range)?,
                        Some(OpResponse::ResponseDeleteRange(delete)) => self.delete(delete)?,
                        Some(OpResponse::ResponseTxn(txn)) => self.txn(txn)?,
                        None => outln!("no answer"),
                    }
                }
            }
            Format::Json => outln!("{}", txn_json(answer)),
            Format::Fields => self.txn_fields(answer),
            format @ (Format::Protobuf | Format::Table) => return unsupported(format),
        }
        Ok(())
    }

    /// Writes an answer as it came, if that is the format.
    pub(super) fn encoded(&self, answer: &impl Message) -> bool {
        let wanted = self.format == Format::Protobuf;
        if wanted {
            output::write(&answer.encode_to_vec());
        }
        wanted
    }

    /// An answer whose header is all there is to it; the simple format has `text`.
    pub(super) fn done(
        &self,
        answer: &impl Message,
        header: Option<&ResponseHeader>,
        text: &str,
    ) -> Result<()> {
        match self.format {
            Format::Simple => outln!("{text}"),
            Format::Json => outln!("{}", Json::sparse([header_json(header)])),
            Format::Fields => header_fields(header),
            Format::Protobuf => {
                self.encoded(answer);
            }
            Format::Table => return unsupported(self.format),
        }
        Ok(())
    }

    /// Key and value, a line each.
    pub(super) fn pair(&self, pair: &KeyValue) {
        if !self.value_only {
            self.line(&pair.key);
        }
        self.line(&pair.value);
    }

    pub(super) fn line(&self, bytes: &[u8]) {
        let mut line = if self.hex {
            hexadecimal(bytes).into_bytes()
        } else {
            bytes.to_vec()
        };
        line.push(b'\n');
        output::write(&line);
    }

    pub(super) fn quoted(&self, bytes: &[u8]) -> String {
        if self.hex {
            format!("\"{}\"", hexadecimal(bytes))
        } else {
            go::quoted(bytes)
        }
    }

    pub(super) fn pair_fields(&self, prefix: &str, pair: &KeyValue) {
        outln!("\"{prefix}Key\" : {}", self.quoted(&pair.key));
        outln!("\"{prefix}CreateRevision\" : {}", pair.create_revision);
        outln!("\"{prefix}ModRevision\" : {}", pair.mod_revision);
        outln!("\"{prefix}Version\" : {}", pair.version);
        outln!("\"{prefix}Value\" : {}", self.quoted(&pair.value));
        outln!("\"{prefix}Lease\" : {}", pair.lease);
    }

    fn put_fields(&self, answer: &PutResponse) {
        header_fields(answer.header.as_ref());
        answer
            .prev_kv
            .iter()
            .for_each(|pair| self.pair_fields("Prev", pair));
    }

    fn range_fields(&self, answer: &RangeResponse) {
        header_fields(answer.header.as_ref());
        answer
            .kvs
            .iter()
            .for_each(|pair| self.pair_fields("", pair));
        outln!("\"More\" : {}", answer.more);
        outln!("\"Count\" : {}", answer.count);
    }

    fn delete_fields(&self, answer: &DeleteRangeResponse) {
        header_fields(answer.header.as_ref());
        outln!("\"Deleted\" : {}", answer.deleted);
        answer
            .prev_kvs
            .iter()
            .for_each(|pair| self.pair_fields("Prev", pair));
    }

    fn txn_fields(&self, answer: &TxnResponse) {
        header_fields(answer.header.as_ref());
        outln!("\"Succeeded\" : {}", answer.succeeded);
        for response in &answer.responses {
            match &response.response {
                Some(OpResponse::ResponsePut(put)) => self.put_fields(put),
                Some(OpResponse::ResponseRange(range)) => self.range_fields(range),
                Some(OpResponse::ResponseDeleteRange(delete)) => self.delete_fields(delete),
                Some(OpResponse::ResponseTxn(txn)) => self.txn_fields(txn),
                None => outln!("\"Unknown\" : \"no answer\""),
            }
        }
    }
}

/// etcdctl's refusal of a format, and its exit code.
pub(super) fn unsupported<T>(format: Format) -> Result<T> {
    let name = match format {
        Format::Simple => "simple",
        Format::Json => "json",
        Format::Fields => "fields",
        Format::Protobuf => "protobuf",
        Format::Table => "table",
    };
    let text = format!("{name} not supported as output format");
    Err(Failure::new(UNSUPPORTED_EXIT_CODE, text).into())
}

pub(super) fn header_fields(header: Option<&ResponseHeader>) {
    let header = header.cloned().unwrap_or_default();
    outln!("\"ClusterID\" : {}", header.cluster_id);
    outln!("\"MemberID\" : {}", header.member_id);
    // Only answers about keys have one.
    if header.revision > 0 {
        outln!("\"Revision\" : {}", header.revision);
    }
    outln!("\"RaftTerm\" : {}", header.raft_term);
}

pub(super) fn header_json_fields(header: Option<&ResponseHeader>) -> Vec<(&'static str, Json)> {
    let header = header.cloned().unwrap_or_default();
    let fields = [
        ("cluster_id", Json::number(header.cluster_id)),
        ("member_id", Json::number(header.member_id)),
        ("revision", Json::number(header.revision)),
        ("raft_term", Json::number(header.raft_term)),
    ];
    fields
        .into_iter()
        .filter(|(_, value)| *value != Json::Number(0))
        .collect()
}

pub(super) fn header_json(header: Option<&ResponseHeader>) -> (&'static str, Json) {
    (
        "header",
        header.map_or(Json::Null, |_| Json::Object(header_json_fields(header))),
    )
}

pub(super) fn pair_json(pair: &KeyValue) -> Json {
    Json::sparse([
        ("key", Json::bytes(&pair.key)),
        ("create_revision", Json::number(pair.create_revision)),
        ("mod_revision", Json::number(pair.mod_revision)),
        ("version", Json::number(pair.version)),
        ("value", Json::bytes(&pair.value)),
        ("lease", Json::number(pair.lease)),
    ])
}

fn put_json(answer: &PutResponse) -> Json {
    let before = answer.prev_kv.as_ref().map_or(Json::Null, pair_json);
    Json::sparse([header_json(answer.header.as_ref()), ("prev_kv", before)])
}

fn range_json(answer: &RangeResponse) -> Json {
    Json::sparse([
        header_json(answer.header.as_ref()),
        ("kvs", Json::list(&answer.kvs, pair_json)),
        ("more", Json::Bool(answer.more)),
        ("count", Json::number(answer.count)),
    ])
}

fn delete_json(answer: &DeleteRangeResponse) -> Json {
    Json::sparse([
        header_json(answer.header.as_ref()),
        ("deleted", Json::number(answer.deleted)),
        ("prev_kvs", Json::list(&answer.prev_kvs, pair_json)),
    ])
}

fn txn_json(answer: &TxnResponse) -> Json {
    let responses = Json::list(&answer.responses, |response| {
        let (name, answer) = match &response.response {
            Some(OpResponse::ResponsePut(put)) => ("response_put", put_json(put)),
            Some(OpResponse::ResponseRange(range)) => ("response_range", range_json(range)),
            Some(OpResponse::ResponseDeleteRange(delete)) => {
                ("response_delete_range", delete_json(delete))
            }
            Some(OpResponse::ResponseTxn(txn)) => ("response_txn", txn_json(txn)),
            None => return Json::Object(vec![("Response", Json::Null)]),
        };
        Json::Object(vec![("Response", Json::Object(vec![(name, answer)]))])
    });
    Json::sparse([
        header_json(answer.header.as_ref()),
        ("succeeded", Json::Bool(answer.succeeded)),
        ("responses", responses),
    ])
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect()
}
