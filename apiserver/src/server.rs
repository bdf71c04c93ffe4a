//! Builds the parts, starts them in order, and stops them in reverse.

mod files;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use daemon::{CancellationToken, OnFailure, Tasks};
use objects::catalog::{Catalog, Resource};
use serde_json::{Map, Value};
use tokio::net::TcpListener;

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
use crate::fairness::{self, Gate};
use crate::flag_files::{read, read_text};
use crate::objects_view::ObjectsView;
use crate::port::{DRAIN_MAX, Port};
use crate::registry::{Ranges, Registry};
use crate::rest::{Front, Load, Outward, Pages};
use crate::served::Resources;
use crate::storage::{Source, Storage};
use crate::usage::Agents;
use crate::webhook::Caller;
use crate::{advertise, aggregation, api_services, bootstrap, compaction, crd, tls};

/// Time for what is left when all requests are answered.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// A server that listens.
pub struct Server {
    pub address: SocketAddr,
    pub front: Arc<Front>,
    tasks: Tasks,
    /// How long it still takes connections when it says already that it is not ready.
    stop_delay: Duration,
}

impl Server {
    /// Starts a server. It answers as soon as this returns, and is ready when its caches are and what every cluster begins with
    /// is there.
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
            encryption_source,
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
        let gate = Arc::new(gate(config)?);
        let (audit, audit_writer) = files::audit(config)?.unzip();
        let outward = Arc::new(Outward::new(config)?);
        let front = Arc::new(Front {
            registry: registry.clone(),
            tokens: authentication.service_accounts.clone(),
            authenticator: Arc::new(Authenticator::new(authentication)),
            authorizer,
            load: Load::default(),
            gate: gate.clone(),
            request_timeout: config.request_timeout,
            stopping: CancellationToken::new(),
            impersonation: Impersonation::default(),
            audit,
            pages: Pages::new(advertised.to_string(), encryption_source.is_some()),
            agents: Agents::new(view.clone(), outward.clone()),
            outward,
            apiservices: Arc::new(ApiServices::new(config, view.clone())?),
        });
        let tasks = Tasks::new();
        tasks.spawn("feed", OnFailure::Stop, |stop| until(stop, runner.run()));
        start_loops(&tasks, &registry, view.clone(), advertised);
        let own = registry.clone();
        tasks.spawn("fairness", OnFailure::Stop, |stop| {
            until(stop, fairness::run(own, view, gate))
        });
        let (storage, interval) = (registry.storage.clone(), config.etcd_compaction_interval);
        tasks.spawn("compaction", OnFailure::Stop, |stop| {
            until(stop, compaction::run(storage, interval))
        });
        start_passing(&tasks, &front, trust::data(config)?);
        if let Some(source) = encryption_source {
            let encryption = registry.storage.encryption().clone();
            tasks.spawn("encryption configuration", OnFailure::Stop, |stop| {
                until(stop, async move { encryption.follow(source).await })
            });
        }
        if let Some(writer) = audit_writer {
            tasks.spawn("audit log", OnFailure::Stop, |stop| writer.run(stop));
        }
        let port = Port::new(listener, tls, front.clone(), config.goaway_chance);
        tasks.spawn("port", OnFailure::Stop, |stop| port.run(stop));
        Ok(Server {
            address,
            front,
            tasks,
            stop_delay: config.shutdown_delay_duration,
        })
    }

    /// Waits until a part asks for the end.
    pub async fn stop_asked(&self) {
        self.tasks.stop_asked().await;
    }

    /// Stops the server: it says that it is not ready, after a while it takes no more connections and ends its watches, and when all
    /// requests are answered, or after some time, it ends.
    ///
    /// # Errors
    ///
    /// What failed while it ran.
    pub async fn stop(self) -> Result<()> {
        self.front.stopping.cancel();
        tokio::time::sleep(self.stop_delay).await;
        let report = self.tasks.stop(DRAIN_MAX + STOP_GRACE).await;
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
    encryption_source: Option<Source>,
}

fn parts(config: &Config) -> Result<Parts> {
    let (encryption, encryption_source) = files::encryption(config)?;
    let storage = Storage::new(files::endpoints(config)?, encryption);
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
        allow_privileged: config.allow_privileged,
        watch_seconds_min: config.min_request_timeout,
        is_bootstrapped: AtomicBool::new(false),
        draining: CancellationToken::new(),
        event_ttl_seconds: u32::try_from(config.event_ttl.as_secs()).unwrap_or(u32::MAX),
    });
    Ok(Parts {
        registry,
        runner,
        view,
        authorizer,
        encryption_source,
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
    let (own, of_roles) = (registry.clone(), view.clone());
    tasks.spawn("aggregation", OnFailure::Stop, |stop| {
        until(stop, aggregation::run(own, of_roles))
    });
    let own = registry.clone();
    tasks.spawn("api services", OnFailure::Stop, |stop| {
        until(stop, api_services::run(own, view))
    });
    let own = registry.clone();
    tasks.spawn("custom resources", OnFailure::Stop, |stop| {
        until(stop, crd::run(own))
    });
}

/// The gate that requests pass.
fn gate(config: &Config) -> Result<Gate> {
    let (reading, writing) = (
        config.max_requests_inflight,
        config.max_mutating_requests_inflight,
    );
    if !config.enable_priority_and_fairness {
        return Ok(Gate::limits(reading, writing, config.request_timeout));
    }
    let seats = reading.saturating_add(writing);
    anyhow::ensure!(
        seats > 0,
        "invalid configuration: MaxRequestsInFlight={reading} and MaxMutatingRequestsInFlight={writing}; they must add up to something positive"
    );
    Ok(Gate::fair(seats, config.request_timeout))
}

/// Starts what looks after those whom requests are passed on to.
fn start_passing(tasks: &Tasks, front: &Arc<Front>, data: Map<String, Value>) {
    let passing = front.clone();
    tasks.spawn("streams", OnFailure::Stop, |stop| async move {
        passing.outward.relay.run(stop).await;
        Ok::<_, std::convert::Infallible>(())
    });
    let asking = front.clone();
    tasks.spawn("usage", OnFailure::Stop, |stop| async move {
        asking.agents.run(stop).await;
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

fn authentication(config: &Config, view: &Arc<dyn ObjectsView>) -> Result<Options> {
    let static_tokens = match &config.token_auth_file {
        Some(file) => {
            let text = read_text(file)?;
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
