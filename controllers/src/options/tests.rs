//! Every flag, and what does not go together.

use super::*;

fn parse(line: &str) -> Result<Options, String> {
    let words = std::iter::once("--kubeconfig=/k").chain(line.split_whitespace());
    Options::parse_words(words.map(str::to_owned).collect()).map_err(|error| error.to_string())
}

#[test]
fn the_command_line_of_kubeadm_is_taken() {
    let options = Options::parse_words(
        "--allocate-node-cidrs=true --authentication-kubeconfig=/etc/kubernetes/controller-manager.conf \
         --authorization-kubeconfig=/etc/kubernetes/controller-manager.conf --bind-address=127.0.0.1 --client-ca-file=/pki/ca.crt \
         --cluster-cidr=10.244.0.0/16,fd00::/48 --cluster-name=kubernetes --cluster-signing-cert-file=/pki/ca.crt \
         --cluster-signing-key-file=/pki/ca.key --controllers=*,bootstrap-signer-controller,token-cleaner-controller \
         --kubeconfig=/etc/kubernetes/controller-manager.conf --leader-elect=true --requestheader-client-ca-file=/pki/front.crt \
         --root-ca-file=/pki/ca.crt --service-account-private-key-file=/pki/sa.key --service-cluster-ip-range=10.96.0.0/12 \
         --use-service-account-credentials=true"
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
    )
    .unwrap();
    assert!(options.nodes.allocate_node_cidrs && options.accepted.use_service_account_credentials);
    assert_eq!(options.nodes.cluster_cidr, ["10.244.0.0/16", "fd00::/48"]);
    assert_eq!(options.controllers.len(), 3);
    let authority = options.signing.authority("kubelet-client-").unwrap();
    assert_eq!(authority.0.to_str(), Some("/pki/ca.crt"));
    assert_eq!(authority.1.to_str(), Some("/pki/ca.key"));
    assert_eq!(options.serving.secure_port, None);
    assert!(options.serving.bind_address.is_loopback());
}

#[test]
fn a_kubeconfig_is_required_and_flags_that_do_not_exist_are_told() {
    let fault = |words: &[&str]| {
        Options::parse_words(words.iter().map(|&word| word.to_owned()).collect())
            .unwrap_err()
            .to_string()
    };
    assert!(fault(&[]).contains("--kubeconfig"));
    assert!(fault(&["--kubeconfig=/k", "--node-cidr-mask=24"]).contains("--node-cidr-mask-size"));
}

#[test]
fn every_number_of_workers_has_its_flag() {
    let line = "--concurrent-deployment-syncs=31 --concurrent-replicaset-syncs=32 --concurrent-rc-syncs=33 \
        --concurrent-statefulset-syncs=34 --concurrent-daemonset-syncs=35 --concurrent-job-syncs=36 --concurrent-cron-job-syncs=37 \
        --concurrent-ttl-after-finished-syncs=38 --concurrent-endpoint-syncs=39 --concurrent-service-endpoint-syncs=40 \
        --mirroring-concurrent-service-endpoint-syncs=41 --concurrent-horizontal-pod-autoscaler-syncs=42 \
        --concurrent-ephemeralvolume-syncs=43 --concurrent-namespace-syncs=44 --concurrent-gc-syncs=45 \
        --concurrent-resource-quota-syncs=46 --concurrent-serviceaccount-token-syncs=47";
    let workers = parse(line).unwrap().workers;
    let found = [
        workers.concurrent_deployment_syncs,
        workers.concurrent_replicaset_syncs,
        workers.concurrent_rc_syncs,
        workers.concurrent_statefulset_syncs,
        workers.concurrent_daemonset_syncs,
        workers.concurrent_job_syncs,
        workers.concurrent_cron_job_syncs,
        workers.concurrent_ttl_after_finished_syncs,
        workers.concurrent_endpoint_syncs,
        workers.concurrent_service_endpoint_syncs,
        workers.mirroring_concurrent_service_endpoint_syncs,
        workers.concurrent_horizontal_pod_autoscaler_syncs,
        workers.concurrent_ephemeralvolume_syncs,
        workers.concurrent_namespace_syncs,
        workers.concurrent_gc_syncs,
        workers.concurrent_resource_quota_syncs,
        workers.concurrent_serviceaccount_token_syncs,
    ];
    let wanted: Vec<usize> = (31..=47).collect();
    assert_eq!(found[..], wanted[..]);
}

