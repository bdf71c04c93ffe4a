//! The configuration file, as kube-scheduler's users write it.

use std::time::Duration;

use scheduler::{Options, config::Configuration};

const HEAD: &str = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";

fn parse(text: &str) -> Result<Configuration, String> {
    Configuration::parse(&format!("{HEAD}{text}")).map_err(|error| error.to_string())
}

/// Names of the plugins that score, with their weights.
fn weights(configuration: &Configuration) -> Vec<(&'static str, i64)> {
    let plugins = configuration.profiles[0].plugins.iter();
    plugins
        .filter_map(|one| Some((one.plugin.name(), one.weight?)))
        .collect()
}

fn weight_of(configuration: &Configuration, name: &str) -> Option<i64> {
    weights(configuration)
        .into_iter()
        .find(|(own, _)| *own == name)
        .map(|(_, weight)| weight)
}

#[test]
fn a_file_that_says_nothing_means_the_defaults() {
    let configuration = parse("").expect("a configuration");
    assert_eq!(
        &*configuration.profiles[0].scheduler_name,
        "default-scheduler"
    );
    assert_eq!(weights(&configuration), weights(&Configuration::standard()));
    assert_eq!(weight_of(&configuration, "TaintToleration"), Some(3));
    assert_eq!(configuration.backoff.initial, Duration::from_secs(1));
    assert_eq!(configuration.backoff.max, Duration::from_secs(10));
    assert!(configuration.profiles[0].preemption.is_some());
}

#[test]
fn plugins_are_disabled_enabled_and_weighed_by_point() {
    let configuration = parse(
        "
podInitialBackoffSeconds: 2
podMaxBackoffSeconds: 20
percentageOfNodesToScore: 70
profiles:
- schedulerName: packer
  plugins:
    score:
      disabled: [{name: ImageLocality}]
      enabled: [{name: NodeResourcesFit, weight: 7}]
    filter:
      disabled: [{name: NodePorts}]
    multiPoint:
      disabled: [{name: InterPodAffinity}]
    postFilter:
      disabled: [{name: DefaultPreemption}]
  pluginConfig:
  - name: NodeResourcesFit
    args:
      scoringStrategy:
        type: RequestedToCapacityRatio
        resources: [{name: cpu, weight: 3}]
        requestedToCapacityRatio:
          shape: [{utilization: 0, score: 0}, {utilization: 100, score: 10}]
",
    )
    .expect("a configuration");
    let profile = &configuration.profiles[0];
    assert_eq!(&*profile.scheduler_name, "packer");
    assert_eq!(weight_of(&configuration, "ImageLocality"), None);
    assert_eq!(weight_of(&configuration, "NodeResourcesFit"), Some(7));
    let find = |name: &str| profile.plugins.iter().find(|one| one.plugin.name() == name);
    assert!(!find("NodePorts").expect("it is enabled elsewhere").filters);
    assert!(find("InterPodAffinity").is_none());
    assert!(profile.preemption.is_none());
    assert_eq!(profile.nodes_scored_percent, Some(70));
    assert_eq!(configuration.backoff.initial, Duration::from_secs(2));
    assert_eq!(configuration.backoff.max, Duration::from_secs(20));
}

#[test]
fn what_there_is_not_is_refused_with_its_place() {
    for (text, words) in [
        (
            "profiles: [{plugins: {multiPoint: {enabled: [{name: Nothing}]}}}]",
            "no such plugin",
        ),
        ("percentageOfNodesToScore: 101", "percentageOfNodesToScore"),
        ("podInitialBackoffSeconds: 11", "podMaxBackoffSeconds"),
        ("podInitialBackoffSeconds: 0", "podInitialBackoffSeconds"),
        (
            "profiles: [{schedulerName: a}, {schedulerName: a}]",
            "profiles[1].schedulerName",
        ),
        ("extenders: [{urlPrefix: http://x}]", "extenders"),
        (
            "profiles: [{pluginConfig: [{name: InterPodAffinity, args: {hardPodAffinityWeight: 101}}]}]",
            "InterPodAffinity",
        ),
        (
            "profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {type: Most}}}]}]",
            "scoringStrategy",
        ),
    ] {
        let error = parse(text).err().unwrap_or_default();
        assert!(error.contains(words), "{text}: {error}");
    }
    assert!(Configuration::parse("kind: Pod").is_err());
}

#[test]
fn the_share_of_nodes_that_are_looked_at_falls_as_clusters_grow() {
    let profile = &Configuration::standard().profiles[0];
    for (nodes, enough) in [(50, 50), (100, 100), (1000, 420), (5000, 500), (6000, 300)] {
        assert_eq!(profile.feasible_enough(nodes), enough, "{nodes} nodes");
    }
}

#[test]
fn flags_of_kube_scheduler_are_understood() {
    let words = [
        "--kubeconfig=/k",
        "--leader-elect=false",
        "--leader-elect-lease-duration=1m30s",
        "-v=4",
        "--authentication-kubeconfig=/k",
        "--authorization-kubeconfig=/k",
        "--bind-address=127.0.0.1",
        "--secure-port=10259",
        "--profiling",
        "--feature-gates=A=true",
    ];
    let options = Options::parse_words(words.map(str::to_owned).to_vec()).expect("flags");
    assert_eq!(options.kubeconfig, "/k");
    let election = options.election;
    assert_eq!(election.leader_elect, Some(false));
    let lease = election.leader_elect_lease_duration;
    assert_eq!(lease, Some(Duration::from_secs(90)));
    assert_eq!(options.serving.secure_port, Some(10_259));
    assert_eq!(options.verbosity, 4);
    assert!(Options::parse_words(vec!["--leader-elect-retry-period=2x".to_owned()]).is_err());
    let none = Options::parse_words(Vec::new()).expect("no flags");
    let election = Configuration::standard().election.with(&none.election);
    assert!(election.leader_elect);
    assert_eq!(election.name, "kube-scheduler");
}

#[test]
fn the_file_says_who_leads_and_where_the_apiservers_are_and_flags_about_the_lease_win() {
    let parse = |text: &str| {
        let head = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";
        Configuration::parse(&format!("{head}{text}"))
    };
    let file = parse(
        "clientConnection: {kubeconfig: /etc/k, qps: 50, burst: 100}\n\
         leaderElection: {leaderElect: false, leaseDuration: 1m, renewDeadline: 40s, resourceName: other}",
    )
    .expect("a configuration");
    assert_eq!(file.kubeconfig, "/etc/k");
    let election = &file.election;
    assert_eq!(election.lease, Duration::from_secs(60));
    assert_eq!(election.renew, Duration::from_secs(40));
    assert_eq!(election.retry, Duration::from_secs(2));
    let names = (&*election.name, &*election.namespace);
    assert_eq!(
        (election.leader_elect, names),
        (false, ("other", "kube-system"))
    );
    let words = ["--leader-elect", "--leader-elect-lease-duration=50s"];
    let flags = Options::parse_words(words.map(str::to_owned).to_vec()).expect("flags");
    let election = file.election.with(&flags.election);
    assert_eq!(election.lease, Duration::from_secs(50));
    assert!(election.leader_elect && election.name == "other");
    for (text, field) in [
        (
            "leaderElection: {retryPeriod: soon}",
            "leaderElection.retryPeriod",
        ),
        (
            "leaderElection: {resourceLock: endpoints}",
            "leaderElection.resourceLock",
        ),
        ("clientConnection: {burst: -1}", "clientConnection.burst"),
    ] {
        let error = parse(text).err().expect("a fault").to_string();
        assert!(error.contains(field), "{text}: {error}");
    }
}
