//! Builds the parts, starts them in order, and stops them in reverse.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use daemon::{CancellationToken, OnFailure, Tasks};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use objects::catalog::{Catalog, Resource};
use proto::api::objects_server::ObjectsServer;
use serde_json::{Map, Value};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tonic::codegen::Service;

use crate::admission::{self, Chain, Plugin};
use crate::apiservices::{ApiServices, available, trust};
use crate::authn::impersonation::Impersonation;
use crate::authn::keys::{PrivateKey, PublicKey};
use crate::authn::service_accounts::{ServiceAccountTokens, Settings};
use crate::authn::{Authenticator, Clock, FrontProxies, Options, StaticTokens};
use crate::authz::{Authorizer, Mode, Union};
use crate::cache::{Decode, Feed, Runner};
use crate::cached_objects::CachedObjects;
use crate::config::Config;
use crate::dial::Services;
use crate::objects_view::ObjectsView;
use crate::registry::{Ranges, Registry};
use crate::rest::{self, Front, Load, Outward, Pages, Peer};
use crate::served::Resources;
use crate::storage::{Endpoints, Storage, Tls};
use crate::webhook::Caller;
use crate::{advertise, aggregation, bootstrap, compaction, crd, grpc, tls};

/// Time for a handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for running requests when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// Streams of one HTTP/2 connection, as upstream's.
const STREAMS_MAX: u32 = 250;
/// How long a connection may be silent: until it asks something, and until an HTTP/2 client shows that it is still there.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// gRPC calls whose message is read or that are answered with one, at a time.
const CALLS_MAX: usize = 256;
/// Time for such a call; streams last longer once they have begun.
const CALL_TIMEOUT: Duration = Duration::from_secs(90);
/// Pause after a connection could not be taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
/// Connections that are served at a time.
const CONNECTIONS_MAX: usize = 16_384;

/// A server that listens.
pub struct Server {
    pub address: SocketAddr,
    pub front: Arc<Front>,
    tasks: Tasks,
}

impl Server {
    /// Starts a server. It answers as soon as this returns, and is ready when its caches are.
    ///
    /// # Errors
    ///
    /// If a file cannot be used or the address not be listened on.
    pub async fn start(config: &Config) -> Result<Server> {
        // The provider is that of the whole process; another part may have set it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tls = tls::server_config(config)?;
        let Parts {
            registry,
            runner,
            view,
            authorizer,
        } = parts(config)?;
        let authentication = authentication(config, &view)?;
        let address = SocketAddr::new(config.bind_address, config.secure_port);
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        let address = listener.local_addr()?;
        let advertised = SocketAddr::new(
            config.advertise_address.unwrap_or(address.ip()),
            address.port(),
        );
        let front = Arc::new(Front {
            registry: registry.clone(),
            tokens: authentication.service_accounts.clone(),
            authenticator: Arc::new(Authenticator::new(authentication)),
            authorizer,
            load: Load::new(
                config.max_requests_inflight,
                config.max_mutating_requests_inflight,
            ),
            impersonation: Impersonation::default(),
            pages: Pages::new(advertised.to_string()),
            outward: Outward::new(config)?,
            apiservices: Arc::new(ApiServices::new(config, view.clone())?),
        });
        let tasks = Tasks::new();
        tasks.spawn("feed", OnFailure::Stop, |stop| until(stop, runner.run()));
        start_loops(&tasks, &registry, view, advertised);
        let (storage, interval) = (registry.storage.clone(), config.etcd_compaction_interval);
        tasks.spawn("compaction", OnFailure::Stop, |stop| {
            until(stop, compaction::run(storage, interval))
        });
        start_passing(&tasks, &front, trust::data(config)?);
        let doors = Doors {
            rest: front.clone(),
            grpc: grpc::service(front.clone()),
            calls: Arc::new(Semaphore::new(CALLS_MAX)),
        };
        tasks.spawn("port", OnFailure::Stop, |stop| {
            until(stop, accept(listener, tls, doors))
        });
        Ok(Server {
            address,
            front,
            tasks,
        })
    }

