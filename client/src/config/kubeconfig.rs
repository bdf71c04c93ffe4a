//! Kubeconfigs: the cluster and the user of the current context.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_yaml_ng::Value;

use super::{Config, ConfigError, Credentials, Trust};

#[derive(Deserialize)]
struct File {
    #[serde(default, rename = "current-context")]
    current_context: String,
    #[serde(default)]
    clusters: Vec<NamedCluster>,
    #[serde(default)]
    users: Vec<NamedUser>,
    #[serde(default)]
    contexts: Vec<NamedContext>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default)]
    user: User,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    #[serde(default)]
    user: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
    tls_server_name: Option<String>,
    proxy_url: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct User {
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    username: Option<String>,
    exec: Option<Value>,
    auth_provider: Option<Value>,
    #[serde(rename = "as")]
    impersonated: Option<String>,
}

pub(super) fn read(path: &Path) -> Result<Config, ConfigError> {
    let refuse = |why: String| ConfigError(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    parse(&text, folder).map_err(|error| refuse(error.0))
}

fn parse(text: &str, folder: &Path) -> Result<Config, ConfigError> {
    let file: File =
        serde_yaml_ng::from_str(text).map_err(|error| ConfigError(error.to_string()))?;
    let current = &file.current_context;
    let context = file
        .contexts
        .into_iter()
        .find(|named| named.name == *current)
        .ok_or_else(|| ConfigError(format!("there is no context {current:?}")))?
        .context;
    let cluster = file
        .clusters
        .into_iter()
        .find(|named| named.name == context.cluster)
        .ok_or_else(|| ConfigError(format!("there is no cluster {:?}", context.cluster)))?
        .cluster;
    let user = match context.user.as_str() {
        "" => User::default(),
        name => {
            file.users
                .into_iter()
                .find(|named| named.name == name)
                .ok_or_else(|| ConfigError(format!("there is no user {name:?}")))?
                .user
        }
    };
    if cluster.proxy_url.is_some() {
        return Err(ConfigError("proxy-url is not supported".to_owned()));
    }
    let mut config =
        Config::new(Vec::new(), trust(&cluster, folder)?).with_servers(&cluster.server);
    config.server_name = cluster.tls_server_name;
    config.credentials = credentials(user, folder)?;
    Ok(config)
}

fn trust(cluster: &Cluster, folder: &Path) -> Result<Trust, ConfigError> {
    let data = cluster.certificate_authority_data.as_deref();
    let authorities = bytes(data, cluster.certificate_authority.as_deref(), folder)?;
    match (authorities, cluster.insecure_skip_tls_verify) {
        (None, true) => Ok(Trust::Anybody),
        (Some(authorities), false) => Ok(Trust::Authorities(authorities)),
        (Some(_), true) => Err(ConfigError(
            "a certificate authority is named, and insecure-skip-tls-verify set: one of them is a mistake".to_owned(),
        )),
        (None, false) => Err(ConfigError("no certificate authority is named".to_owned())),
    }
}

fn credentials(user: User, folder: &Path) -> Result<Credentials, ConfigError> {
    let unsupported = [
        ("exec", user.exec.is_some()),
        ("auth-provider", user.auth_provider.is_some()),
        ("username", user.username.is_some()),
        ("as", user.impersonated.is_some()),
    ];
    if let Some((name, _)) = unsupported.iter().find(|(_, is_set)| *is_set) {
        return Err(ConfigError(format!("{name} of a user is not supported")));
    }
    if let Some(file) = user.token_file {
        return Ok(Credentials::TokenFile(folder.join(file)));
    }
    if let Some(token) = user.token.filter(|token| !token.is_empty()) {
        return Ok(Credentials::Token(token));
    }
    let data = user.client_certificate_data.as_deref();
    let certificate = bytes(data, user.client_certificate.as_deref(), folder)?;
    let data = user.client_key_data.as_deref();
    let key = bytes(data, user.client_key.as_deref(), folder)?;
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Credentials::Certificate { certificate, key }),
        (None, None) => Ok(Credentials::Anonymous),
        _ => Err(ConfigError(
            "a certificate and its key belong together".to_owned(),
        )),
    }
}

/// What is given in base64, or else in a file.
fn bytes(
    data: Option<&str>,
    file: Option<&Path>,
    folder: &Path,
) -> Result<Option<Vec<u8>>, ConfigError> {
    if let Some(data) = data.filter(|data| !data.is_empty()) {
        let decoded = STANDARD.decode(data);
        return decoded
            .map(Some)
            .map_err(|error| ConfigError(format!("base64: {error}")));
    }
    let Some(file) = file.filter(|file| !file.as_os_str().is_empty()) else {
        return Ok(None);
    };
    let file = folder.join(file);
    std::fs::read(&file)
        .map(Some)
        .map_err(|error| ConfigError(format!("{}: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kubeconfig of one cluster and one user, with more lines for each.
    fn config(cluster: &str, user: &str) -> Result<Config, ConfigError> {
        let text = format!(
            "current-context: x\ncontexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n\
             clusters: [{{name: c, cluster: {{server: 'https://a:1', {cluster}}}}}]\n\
             users: [{{name: u, user: {{{user}}}}}]"
        );
        parse(&text, Path::new("/nowhere"))
    }

    const INSECURE: &str = "insecure-skip-tls-verify: true";

    #[test]
    fn the_current_context_says_who_and_where() {
        let read = config(
            "certificate-authority-data: UEVN, tls-server-name: n",
            "token: t",
        )
        .unwrap();
        assert_eq!(read.servers, ["https://a:1"]);
        assert_eq!(read.server_name.as_deref(), Some("n"));
        assert!(matches!(read.trust, Trust::Authorities(pem) if pem == b"PEM"));
        assert!(matches!(read.credentials, Credentials::Token(token) if token == "t"));
        let read = config(
            INSECURE,
            "client-certificate-data: UEVN, client-key-data: UEVN",
        )
        .unwrap();
        assert!(matches!(read.trust, Trust::Anybody));
        assert!(matches!(read.credentials, Credentials::Certificate { .. }));
        let read = config(INSECURE, "tokenFile: t").unwrap();
        assert!(
            matches!(&read.credentials, Credentials::TokenFile(file) if file == Path::new("/nowhere/t"))
        );
        let read = read.with_servers("https://b:1, https://c:1,");
        assert_eq!(read.servers, ["https://b:1", "https://c:1"]);
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for (cluster, user, why) in [
            ("a: b", "token: t", "no certificate authority"),
            ("certificate-authority: f", "token: t", "/nowhere/f"),
            (
                "certificate-authority-data: UEVN, insecure-skip-tls-verify: true",
                "token: t",
                "mistake",
            ),
            (INSECURE, "exec: {command: c}", "exec"),
            (INSECURE, "username: u", "username"),
            (INSECURE, "client-certificate-data: UEVN", "belong together"),
            (INSECURE, "client-certificate-data: '!'", "base64"),
        ] {
            let refused = config(cluster, user).unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
        }
        let none = parse("current-context: y", Path::new(".")).unwrap_err();
        assert!(none.to_string().contains("no context \"y\""));
    }
}
