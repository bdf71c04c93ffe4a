//! URLs as etcd's flags take them: scheme, host and port, and nothing behind them.

use std::fmt;

/// `http://host:port` or `https://host:port`. Ordered by its text, as etcd sorts URLs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Url {
    text: String,
    is_secure: bool,
    host: String,
    port: u16,
}

/// The texts are etcd's own where etcd has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error("URL scheme must be http, https, unix, or unixs: {0}")]
    Scheme(String),
    #[error("URL address does not have the form \"host:port\": {0}")]
    Address(String),
    #[error("URL must not contain a path: {0}")]
    Path(String),
    #[error("invalid port in URL: {0}")]
    Port(String),
    #[error("unix sockets are not available in this build: {0}")]
    UnixSocket(String),
}

impl Url {
    /// Spaces around the text are passed over.
    pub fn parse(text: &str) -> Result<Url, UrlError> {
        let text = text.trim();
        let whole = || text.to_owned();
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(UrlError::Scheme(whole()));
        };
        let is_secure = match scheme {
            "http" => false,
            "https" => true,
            "unix" | "unixs" => return Err(UrlError::UnixSocket(whole())),
            _ => return Err(UrlError::Scheme(whole())),
        };
        let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(authority_end);
        let (host, port) = split_host_port(authority).ok_or_else(|| UrlError::Address(whole()))?;
        if !path.is_empty() {
            return Err(UrlError::Path(whole()));
        }
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| digits);
        let port = port.ok_or_else(|| UrlError::Port(whole()))?;
        Ok(Url {
            text: whole(),
            is_secure,
            host: host.to_owned(),
            port,
        })
    }

    /// A list with commas between, in order of the texts.
    pub fn parse_list(text: &str) -> Result<Vec<Url>, UrlError> {
        let mut urls = text
            .split(',')
            .map(Url::parse)
            .collect::<Result<Vec<_>, _>>()?;
        urls.sort();
        Ok(urls)
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The texts of a list, as members are told them.
    pub fn texts(urls: &[Url]) -> Vec<String> {
        urls.iter().map(Url::to_string).collect()
    }

    /// Whether it is spoken to in TLS.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Name or address; an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// The texts with commas between.
pub(super) fn join(urls: &[Url]) -> String {
    let texts: Vec<&str> = urls.iter().map(Url::as_str).collect();
    texts.join(",")
}

fn split_host_port(authority: &str) -> Option<(&str, &str)> {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once("]:");
    }
    let (host, port) = authority.rsplit_once(':')?;
    (!host.contains([':', '@', ']'])).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_urls_give_host_and_port() {
        for (text, host, port) in [
            ("http://127.0.0.1:2379", "127.0.0.1", 2379),
            (" http://localhost:1 ", "localhost", 1),
            ("http://[::1]:65535", "::1", 65535),
            ("http://:80", "", 80),
            ("https://a:2379", "a", 2379),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(url.is_secure(), text.starts_with("https"), "{text}");
            assert_eq!((url.host(), url.port()), (host, port), "{text}");
            assert_eq!(url.to_string(), text.trim());
        }
    }

    #[test]
    fn bad_urls_are_refused_with_etcds_texts() {
        for (text, error) in [
            (
                "localhost:1",
                "URL scheme must be http, https, unix, or unixs: localhost:1",
            ),
            ("", "URL scheme must be http, https, unix, or unixs: "),
            (
                "ftp://a:1",
                "URL scheme must be http, https, unix, or unixs: ftp://a:1",
            ),
            (
                "http://a",
                "URL address does not have the form \"host:port\": http://a",
            ),
            (
                "http://::1:2",
                "URL address does not have the form \"host:port\": http://::1:2",
            ),
            ("http://a:1/x", "URL must not contain a path: http://a:1/x"),
            ("http://a:1/", "URL must not contain a path: http://a:1/"),
            ("http://a:65536", "invalid port in URL: http://a:65536"),
            ("http://a:+1", "invalid port in URL: http://a:+1"),
            (
                "unix://a:1",
                "unix sockets are not available in this build: unix://a:1",
            ),
        ] {
            assert_eq!(Url::parse(text).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn a_list_is_sorted() {
        let urls = Url::parse_list("http://b:1,http://a:1").unwrap();
        assert_eq!(join(&urls), "http://a:1,http://b:1");
        assert!(Url::parse_list("http://b:1,").is_err());
    }
}
