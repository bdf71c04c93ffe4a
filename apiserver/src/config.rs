//! kube-apiserver's flags, as kubeadm and controller-runtime's envtest pass them, into one checked struct.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Parser;

/// The flags. Names and meanings are kube-apiserver's.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "mainstay apiserver",
    about = "A Kubernetes apiserver over an etcd-v3 store",
    disable_version_flag = true
)]
pub struct Config {
    /// Members of the store, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "URL", required = true)]
    pub etcd_servers: Vec<String>,
    /// What all keys begin with
    #[arg(long, default_value = "/registry", value_parser = prefix)]
    pub etcd_prefix: String,
    /// Certificate authority of the store
    #[arg(long, value_name = "FILE")]
    pub etcd_cafile: Option<PathBuf>,
    /// Certificate that is shown to the store
    #[arg(long, value_name = "FILE")]
    pub etcd_certfile: Option<PathBuf>,
    /// Key of that certificate
    #[arg(long, value_name = "FILE")]
    pub etcd_keyfile: Option<PathBuf>,
    /// Time between compactions of the store, as 5m0s; 0 leaves that to others
    #[arg(long, default_value = "5m", value_parser = duration)]
    pub etcd_compaction_interval: std::time::Duration,
    /// How long events are kept
    #[arg(long, default_value = "1h", value_parser = duration)]
    pub event_ttl: std::time::Duration,

    /// How values are sealed before they are stored: an `EncryptionConfiguration`
    #[arg(long, value_name = "FILE")]
    pub encryption_provider_config: Option<PathBuf>,
    /// Whether that file is read again when it changes
    #[arg(long, default_value = "false", num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub encryption_provider_config_automatic_reload: bool,

    /// Which requests are written down, and how much of them: a `Policy` of audit.k8s.io/v1
    #[arg(long, value_name = "FILE")]
    pub audit_policy_file: Option<PathBuf>,
    /// Where requests are written down; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub audit_log_path: Option<PathBuf>,
    /// Days that full files of that are kept; 0 is for ever
    #[arg(long, default_value_t = 0)]
    pub audit_log_maxage: u32,
    /// How many full files are kept; 0 is all
    #[arg(long, default_value_t = 0)]
    pub audit_log_maxbackup: u32,
    /// Mebibytes at which a file is full; 0 is never
    #[arg(long, default_value_t = 0)]
    pub audit_log_maxsize: u32,
    /// How an event is a line
    #[arg(long, value_enum, default_value_t = crate::audit::Format::Json)]
    pub audit_log_format: crate::audit::Format,

    /// Address to listen on
    #[arg(long, default_value = "0.0.0.0")]
    pub bind_address: IpAddr,
    /// Port for HTTPS
    #[arg(long, default_value_t = 6443)]
    pub secure_port: u16,
    /// Address that others reach this server at
    #[arg(long)]
    pub advertise_address: Option<IpAddr>,
    /// Folder for a certificate of the server's own making, where none is given
    #[arg(long, default_value = "/var/run/kubernetes")]
    pub cert_dir: PathBuf,
    /// Certificate of the server
    #[arg(long, value_name = "FILE")]
    pub tls_cert_file: Option<PathBuf>,
    /// Key of that certificate
    #[arg(long, value_name = "FILE")]
    pub tls_private_key_file: Option<PathBuf>,
    /// Whose certificates clients may show
    #[arg(long, value_name = "FILE")]
    pub client_ca_file: Option<PathBuf>,

    /// Whose certificates servers may show that stand in front and say for whom they ask
    #[arg(long, value_name = "FILE")]
    pub requestheader_client_ca_file: Option<PathBuf>,
    /// Common names of such servers; any if there are none
    #[arg(long, value_delimiter = ',')]
    pub requestheader_allowed_names: Vec<String>,
    /// Headers with the name of the user
    #[arg(long, value_delimiter = ',')]
    pub requestheader_username_headers: Vec<String>,
    /// Headers with the uid of the user
    #[arg(long, value_delimiter = ',')]
    pub requestheader_uid_headers: Vec<String>,
    /// Headers with a group of the user each
    #[arg(long, value_delimiter = ',')]
    pub requestheader_group_headers: Vec<String>,
    /// What headers begin with that have more about the user
    #[arg(long, value_delimiter = ',')]
    pub requestheader_extra_headers_prefix: Vec<String>,