    /// Waits until a part asks for the end.
    pub async fn stop_asked(&self) {
        self.tasks.stop_asked().await;
    }

    /// Stops the server.
    ///
    /// # Errors
    ///
    /// What failed while it ran.
    pub async fn stop(self) -> Result<()> {
        let report = self.tasks.stop(STOP_GRACE).await;
        match report.failure {
            Some(failure) => Err(anyhow!("{failure}")),
            None => Ok(()),
        }
    }
}

/// What there is before anything runs.
struct Parts {
    registry: Arc<Registry>,
    runner: Runner,
    view: Arc<dyn ObjectsView>,
    authorizer: Arc<dyn Authorizer>,
}

fn parts(config: &Config) -> Result<Parts> {
    let storage = Storage::new(endpoints(config)?);
    let resources = Arc::new(Resources::default());
    let lists = |resource: &&Resource| resource.verbs.iter().any(|verb| verb == "list");
    let mut folders: Vec<&str> = Catalog::builtin()
        .resources
        .iter()
        .filter(lists)
        .map(|resource| resource.storage.as_str())
        .collect();
    folders.sort_unstable();
    folders.dedup();
    let decode: Decode = Arc::new(|_, bytes| crate::registry::decode(bytes));
    let (feed, runner) = Feed::new(storage.clone(), &config.etcd_prefix, &folders, decode);
    let view: Arc<dyn ObjectsView> = Arc::new(CachedObjects::new(feed.clone(), resources.clone()));
    let authorizer = authorizer(config, &view)?;
    let plugins = Plugin::enabled(
        &config.enable_admission_plugins,
        &config.disable_admission_plugins,
    )
    .map_err(|why| anyhow!(why))?;
    let webhooks = Arc::new(Caller::new(Services::new(view.clone())));
    let admission = admission::Parts {
        view: view.clone(),
        storage: storage.clone(),
        resources: resources.clone(),
        prefix: config.etcd_prefix.clone(),
        authorizer: authorizer.clone(),
        webhooks: webhooks.clone(),
    };
    let services = Ranges::parse(
        &config.service_cluster_ip_range,
        &config.service_node_port_range,
    );
    let registry = Arc::new(Registry {
        storage,
        feed,
        resources,
        admission: Arc::new(Chain::new(admission, plugins)),
        authorizer: authorizer.clone(),
        webhooks,
        prefix: config.etcd_prefix.clone(),
        services: services.map_err(|why| anyhow!(why))?,
        event_ttl_seconds: u32::try_from(config.event_ttl.as_secs()).unwrap_or(u32::MAX),
    });
    Ok(Parts {
        registry,
        runner,
        view,
        authorizer,
    })
}

/// Starts what looks after objects of the server's own.
fn start_loops(
    tasks: &Tasks,
    registry: &Arc<Registry>,
    view: Arc<dyn ObjectsView>,
    advertised: SocketAddr,
) {
    let own = registry.clone();
    tasks.spawn("bootstrap", OnFailure::Stop, |stop| {
        until(stop, bootstrap::run(own, advertised.port()))
    });
    let own = registry.clone();
    tasks.spawn("advertise", OnFailure::Stop, |stop| {
        until(stop, advertise::run(own, advertised))
    });
    let own = registry.clone();
    tasks.spawn("aggregation", OnFailure::Stop, |stop| {
        until(stop, aggregation::run(own, view))
    });
    let own = registry.clone();
    tasks.spawn("custom resources", OnFailure::Stop, |stop| {
        until(stop, crd::run(own))
    });
}

/// Starts what looks after those whom requests are passed on to.
fn start_passing(tasks: &Tasks, front: &Arc<Front>, data: Map<String, Value>) {
    let passing = front.clone();
    tasks.spawn("streams", OnFailure::Stop, |stop| async move {
        passing.outward.relay.run(stop).await;
        Ok::<_, std::convert::Infallible>(())
    });
    let own = front.registry.clone();
    tasks.spawn("trust", OnFailure::Stop, |stop| {
        until(stop, trust::run(own, data))
    });
    let looking = front.clone();
    tasks.spawn("available", OnFailure::Stop, |stop| async move {
        let (own, services) = (looking.registry.clone(), looking.apiservices.clone());
        until(stop, available::run(own, services, &looking.outward.relay)).await
    });
}

