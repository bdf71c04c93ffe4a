//! What is said once the cluster serves: where it is, and what to try with it.

use super::apiservers::Apiservers;
use super::plan::Plan;
use super::screen::Screen;
use super::starter::Running;
use super::watch::ClusterState;

/// Where the cluster is and what to do with it.
pub(super) fn introduce(screen: &Screen, plan: &Plan, stores: &[Running], state: &ClusterState) {
    screen.say("");
    screen.say("The cluster serves clients of etcd's v3 API:");
    for (member, store) in plan.members.iter().zip(stores) {
        let process = store.process().map_or("-".to_owned(), |id| id.to_string());
        screen.say(&format!(
            "  {:10} {}   process {process}, log {}",
            member.name,
            member.client_url(),
            store.log().display()
        ));
    }
    let endpoints: Vec<String> = plan
        .members
        .iter()
        .map(|member| format!("127.0.0.1:{}", member.client_port))
        .collect();
    let program =
        std::env::current_exe().map_or("mainstay".to_owned(), |path| path.display().to_string());
    let leader = state.leader.map(|index| &stores[index]);
    screen.say("");
    screen.say("To try in another terminal:");
    screen.say(&format!(
        "  export ETCDCTL_API=3 ETCDCTL_ENDPOINTS={}",
        endpoints.join(",")
    ));
    screen.say(&format!(
        "  1. {program} ctl put greeting hello    (or etcdctl put greeting hello)"
    ));
    screen.say(&format!("  2. {program} ctl watch greeting --rev 1"));
    match leader.map(|leader| (leader, leader.process())) {
        // Its end would be that of everything.
        Some((Running::Inside { .. }, _)) => {}
        Some((Running::Process(_), Some(id))) => screen.say(&format!(
            "  3. kill -9 {id}    ends the leader: another one leads, and this one comes back"
        )),
        _ => screen.say("  3. kill -9 one of the processes: it comes back"),
    }
}

/// What to do with the control plane.
pub(super) fn introduce_apiservers(screen: &Screen, apiservers: &Apiservers, acts: bool) {
    screen.say("");
    if let [only] = apiservers.members.as_slice() {
        screen.say(&format!(
            "Kubernetes' API is at https://127.0.0.1:{}",
            only.port
        ));
    } else {
        screen.say(&format!(
            "Kubernetes' API is at https://127.0.0.1:{}, with three apiservers behind it:",
            apiservers.door_port
        ));
        for member in &apiservers.members {
            screen.say(&format!(
                "  {:10} https://127.0.0.1:{}   log {}",
                member.name,
                member.port,
                member.log.display()
            ));
        }
    }
    screen.say("");
    screen.say("To try with kubectl:");
    screen.say(&format!(
        "  export KUBECONFIG={}",
        apiservers.kubeconfig.display()
    ));
    screen.say("  1. kubectl create deployment web --image=nginx --replicas=6");
    screen.say(if acts {
        "  2. kubectl get pods -o wide --watch    (nodes are simulated: pods run in name only)"
    } else {
        "  2. kubectl get deployments,namespaces --all-namespaces"
    });
    screen.say("  3. kubectl explain deployment.spec.strategy");
    if !is_on_path("kubectl") {
        screen.say("  There is no kubectl on this machine: https://kubernetes.io/docs/tasks/tools tells how to get it.");
    }
}

/// Whether a program is found by its name.
fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