    /// Whether those who say nothing are let in as anonymous
    #[arg(long, default_value = "true", num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub anonymous_auth: bool,
    /// Tokens in a file of lines `token,user,uid,"group1,group2"`
    #[arg(long, value_name = "FILE")]
    pub token_auth_file: Option<PathBuf>,
    /// Whether tokens of new nodes are good
    #[arg(long, default_value = "false", num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub enable_bootstrap_token_auth: bool,
    /// Who issues tokens of service accounts; the first makes them
    #[arg(long, value_name = "URL")]
    pub service_account_issuer: Vec<String>,
    /// Keys that tokens of service accounts are checked with
    #[arg(long, value_name = "FILE")]
    pub service_account_key_file: Vec<PathBuf>,
    /// Key that tokens of service accounts are signed with
    #[arg(long, value_name = "FILE")]
    pub service_account_signing_key_file: Option<PathBuf>,
    /// Longest life of a token
    #[arg(long, default_value = "0s", value_parser = duration)]
    pub service_account_max_token_expiration: std::time::Duration,
    /// Whom tokens are for; by default the issuer
    #[arg(long, value_delimiter = ',')]
    pub api_audiences: Vec<String>,

    /// Who decides what is allowed: AlwaysAllow, AlwaysDeny, Node, RBAC
    #[arg(long, default_value = "AlwaysAllow")]
    pub authorization_mode: String,
    /// Admission plugins to switch on
    #[arg(long, value_delimiter = ',')]
    pub enable_admission_plugins: Vec<String>,
    /// Admission plugins to switch off
    #[arg(long, value_delimiter = ',')]
    pub disable_admission_plugins: Vec<String>,
    /// Whether containers may be privileged
    #[arg(long, default_value = "false", num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub allow_privileged: bool,

    /// Certificate that is shown to the agents of nodes
    #[arg(long, value_name = "FILE")]
    pub kubelet_client_certificate: Option<PathBuf>,
    /// Key of that certificate
    #[arg(long, value_name = "FILE")]
    pub kubelet_client_key: Option<PathBuf>,
    /// Whose certificates the agents of nodes may show; without it they may be anybody
    #[arg(long, value_name = "FILE")]
    pub kubelet_certificate_authority: Option<PathBuf>,
    /// Kinds of addresses by which nodes are reached, the best first
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "Hostname,InternalDNS,InternalIP,ExternalDNS,ExternalIP"
    )]
    pub kubelet_preferred_address_types: Vec<String>,

    /// Certificate that is shown to servers of other APIs
    #[arg(long, value_name = "FILE")]
    pub proxy_client_cert_file: Option<PathBuf>,
    /// Key of that certificate
    #[arg(long, value_name = "FILE")]
    pub proxy_client_key_file: Option<PathBuf>,

    /// Addresses of services
    #[arg(long, default_value = "10.0.0.0/24")]
    pub service_cluster_ip_range: String,
    /// Ports of services on nodes
    #[arg(long, default_value = "30000-32767")]
    pub service_node_port_range: String,

    /// Whether requests share the server fairly, by flow schemas and priority levels
    #[arg(long, default_value = "true", num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub enable_priority_and_fairness: bool,
    /// Requests that read at a time; what is shared fairly is this and the next together
    #[arg(long, default_value_t = 400)]
    pub max_requests_inflight: usize,
    /// Requests that write at a time
    #[arg(long, default_value_t = 200)]
    pub max_mutating_requests_inflight: usize,
    /// Time for a request that does not watch
    #[arg(long, default_value = "1m", value_parser = duration)]
    pub request_timeout: std::time::Duration,
    /// Seconds that a watch lasts at least which says no time itself; it lasts less than twice as long
    #[arg(long, default_value_t = 1_800, value_name = "SECONDS")]
    pub min_request_timeout: u64,
    /// The chance of a client over HTTP/2 to be asked to connect anew with each of its requests, so that clients spread over servers
    #[arg(long, default_value = "0", value_parser = chance)]
    pub goaway_chance: f64,
    /// Time between the moment at which the server says that it is not ready any more, and that at which it stops listening
    #[arg(long, default_value = "0s", value_parser = duration)]
    pub shutdown_delay_duration: std::time::Duration,
    /// More is logged; 4 and above is debug
    #[arg(short = 'v', long = "v", default_value_t = 2)]
    pub verbosity: u8,
}

