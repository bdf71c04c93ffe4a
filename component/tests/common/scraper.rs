//! Reads the pages of a process in this one, over TLS and believing nothing but the certificate of its folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Longest that is waited for a process.
const START_MAX: Duration = Duration::from_secs(60);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Whoever reads.
pub(crate) struct Scraper {
    certificate: PathBuf,
    pub(crate) port: u16,
}

impl Scraper {
    /// One of a process that is to serve at a free port with this certificate.
    pub(crate) fn new(certificate: impl AsRef<Path>) -> Scraper {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Scraper {
            certificate: certificate.as_ref().to_owned(),
            port: free.local_addr().unwrap().port(),
        }
    }

    /// The code and the text of a page, once the process serves.
    pub(crate) async fn get(&self, path: &str, token: &str) -> (u16, String) {
        let connecting = async {
            loop {
                match TcpStream::connect(("127.0.0.1", self.port)).await {
                    Ok(stream) => return stream,
                    Err(_not_yet) => tokio::time::sleep(PAUSE).await,
                }
            }
        };
        let stream = tokio::time::timeout(START_MAX, connecting).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut stream = self.connector().connect(name, stream).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        (code, body.to_owned())
    }

    fn connector(&self) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(&self.certificate).unwrap())
            .unwrap();
        let provider = rustls::crypto::ring::default_provider();
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }
}

/// A kubeconfig of an apiserver that is not there.
pub(crate) fn nowhere(folder: &Path) -> PathBuf {
    let file = folder.join("kubeconfig");
    let text = "apiVersion: v1\nkind: Config\ncurrent-context: x\n\
        contexts: [{name: x, context: {cluster: c, user: u}}]\n\
        clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1', insecure-skip-tls-verify: true}}]\n\
        users: [{name: u, user: {token: t}}]\n";
    std::fs::write(&file, text).unwrap();
    file
}

/// Runs a process in a thread, with flags that have it serve and wait for an apiserver that is not there, and looks at it. Then it is told to
/// stop, which must be a success.
pub(crate) fn look_at<L: Future<Output = ()>>(
    (name, more): (&str, &[&str]),
    run: impl FnOnce(Vec<String>) -> std::process::ExitCode + Send + 'static,
    look: impl FnOnce(Scraper) -> L,
) {
    let folder = tempfile::tempdir().unwrap();
    let scraper = Scraper::new(folder.path().join(format!("{name}.crt")));
    let kubeconfig = nowhere(folder.path());
    let mut words = vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--authentication-kubeconfig={}", kubeconfig.display()),
        format!("--cert-dir={}", folder.path().display()),
        format!("--secure-port={}", scraper.port),
        "--bind-address=127.0.0.1".to_owned(),
        "--authorization-always-allow-paths=/healthz,/livez,/readyz,/metrics".to_owned(),
    ];
    words.extend(more.iter().map(|&word| word.to_owned()));
    let process = std::thread::spawn(move || run(words));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(look(scraper));
    // The process has its handlers before it serves.
    let killed = std::process::Command::new("kill")
        .args(["-TERM", &std::process::id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    let ended = process.join().unwrap();
    assert_eq!(
        format!("{ended:?}"),
        format!("{:?}", std::process::ExitCode::SUCCESS)
    );
}