/// Runs what never ends by itself until it has to stop.
async fn until(
    stop: CancellationToken,
    running: impl Future<Output = ()>,
) -> Result<(), std::convert::Infallible> {
    tokio::select! {
        () = running => {}
        () = stop.cancelled() => {}
    }
    Ok(())
}

fn endpoints(config: &Config) -> Result<Endpoints> {
    let read =
        |file: &PathBuf| fs::read(file).with_context(|| format!("cannot read {}", file.display()));
    let identity = match (&config.etcd_certfile, &config.etcd_keyfile) {
        (Some(certificate), Some(key)) => Some((read(certificate)?, read(key)?)),
        (None, None) => None,
        _ => anyhow::bail!("--etcd-certfile and --etcd-keyfile go together"),
    };
    let tls = Tls {
        ca: config.etcd_cafile.as_ref().map(read).transpose()?,
        identity,
    };
    Endpoints::new(&config.etcd_servers, &tls).map_err(|why| anyhow!(why))
}

fn authentication(config: &Config, view: &Arc<dyn ObjectsView>) -> Result<Options> {
    let static_tokens = match &config.token_auth_file {
        Some(file) => {
            let text = fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            StaticTokens::parse(&file.display().to_string(), &text).map_err(|why| anyhow!(why))?
        }
        None => StaticTokens::default(),
    };
    let modes = Mode::parse_list(&config.authorization_mode).map_err(|why| anyhow!(why))?;
    let is_open = modes.contains(&Mode::AlwaysAllow);
    let audiences = if config.api_audiences.is_empty() {
        config
            .service_account_issuer
            .iter()
            .take(1)
            .cloned()
            .collect()
    } else {
        config.api_audiences.clone()
    };
    Ok(Options {
        static_tokens,
        service_accounts: service_accounts(config, view, &audiences)?,
        front_proxies: front_proxies(config)?,
        bootstrap_secrets: config.enable_bootstrap_token_auth.then(|| view.clone()),
        // Where everybody may do everything, everybody has to say who it is.
        anonymous: config.anonymous_auth && !is_open,
        api_audiences: audiences,
        clock: Clock::system(),
    })
}

/// Whom the server believes that they ask for others.
fn front_proxies(config: &Config) -> Result<Option<FrontProxies>> {
    let Some(file) = &config.requestheader_client_ca_file else {
        return Ok(None);
    };
    let users = config.client_ca_file.as_deref().map(tls::client_verifier);
    Ok(Some(FrontProxies {
        verifier: tls::client_verifier(file)?,
        users: users.transpose()?,
        names: config.requestheader_allowed_names.clone(),
        user_headers: config.requestheader_username_headers.clone(),
        uid_headers: config.requestheader_uid_headers.clone(),
        group_headers: config.requestheader_group_headers.clone(),
        extra_prefixes: config.requestheader_extra_headers_prefix.clone(),
    }))
}

fn service_accounts(
    config: &Config,
    view: &Arc<dyn ObjectsView>,
    audiences: &[String],
) -> Result<Option<Arc<ServiceAccountTokens>>> {
    if config.service_account_issuer.is_empty() {
        return Ok(None);
    }
    let read =
        |file: &PathBuf| fs::read(file).with_context(|| format!("cannot read {}", file.display()));
    let mut keys = Vec::new();
    for file in &config.service_account_key_file {
        let found = PublicKey::parse_pem(&read(file)?)
            .map_err(|why| anyhow!("{}: {why}", file.display()))?;
        keys.extend(found);
    }
    let signing = match &config.service_account_signing_key_file {
        Some(file) => Some(
            PrivateKey::parse_pem(&read(file)?)
                .map_err(|why| anyhow!("{}: {why}", file.display()))?,
        ),
        None => None,
    };
    let settings = Settings {
        issuers: config.service_account_issuer.clone(),
        keys,
        signing,
        api_audiences: audiences.to_vec(),
        expiration_seconds_max: i64::try_from(
            config.service_account_max_token_expiration.as_secs(),
        )
        .unwrap_or(i64::MAX),
        extend_expiration: true,
        clock: Clock::system(),
    };
    Ok(Some(Arc::new(ServiceAccountTokens::new(
        settings,
        view.clone(),
    ))))
}

