//! URLs as expressions see them, read by the rules of Go's `url.ParseRequestURI`.

use std::collections::BTreeMap;

/// A URL in its parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Url {
    pub(super) scheme: String,
    /// With the port.
    pub(super) host: String,
    pub(super) path: String,
    pub(super) query: BTreeMap<String, Vec<String>>,
}

impl Url {
    /// Reads an absolute URL or an absolute path; the error is Go's.
    pub(super) fn parse(text: &str) -> Result<Url, String> {
        Url::read(text).map_err(|why| format!("parse {text:?}: {why}"))
    }

    fn read(text: &str) -> Result<Url, String> {
        if text.chars().any(|next| next.is_ascii_control()) {
            return Err("net/url: invalid control character in URL".to_owned());
        }
        if text.is_empty() {
            return Err("empty url".to_owned());
        }
        let mut url = Url::default();
        let rest = url.take_scheme(text)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        url.query = read_query(query);
        if !rest.starts_with('/') {
            // What follows a scheme without a slash has no parts.
            if !url.scheme.is_empty() {
                return Ok(url);
            }
            if rest == "*" && url.scheme.is_empty() {
                url.path = "*".to_owned();
                return Ok(url);
            }
            return Err("invalid URI for request".to_owned());
        }
        let path = match rest.strip_prefix("//") {
            Some(rest) if !url.scheme.is_empty() || !rest.starts_with('/') => {
                let end = rest.find('/').unwrap_or(rest.len());
                url.host = read_authority(&rest[..end])?;
                &rest[end..]
            }
            _ => rest,
        };
        unescape(path, false)?;
        url.path = escape_path(path);
        Ok(url)
    }

    /// What follows the scheme, which is kept in lower case.
    fn take_scheme<'a>(&mut self, text: &'a str) -> Result<&'a str, String> {
        let end = text.find(|next: char| !(next.is_ascii_alphanumeric() || "+-.".contains(next)));
        match end {
            Some(0) if text.starts_with(':') => Err("missing protocol scheme".to_owned()),
            Some(end)
                if text[end..].starts_with(':')
                    && text.starts_with(|first: char| first.is_ascii_alphabetic()) =>
            {
                self.scheme = text[..end].to_ascii_lowercase();
                Ok(&text[end + 1..])
            }
            _ => Ok(text),
        }
    }

    /// The host without brackets and port.
    pub(super) fn hostname(&self) -> &str {
        if let Some(inner) = self.host.strip_prefix('[') {
            return inner.split(']').next().unwrap_or(inner);
        }
        self.host
            .rsplit_once(':')
            .map_or(self.host.as_str(), |(host, _)| host)
    }

    pub(super) fn port(&self) -> &str {
        let after = self.host.rsplit(']').next().unwrap_or("");
        after.rsplit_once(':').map_or("", |(_, port)| port)
    }
}

fn read_authority(authority: &str) -> Result<String, String> {
    let host = match authority.rsplit_once('@') {
        Some((user, host)) => {
            let allowed =
                |next: char| next.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(next);
            if !user.chars().all(allowed) {
                return Err("net/url: invalid userinfo".to_owned());
            }
            host
        }
        None => authority,
    };
    let port = if host.starts_with('[') {
        let (_, after) = host
            .rsplit_once(']')
            .ok_or_else(|| "missing ']' in host".to_owned())?;
        after
    } else {
        host.find(':').map_or("", |at| &host[at..])
    };
    let digits = port.strip_prefix(':');
    if !(port.is_empty()
        || digits.is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_digit())))
    {
        return Err(format!("invalid port {port:?} after host"));
    }
    if let Some(bad) = host.chars().find(|next| " \"<>\\^`{|}".contains(*next)) {
        return Err(format!(
            "invalid character {:?} in host name",
            bad.to_string()
        ));
    }
    unescape(host, false)
}

/// Text with `%xx` as bytes; in a query a plus is a blank.
fn unescape(text: &str, query: bool) -> Result<String, String> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'%' => {
                let digits = bytes
                    .get(at + 1..at + 3)
                    .and_then(|digits| std::str::from_utf8(digits).ok());
                let Some(byte) = digits.and_then(|digits| {
                    u8::from_str_radix(digits, 16)
                        .ok()
                        .filter(|_| !digits.starts_with('+'))
                }) else {
                    let shown: String = text[at..].chars().take(3).collect();
                    return Err(format!("invalid URL escape {shown:?}"));
                };
                plain.push(byte);
                at += 2;
            }
            b'+' if query => plain.push(b' '),
            byte => plain.push(byte),
        }
        at += 1;
    }
    Ok(String::from_utf8_lossy(&plain).into_owned())
}

fn escape_path(path: &str) -> String {
    let mut escaped = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@!'()*[]%".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

fn read_query(query: &str) -> BTreeMap<String, Vec<String>> {
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pair in query
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.contains(';'))
    {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if let (Ok(key), Ok(value)) = (unescape(key, true), unescape(value, true)) {
            values.entry(key).or_default().push(value);
        }
    }
    values
}