#[test]
fn times_and_amounts_of_nodes_and_autoscalers_are_read() {
    let options = parse(
        "--node-monitor-period=1s --node-monitor-grace-period=40s --node-startup-grace-period=2m --node-eviction-rate=0.5 \
         --secondary-node-eviction-rate=0.2 --unhealthy-zone-threshold=0.7 --large-cluster-size-threshold=9 --node-cidr-mask-size=26 \
         --node-cidr-mask-size-ipv6=80 --terminated-pod-gc-threshold=7 --enable-garbage-collector=false \
         --resource-quota-sync-period=1m30s --pvclaimbinder-sync-period=3s --horizontal-pod-autoscaler-sync-period=1s \
         --horizontal-pod-autoscaler-downscale-stabilization=1m --horizontal-pod-autoscaler-tolerance=0.2 \
         --horizontal-pod-autoscaler-cpu-initialization-period=4m --horizontal-pod-autoscaler-initial-readiness-delay=5s \
         --attach-detach-reconcile-sync-period=9s --disable-attach-detach-reconcile-sync --disable-force-detach-on-timeout=true \
         --service-cluster-ip-range=10.0.0.0/24 --secure-port=0 --bind-address=::1 --v=4 --cluster-signing-duration=1h",
    )
    .unwrap();
    let nodes = &options.nodes;
    assert_eq!(nodes.node_monitor_period.as_secs(), 1);
    assert_eq!(nodes.node_monitor_grace_period.as_secs(), 40);
    assert_eq!(nodes.node_startup_grace_period.as_secs(), 120);
    assert!(nodes.node_eviction_rate > 0.4 && nodes.secondary_node_eviction_rate > 0.1);
    assert!(nodes.unhealthy_zone_threshold > 0.6 && nodes.large_cluster_size_threshold == 9);
    assert_eq!(
        (nodes.node_cidr_mask_size, nodes.node_cidr_mask_size_ipv6),
        (26, 80)
    );
    assert_eq!(nodes.service_cluster_ip_range, ["10.0.0.0/24"]);
    assert_eq!(options.terminated_pod_gc_threshold, 7);
    assert!(!options.enable_garbage_collector);
    assert_eq!(options.resource_quota_sync_period.as_secs(), 90);
    assert_eq!(options.pvclaimbinder_sync_period.as_secs(), 3);
    let autoscaling = &options.autoscaling;
    assert_eq!(
        autoscaling.horizontal_pod_autoscaler_sync_period.as_secs(),
        1
    );
    assert_eq!(
        autoscaling
            .horizontal_pod_autoscaler_downscale_stabilization
            .as_secs(),
        60
    );
    assert!(autoscaling.horizontal_pod_autoscaler_tolerance > 0.15);
    assert_eq!(
        autoscaling
            .horizontal_pod_autoscaler_cpu_initialization_period
            .as_secs(),
        240
    );
    assert_eq!(
        autoscaling
            .horizontal_pod_autoscaler_initial_readiness_delay
            .as_secs(),
        5
    );
    let attaching = &options.attaching;
    assert_eq!(attaching.attach_detach_reconcile_sync_period.as_secs(), 9);
    assert!(attaching.disable_attach_detach_reconcile_sync);
    assert!(attaching.disable_force_detach_on_timeout);
    let serving = &options.serving;
    assert_eq!((serving.secure_port, options.verbosity), (Some(0), 4));
    assert!(serving.bind_address.is_ipv6());
    assert_eq!(options.signing.cluster_signing_duration.as_secs(), 3_600);
}

#[test]
fn the_lease_has_its_flags_and_their_times_must_fit() {
    let election = parse(
        "--leader-elect-lease-duration=60s --leader-elect-renew-deadline=40s --leader-elect-retry-period=5s \
         --leader-elect-resource-name=a --leader-elect-resource-namespace=b --leader-elect-resource-lock=leases",
    )
    .unwrap()
    .election();
    assert!(election.leader_elect);
    let times = [election.lease, election.renew, election.retry].map(|time| time.as_secs());
    assert_eq!(times, [60, 40, 5]);
    assert_eq!((&*election.name, &*election.namespace), ("a", "b"));
    for line in [
        "--leader-elect-lease-duration=10s",
        "--leader-elect-retry-period=9s",
        "--leader-elect-resource-lock=configmaps",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
    assert!(parse("--leader-elect=false --leader-elect-lease-duration=10s").is_ok());
}

#[test]
fn what_is_signed_needs_a_certificate_and_its_key() {
    let fault = parse("--cluster-signing-kubelet-client-cert-file=/c").unwrap_err();
    assert!(
        fault.contains("--cluster-signing-kubelet-client-key-file go together"),
        "{fault}"
    );
    let both = "--cluster-signing-cert-file=/c --cluster-signing-key-file=/k";
    for part in [
        "kubelet-serving",
        "kubelet-client",
        "kube-apiserver-client",
        "legacy-unknown",
    ] {
        let own =
            format!("--cluster-signing-{part}-cert-file=/o --cluster-signing-{part}-key-file=/p");
        let signing = parse(&own).unwrap().signing;
        assert_eq!(
            signing.authority(&format!("{part}-")).unwrap().0.to_str(),
            Some("/o")
        );
        assert!(signing.authority("").is_none());
        assert!(parse(&format!("{both} {own}")).is_err(), "{part}");
    }
}

#[test]
fn unknown_controllers_are_told() {
    let fault = parse("--controllers=*,-foo").unwrap_err();
    assert!(
        fault.contains("\"foo\" is not in the list of known controllers"),
        "{fault}"
    );
    assert!(parse("--controllers=-namespace,*").is_ok());
}

#[test]
fn flags_that_change_nothing_are_taken() {
    let options = parse(
        "--authentication-kubeconfig=/a --authorization-kubeconfig=/b --client-ca-file=/c --requestheader-client-ca-file=/d \
         --cluster-name=e --enable-hostpath-provisioner=true --profiling=false --use-service-account-credentials",
    )
    .unwrap();
    let (accepted, serving) = (options.accepted, options.serving);
    assert!(accepted.enable_hostpath_provisioner);
    assert_eq!(serving.accepted.profiling, Some(false));
    assert!(accepted.use_service_account_credentials);
    assert_eq!(accepted.cluster_name, "e");
    let files = [
        serving.authentication_kubeconfig,
        serving.authorization_kubeconfig,
        serving.accepted.client_ca_file,
        serving.accepted.requestheader_client_ca_file,
    ];
    assert!(files.iter().all(Option::is_some));
}