/// A time as Go writes it: `1h30m`, `5m0s`, `500ms`.
fn duration(text: &str) -> Result<std::time::Duration, String> {
    if text == "0" {
        return Ok(std::time::Duration::ZERO);
    }
    let nanos = objects::codec::duration::parse(text)?;
    u64::try_from(nanos)
        .map(std::time::Duration::from_nanos)
        .map_err(|_malformed| format!("{text:?} is less than nothing"))
}

/// What keys begin with: a slash before it, and none behind it.
fn prefix(text: &str) -> Result<String, std::convert::Infallible> {
    let inner = text.trim_matches('/');
    Ok(if inner.is_empty() {
        String::new()
    } else {
        format!("/{inner}")
    })
}

/// A chance of at most a fiftieth.
fn chance(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if (0.0..=0.02).contains(&number) {
        Ok(number)
    } else {
        Err("--goaway-chance can not be less than 0 or greater than 0.02".to_owned())
    }
}

impl Config {
    /// Reads a command line, the program's name not among it.
    ///
    /// # Errors
    ///
    /// What clap says of it, which is also how help is told.
    pub fn parse_words(words: Vec<String>) -> Result<Config, clap::Error> {
        Config::try_parse_from(std::iter::once("mainstay apiserver".to_owned()).chain(words))
    }
}

#[cfg(test)]
mod tests {
    use super::Config;

    fn parse(line: &str) -> Config {
        Config::parse_words(line.split_whitespace().map(str::to_owned).collect()).unwrap()
    }

    #[test]
    fn the_flags_of_envtest_are_taken() {
        let config = parse(
            "--etcd-servers=http://127.0.0.1:2379 --cert-dir=/tmp/x --client-ca-file=/tmp/ca --secure-port=1234 \
             --bind-address=127.0.0.1 --service-account-issuer=https://127.0.0.1:1234/ --service-account-key-file=/tmp/sa \
             --service-account-signing-key-file=/tmp/sa --service-cluster-ip-range=10.0.0.0/24 --allow-privileged=true \
             --authorization-mode=RBAC --disable-admission-plugins=ServiceAccount",
        );
        assert_eq!(config.secure_port, 1234);
        assert!(config.allow_privileged);
        assert_eq!(config.disable_admission_plugins, ["ServiceAccount"]);
    }

    #[test]
    fn the_command_line_of_kubeadm_is_taken() {
        let config = parse(
            "--advertise-address=10.0.2.15 --allow-privileged=true --authorization-mode=Node,RBAC --client-ca-file=/pki/ca.crt \
             --enable-admission-plugins=NodeRestriction --enable-bootstrap-token-auth=true --etcd-cafile=/pki/etcd/ca.crt \
             --etcd-certfile=/pki/etcd-client.crt --etcd-keyfile=/pki/etcd-client.key --etcd-servers=https://127.0.0.1:2379 \
             --kubelet-client-certificate=/pki/kubelet.crt --kubelet-client-key=/pki/kubelet.key \
             --kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname --proxy-client-cert-file=/pki/proxy.crt \
             --proxy-client-key-file=/pki/proxy.key --requestheader-allowed-names=front-proxy-client \
             --requestheader-client-ca-file=/pki/front.crt --requestheader-extra-headers-prefix=X-Remote-Extra- \
             --requestheader-group-headers=X-Remote-Group --requestheader-username-headers=X-Remote-User --secure-port=6443 \
             --service-account-issuer=https://kubernetes.default.svc.cluster.local --service-account-key-file=/pki/sa.pub \
             --service-account-signing-key-file=/pki/sa.key --service-cluster-ip-range=10.96.0.0/12 --tls-cert-file=/pki/s.crt \
             --tls-private-key-file=/pki/s.key",
        );
        assert!(config.allow_privileged && config.enable_bootstrap_token_auth);
        assert_eq!(config.enable_admission_plugins, ["NodeRestriction"]);
    }

