//! The apiservers over the replicas, one address in front of them, and a kubeconfig that speaks to it.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::pki::{self, Pki};
use super::plan::{Member, Plan};
use super::program::{Program, Role};

/// Addresses of services.
const SERVICE_RANGE: &str = "10.0.0.0/16";
const ISSUER: &str = "https://kubernetes.default.svc";

/// What is needed to start and to reach the apiservers.
#[derive(Debug)]
pub(super) struct Apiservers {
    pub(super) members: Vec<Apiserver>,
    /// The port in front of them; its own for a single one.
    pub(super) door_port: u16,
    pub(super) kubeconfig: PathBuf,
    pub(super) pki: Pki,
}

/// One of them.
#[derive(Debug, Clone)]
pub(super) struct Apiserver {
    pub(super) name: String,
    pub(super) port: u16,
    pub(super) log: PathBuf,
}

impl Apiservers {
    /// Takes the ports that the folder remembers, makes certificates, and writes the kubeconfig.
    pub(super) fn make(plan: &Plan) -> Result<Apiservers> {
        let ports = plan.apiserver_ports()?;
        let (door_port, ports) = match ports.as_slice() {
            [only] => (*only, vec![*only]),
            [door, ports @ ..] => (*door, ports.to_vec()),
            [] => bail!("there is no apiserver"),
        };
        let pki = Pki::in_folder(plan.data_dir.join("pki"))?;
        let members = ports.iter().zip(1..).map(|(port, number)| {
            let name = format!("apiserver{number}");
            Apiserver {
                port: *port,
                log: plan.log(&name),
                name,
            }
        });
        let kubeconfig = plan.data_dir.join("kubeconfig");
        let door = format!("https://127.0.0.1:{door_port}");
        write_kubeconfig(&kubeconfig, &pki, "admin", &door)?;
        Ok(Apiservers {
            members: members.collect(),
            door_port,
            kubeconfig,
            pki,
        })
    }

    /// One of them with its flags.
    pub(super) fn program(&self, member: &Apiserver, plan: &Plan) -> Program {
        let stores: Vec<String> = plan.members.iter().map(Member::client_url).collect();
        let file = |name: &str| self.pki.file(name).display().to_string();
        let flags = [
            ("--etcd-servers", stores.join(",")),
            ("--secure-port", member.port.to_string()),
            ("--bind-address", "127.0.0.1".to_owned()),
            ("--advertise-address", "127.0.0.1".to_owned()),
            ("--client-ca-file", file("ca.crt")),
            ("--tls-cert-file", file("apiserver.crt")),
            ("--tls-private-key-file", file("apiserver.key")),
            ("--service-account-issuer", ISSUER.to_owned()),
            ("--service-account-key-file", file("service-accounts.key")),
            (
                "--service-account-signing-key-file",
                file("service-accounts.key"),
            ),
            ("--service-cluster-ip-range", SERVICE_RANGE.to_owned()),
            ("--authorization-mode", "Node,RBAC".to_owned()),
            ("--allow-privileged", "true".to_owned()),
            ("--enable-admission-plugins", "NodeRestriction".to_owned()),
            // Nobody resolves the names of simulated nodes.
            ("--kubelet-preferred-address-types", "InternalIP".to_owned()),
        ];
        let flags = flags.map(|(flag, value)| format!("{flag}={value}"));
        Program {
            name: member.name.clone(),
            role: Role::Apiserver,
            flags: flags.to_vec(),
            log: member.log.clone(),
        }
    }
}

/// Writes a kubeconfig with everything in it, for one of the clients that there are certificates of.
pub(super) fn write_kubeconfig(path: &Path, pki: &Pki, client: &str, servers: &str) -> Result<()> {
    let encoded = |name: &str| pki.read(name).map(|bytes| STANDARD.encode(bytes));
    let text = format!(
        "apiVersion: v1
kind: Config
clusters:
- name: mainstay
  cluster:
    server: {servers}
    certificate-authority-data: {}
users:
- name: {client}
  user:
    client-certificate-data: {}
    client-key-data: {}
contexts:
- name: mainstay
  context:
    cluster: mainstay
    user: {client}
current-context: mainstay
",
        encoded("ca.crt")?,
        encoded(&format!("{client}.crt"))?,
        encoded(&format!("{client}.key"))?,
    );
    pki::write(path, text.as_bytes())
}