fn authorizer(config: &Config, view: &Arc<dyn ObjectsView>) -> Result<Arc<dyn Authorizer>> {
    let modes = Mode::parse_list(&config.authorization_mode).map_err(|why| anyhow!(why))?;
    Ok(Arc::new(Union::of_modes(&modes, view)))
}

/// The two ways in that the port has.
#[derive(Clone)]
struct Doors {
    rest: Arc<Front>,
    grpc: ObjectsServer<grpc::Api>,
    calls: Arc<Semaphore>,
}

impl Doors {
    async fn answer(
        &self,
        mut request: http::Request<Incoming>,
        peer: &Peer,
    ) -> http::Response<Either<rest::Body, tonic::body::Body>> {
        if !grpc::is_call(&request) {
            return self.rest.answer(request, peer).await.map(Either::Left);
        }
        request.extensions_mut().insert(peer.clone());
        self.call(request).await.map(Either::Right)
    }
}

impl Doors {
    /// Answers a gRPC call. Its message is read before anybody is asked who sends it, so few are read at a time, and none for long.
    async fn call(&self, request: http::Request<Incoming>) -> http::Response<tonic::body::Body> {
        let Ok(_place) = self.calls.try_acquire() else {
            return tonic::Status::resource_exhausted(
                "too many calls are being read; try again later",
            )
            .into_http();
        };
        let answering = self.grpc.clone().call(request);
        match tokio::time::timeout(CALL_TIMEOUT, answering).await {
            Ok(answer) => answer.unwrap_or_else(|never| match never {}),
            Err(_elapsed) => {
                tonic::Status::deadline_exceeded("the call was not answered in time").into_http()
            }
        }
    }
}

/// Takes connections. One that cannot be taken is one less, and no reason to end.
async fn accept(listener: TcpListener, tls: Arc<rustls::ServerConfig>, doors: Doors) {
    let acceptor = TlsAcceptor::from(tls);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = tokio_util::task::TaskTracker::new();
    loop {
        let place = places
            .clone()
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, from)) => {
                let (acceptor, doors) = (acceptor.clone(), doors.clone());
                connections.spawn(async move {
                    serve(stream, from, acceptor, doors).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, from: SocketAddr, acceptor: TlsAcceptor, doors: Doors) {
    // A connection without it is slow and works.
    let _ = stream.set_nodelay(true);
    let stream = match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%from, %error, "a handshake failed"),
        Err(_elapsed) => return tracing::debug!(%from, "a handshake took too long"),
    };
    let certificates = stream
        .get_ref()
        .1
        .peer_certificates()
        .unwrap_or_default()
        .iter()
        .map(|one| one.clone().into_owned());
    let peer = Peer {
        address: from,
        certificates: certificates.collect(),
    };
    let service = service_fn(move |request| {
        let (doors, peer) = (doors.clone(), peer.clone());
        async move { Ok::<_, std::convert::Infallible>(doors.answer(request, &peer).await) }
    });
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let stream = TokioIo::new(stream);
    let ended = if is_http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .max_concurrent_streams(STREAMS_MAX)
            .keep_alive_interval(Some(SILENCE_MAX))
            .timer(TokioTimer::new());
        builder.serve_connection(stream, service).await
    } else {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(SILENCE_MAX);
        builder
            .serve_connection(stream, service)
            .with_upgrades()
            .await
    };
    if let Err(error) = ended {
        tracing::debug!(%from, %error, "a connection ended");
    }
}
