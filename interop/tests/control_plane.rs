//! A whole control plane as `mainstay up` starts it: what kubectl is used to seeing happen, and what goes on when parts of it fail.
mod applications;
mod cluster;
mod healing;
mod housekeeping;
mod work;

use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use cluster::{Space, Up};
use interop::target::Target;

/// Stories that are told at a time.
const AT_ONCE: usize = 4;
type Story = fn(&Space<'_>);
/// Each is told in the namespace of its name.
const STORIES: [(&str, Story); 12] = [
    ("autoscaler", work::an_autoscaler_follows_what_pods_use),
    ("drain", housekeeping::a_drain_honours_a_budget),
    ("deployment", applications::a_deployment_rolls),
    ("statefulset", applications::a_stateful_set_keeps_its_claims),
    ("daemonset", applications::a_daemon_set_is_on_every_node),
    ("service", applications::a_service_leads_to_ready_pods),
    ("job", work::a_job_completes),
    ("indexed", work::an_indexed_job_numbers_its_pods),
    ("failing", work::a_job_fails),
    ("cronjob", work::a_cron_job_is_a_mould_for_jobs),
    (
        "cascade",
        housekeeping::owners_go_with_or_without_what_they_own,
    ),
    (
        "quota",
        housekeeping::a_quota_bounds_and_a_namespace_goes_with_all_in_it,
    ),
];

#[test]
#[ignore = "needs a kubectl, named in KUBECTL"]
fn kubectl_sees_a_cluster_at_work() {
    tell(Up::start(&[]));
}

#[test]
#[ignore = "needs a kubectl, named in KUBECTL"]
fn kubectl_sees_the_same_on_a_stock_etcd() {
    let etcd = Target::etcd().unwrap();
    let program = etcd.command().get_program().to_str().unwrap().to_owned();
    tell(Up::start(&["--store-program", &program]));
}

#[test]
#[ignore = "needs a kubectl, named in KUBECTL"]
fn kubectl_sees_the_same_of_one_process() {
    tell(Up::start(&["--one-process"]));
}

#[test]
#[ignore = "needs a kubectl, named in KUBECTL"]
fn a_cluster_goes_on_when_parts_of_it_fail() {
    let up = Up::start(&[]);
    let space = up.space("healing");
    healing::a_leader_is_killed(&space, "controllers", "kube-controller-manager");
    healing::a_leader_is_killed(&space, "scheduler", "kube-scheduler");
    healing::a_third_is_killed(&space);
    healing::a_node_fails(&space);
    up.stop();
}

fn tell(up: Up) {
    let waiting = Mutex::new(STORIES.iter().rev().collect::<Vec<_>>());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap().pop();
                    let Some((name, story)) = next else { return };
                    let from = Instant::now();
                    story(&up.space(name));
                    println!("{name}: {:.1} s", from.elapsed().as_secs_f64());
                }
            });
        }
    });
    up.stop();
}
