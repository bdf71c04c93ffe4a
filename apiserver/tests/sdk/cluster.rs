//! Two servers over one stock etcd, with a relay before each that a test can cut or freeze.

use std::time::Duration;

use apiserver::{Config, Server};
use client::{Client, Credentials, Trust};
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::{CompactionRequest, RangeRequest};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tonic::transport::Endpoint;

use crate::relay::Relay;
use crate::stock;

/// Time until something that is waited for is so.
const PATIENCE: Duration = Duration::from_secs(40);
/// Pause between two looks at it.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

pub(crate) struct Cluster {
    pub(crate) relays: Vec<Relay>,
    servers: Vec<Server>,
    store: String,
    _etcd: stock::Etcd,
    files: TempDir,
    /// What the test has running.
    pub(crate) tasks: JoinSet<()>,
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !look().await {
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, looking).await;
    waited.unwrap_or_else(|_elapsed| panic!("{what}: not in {PATIENCE:?}"));
}

impl Cluster {
    pub(crate) async fn start(servers: usize) -> Cluster {
        let files = tempfile::tempdir().unwrap();
        let (etcd, store) = stock::start(files.path());
        let mut cluster = Cluster {
            relays: Vec::new(),
            servers: Vec::new(),
            store,
            _etcd: etcd,
            files,
            tasks: JoinSet::new(),
        };
        for _ in 0..servers {
            let server = cluster.server().await;
            cluster.relays.push(Relay::start(server.address).await);
            cluster.servers.push(server);
        }
        cluster
    }

    async fn server(&self) -> Server {
        let words = stock::words(self.files.path(), &self.store, &[], &[]);
        let server = Server::start(&Config::parse_words(words).unwrap())
            .await
            .unwrap();
        let feed = server.front.registry.feed.clone();
        until("the server", async || {
            let namespaces = feed.cache("/namespaces/");
            feed.is_loaded()
                && server.front.registry.resources.table().is_whole
                && namespaces.is_some_and(|all| all.get("default").is_some())
        })
        .await;
        server
    }

    /// Another server in the place of one that ends.
    pub(crate) async fn replace(&mut self, at: usize) {
        let server = self.server().await;
        self.relays[at].turn_to(server.address);
        let old = std::mem::replace(&mut self.servers[at], server);
        old.stop().await.unwrap();
    }

    /// Makes the store forget what is older than now.
    pub(crate) async fn compact(&self) {
        let endpoint = Endpoint::from_shared(self.store.clone()).unwrap();
        let mut etcd = KvClient::new(endpoint.connect().await.unwrap());
        let any = RangeRequest {
            key: "any".into(),
            ..RangeRequest::default()
        };
        let answer = etcd.range(any).await.unwrap().into_inner();
        let request = CompactionRequest {
            revision: answer.header.unwrap().revision,
            physical: true,
        };
        etcd.compact(request).await.unwrap();
    }

    fn config(&self, servers: Vec<String>) -> client::Config {
        let authority = std::fs::read(self.files.path().join("certs/apiserver.crt")).unwrap();
        let mut config = client::Config::new(servers, Trust::Authorities(authority));
        config.credentials = Credentials::Token("admin-token".to_owned());
        config
    }

    /// A client that goes through the relays.
    pub(crate) fn client(&self) -> Client {
        let relays = self.relays.iter();
        let servers = relays.map(|relay| format!("https://{}", relay.address));
        let config = self.config(servers.collect()).with_user_agent("sdk-test");
        Client::new(config).unwrap()
    }

    /// A client that no relay disturbs, of the last server.
    pub(crate) fn direct(&self) -> Client {
        let server = self.servers.last().unwrap();
        let address = format!("https://127.0.0.1:{}", server.address.port());
        Client::new(self.config(vec![address])).unwrap()
    }

    /// Runs the informers of a program.
    pub(crate) async fn run(&mut self, informers: &client::Informers) {
        for (_, running) in informers.run() {
            self.tasks.spawn(running);
        }
        let synced = tokio::time::timeout(PATIENCE, informers.synced());
        synced.await.expect("the informers are synced");
    }

    pub(crate) async fn stop(mut self) {
        self.tasks.shutdown().await;
        for relay in &self.relays {
            relay.cut();
        }
        for server in self.servers {
            server.stop().await.unwrap();
        }
    }
}
