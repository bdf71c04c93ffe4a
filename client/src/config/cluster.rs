//! The configuration that a pod finds in itself.

use std::path::Path;

use super::{Config, ConfigError, Credentials, Trust};

/// Where a pod has its service account's files.
pub(super) const FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

pub(super) fn read(
    folder: &Path,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Config, ConfigError> {
    let named = |name: &str| {
        variable(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| ConfigError(format!("{name} is not set: this is no pod of a cluster")))
    };
    let host = named("KUBERNETES_SERVICE_HOST")?;
    let port = named("KUBERNETES_SERVICE_PORT")?;
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    };
    let authorities = folder.join("ca.crt");
    let authorities = std::fs::read(&authorities)
        .map_err(|error| ConfigError(format!("{}: {error}", authorities.display())))?;
    let mut config = Config::new(
        vec![format!("https://{host}:{port}")],
        Trust::Authorities(authorities),
    );
    config.credentials = Credentials::TokenFile(folder.join("token"));
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_finds_its_server_authorities_and_token() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.crt"), "PEM").unwrap();
        let read = |host: &'static str| {
            read(folder.path(), move |name| match name {
                "KUBERNETES_SERVICE_HOST" => Some(host.to_owned()),
                "KUBERNETES_SERVICE_PORT" => Some("443".to_owned()),
                _ => None,
            })
        };
        assert_eq!(read("10.0.0.1").unwrap().servers, ["https://10.0.0.1:443"]);
        assert_eq!(read("fd00::1").unwrap().servers, ["https://[fd00::1]:443"]);
        assert!(matches!(
            read("a").unwrap().credentials,
            Credentials::TokenFile(file) if file == folder.path().join("token")
        ));
        assert!(read("").is_err());
    }
}
