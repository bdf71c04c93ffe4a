//! YAML, stand-in.
use super::json::{Fault, Read};
pub fn read(bytes: &[u8]) -> Result<Read, Fault> {
    let value = serde_yaml_ng::from_slice(bytes).map_err(|e| Fault::Syntax(e.to_string()))?;
    Ok(Read {
        value,
        strict: Vec::new(),
    })
}
pub fn write(value: &crate::Value) -> String {
    serde_yaml_ng::to_string(value).unwrap_or_default()
}