    #[test]
    fn requests_have_limits_and_a_stop_its_delay() {
        let config = parse(
            "--etcd-servers a --enable-priority-and-fairness=false --max-requests-inflight=7 --max-mutating-requests-inflight 8 \
             --request-timeout=90s --min-request-timeout=60 --shutdown-delay-duration=5s",
        );
        assert!(!config.enable_priority_and_fairness);
        assert_eq!(config.max_requests_inflight, 7);
        assert_eq!(config.max_mutating_requests_inflight, 8);
        assert_eq!(config.request_timeout.as_secs(), 90);
        assert_eq!(config.min_request_timeout, 60);
        assert_eq!(config.shutdown_delay_duration.as_secs(), 5);
        assert!(parse("--etcd-servers a").enable_priority_and_fairness);
    }

    #[test]
    fn the_flags_of_nodes_and_of_other_servers_are_taken() {
        let config = parse(
            "--etcd-servers=a --kubelet-client-certificate=/c --kubelet-client-key=/k --kubelet-certificate-authority=/a \
             --kubelet-preferred-address-types=InternalIP,Hostname --proxy-client-cert-file=/p --proxy-client-key-file=/q \
             --requestheader-client-ca-file=/r --requestheader-allowed-names=front-proxy-client --requestheader-username-headers=X-Remote-User \
             --requestheader-uid-headers=X-Remote-Uid --requestheader-group-headers=X-Remote-Group --requestheader-extra-headers-prefix=X-Remote-Extra-",
        );
        assert_eq!(
            config.kubelet_preferred_address_types,
            ["InternalIP", "Hostname"]
        );
        assert_eq!(config.requestheader_allowed_names, ["front-proxy-client"]);
        assert_eq!(config.requestheader_group_headers, ["X-Remote-Group"]);
        assert!(config.kubelet_client_key.is_some() && config.proxy_client_cert_file.is_some());
    }

    #[test]
    fn keys_begin_with_one_slash_and_a_chance_is_small() {
        for (text, prefix) in [
            ("/registry", "/registry"),
            ("other", "/other"),
            ("/a/b/", "/a/b"),
            ("/", ""),
        ] {
            let config = parse(&format!("--etcd-servers a --etcd-prefix={text}"));
            assert_eq!(config.etcd_prefix, prefix);
        }
        let chance = |text: &str| {
            let words = [
                "--etcd-servers=a".to_owned(),
                format!("--goaway-chance={text}"),
            ];
            Config::parse_words(words.to_vec()).map(|config| config.goaway_chance)
        };
        assert!(chance("0.001").is_ok_and(|chance| (chance - 0.001).abs() < 1e-9));
        for text in ["-0.1", "0.03", "NaN", "often"] {
            assert!(chance(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_written_as_go_writes_them() {
        let config = parse("--etcd-servers a,b --event-ttl 1h30m --etcd-compaction-interval=0");
        assert_eq!(config.event_ttl.as_secs(), 5_400);
        assert_eq!(config.etcd_servers, ["a", "b"]);
        assert!(config.etcd_compaction_interval.is_zero());
        assert_eq!(config.kubelet_preferred_address_types[2], "InternalIP");
        assert!(
            Config::parse_words(vec!["--etcd-servers=a".into(), "--event-ttl=soon".into()])
                .is_err()
        );
    }
}
