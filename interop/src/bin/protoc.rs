//! Stands in for protoc where a build script wants one: compiles protos to a descriptor set.

use std::path::PathBuf;

use anyhow::{Context, Result};
use prost::Message;

fn main() -> Result<()> {
    let mut includes = Vec::new();
    let mut files = Vec::new();
    let mut output: Option<PathBuf> = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-I" => includes.push(arguments.next().context("-I wants a folder")?),
            "-o" => output = arguments.next().map(PathBuf::from),
            flag if flag.starts_with("--") => {}
            file => files.push(file.to_owned()),
        }
    }
    let set = protox::compile(files, includes)?;
    std::fs::write(output.context("-o is missing")?, set.encode_to_vec())?;
    Ok(())
}
