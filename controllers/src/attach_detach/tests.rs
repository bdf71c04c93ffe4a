//! Where volumes are attached, when they are detached, and what is told of it.

use serde_json::json;

use super::*;

const VOLUME: &str = "pv";

/// A world of one volume, of which a test says what differs.
struct World {
    is_shared: bool,
    is_forced_in_time: bool,
    /// Pods as `node/namespace/name`.
    pods: Vec<&'static str>,
    /// Attachments as `node:state`.
    attachments: Vec<&'static str>,
    nodes: Vec<(&'static str, State)>,
    memory: Memory,
}

const WELL: State = State {
    is_mounted: false,
    is_ready: true,
    is_out_of_service: false,
    is_on_its_own: false,
};
const MOUNTED: State = State {
    is_mounted: true,
    ..WELL
};
const SILENT: State = State {
    is_ready: false,
    ..MOUNTED
};
const OUT_OF_SERVICE: State = State {
    is_out_of_service: true,
    ..SILENT
};

fn world(pods: &[&'static str], attachments: &[&'static str]) -> World {
    World {
        is_shared: false,
        is_forced_in_time: true,
        pods: pods.to_vec(),
        attachments: attachments.to_vec(),
        nodes: vec![("n1", WELL), ("n2", WELL)],
        memory: Memory::default(),
    }
}

fn attachment(text: &str) -> VolumeAttachment {
    let (node, state) = text.split_once(':').unwrap();
    let mut attachment = json!({
        "metadata": {"name": nodes::attachment_name("d", "h", node)},
        "spec": {"attacher": "d", "nodeName": node, "source": {"persistentVolumeName": VOLUME}},
        "status": {"attached": state == "attached"},
    });
    match state {
        "going" => attachment["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"),
        "attached" | "asked" => {}
        "attached by hand" => {
            attachment["metadata"]["name"] = json!("by-hand");
            attachment["status"]["attached"] = json!(true);
        }
        failure => {
            attachment["status"]["attachError"] =
                json!({"message": failure, "time": "2026-01-01T00:00:00Z"});
        }
    }
    serde_json::from_value(attachment).unwrap()
}

impl World {
    fn at(&mut self, seconds: i64) -> Vec<String> {
        let mut wanted: BTreeMap<String, Vec<Arc<Pod>>> = BTreeMap::new();
        for text in &self.pods {
            let [node, namespace, name] = text.split('/').collect::<Vec<_>>()[..] else {
                panic!("{text} is no pod");
            };
            let pod = json!({"metadata": {"namespace": namespace, "name": name}});
            let pod: Pod = serde_json::from_value(pod).unwrap();
            wanted
                .entry(node.to_owned())
                .or_default()
                .push(Arc::new(pod));
        }
        let attachments = self.attachments.iter();
        let nodes = self.nodes.iter();
        let seen = Seen {
            name: VOLUME,
            driver: "d",
            handle: "h",
            is_shared: self.is_shared,
            wanted,
            attachments: attachments.map(|text| Arc::new(attachment(text))).collect(),
            nodes: nodes
                .map(|(name, state)| ((*name).to_owned(), *state))
                .collect(),
            is_forced_in_time: self.is_forced_in_time,
            now: Timestamp::from_second(1_800_000_000 + seconds).unwrap(),
        };
        let steps = decide(&seen, &mut self.memory);
        steps.iter().map(text).collect()
    }
}

fn text(step: &Step) -> String {
    match step {
        Step::Attach { node } => format!("attach {node}"),
        Step::Detach {
            attachment,
            is_forced,
        } => {
            let how = if *is_forced { " by force" } else { "" };
            format!("detach {}{how}", attachment.spec.node_name)
        }
        Step::Tell { pod, event } => {
            let kind = if event.is_warning { "!" } else { "" };
            format!(
                "{kind}{} {}: {}",
                event.reason,
                Key::of(&**pod),
                event.message
            )
        }
        Step::Look(left) => format!("look in {}", left.as_secs()),
    }
}

#[test]
fn a_volume_goes_where_a_pod_needs_it_and_leaves_when_none_does() {
    let none: &[&str] = &[];
    for (pods, attachments, expected) in [
        (none, none, none),
        (&["n1/a/p"], none, &["attach n1"]),
        (&["n1/a/p"], &["n1:attached"], none),
        (none, &["n1:attached"], &["detach n1"]),
        (none, &["n1:asked"], &["detach n1"]),
        (none, &["n1:going"], none),
        (&["n1/a/p"], &["n1:going"], none),
    ] {
        let found = world(pods, attachments).at(0);
        assert_eq!(found, expected, "{pods:?} {attachments:?}");
    }
}

#[test]
fn a_volume_of_one_node_leaves_it_before_it_comes_to_another() {
    let mut moving = world(&["n2/a/p"], &["n1:attached"]);
    assert_eq!(
        moving.at(0),
        ["detach n1"],
        "nobody is told of a volume that leaves"
    );
    moving.attachments = vec!["n1:going"];
    assert_eq!(moving.at(1), Vec::<String>::new());
    moving.attachments = vec![];
    assert_eq!(moving.at(2), ["attach n2"]);
    let mut wanted_twice = world(&["n1/a/p", "n2/a/q"], &[]);
    let told = "!FailedAttachVolume a/q: Multi-Attach error for volume \"pv\" \
        Volume is already exclusively attached to one node and can't be attached to another";
    assert_eq!(wanted_twice.at(0), ["attach n1", told]);
}

#[test]
fn a_volume_for_all_goes_everywhere() {
    let mut shared = world(&["n1/a/p", "n2/a/q"], &["n1:attached"]);
    shared.is_shared = true;
    assert_eq!(shared.at(0), ["attach n2"]);
}

#[test]
fn pods_are_told_once_who_has_their_volume() {
    let who = |pods: &[&'static str]| {
        let mut world = world(pods, &["n1:attached"]);
        let told = world.at(0);
        assert_eq!(world.at(1), Vec::<String>::new(), "it is told again");
        let prefix = "!FailedAttachVolume a/p: Multi-Attach error for volume \"pv\" ";
        told[0].strip_prefix(prefix).unwrap().to_owned()
    };
    assert_eq!(
        who(&["n2/a/p", "n1/a/x", "n1/a/y"]),
        "Volume is already used by pod(s) x, y"
    );
    assert_eq!(
        who(&["n2/a/p", "n1/a/x", "n1/b/y"]),
        "Volume is already used by pod(s) x and 1 pod(s) in different namespaces"
    );
    assert_eq!(
        who(&["n2/a/p", "n1/b/x", "n1/b/y"]),
        "Volume is already used by 2 pod(s) in different namespaces"
    );
}

#[test]
fn a_node_that_uses_a_volume_keeps_it_until_it_is_given_up() {
    for (state, at_once, in_time) in [
        (WELL, "detach n1", "detach n1"),
        (MOUNTED, "look in 360", ""),
        (SILENT, "look in 360", "detach n1 by force"),
        (OUT_OF_SERVICE, "detach n1 by force", "detach n1 by force"),
        (State::GONE, "look in 360", "detach n1 by force"),
    ] {
        let mut world = world(&[], &["n1:attached"]);
        world.nodes = vec![("n1", state)];
        assert_eq!(world.at(0).join(","), at_once, "{state:?}");
        assert_eq!(world.at(360).join(","), in_time, "{state:?}");
    }
    let mut never = world(&[], &["n1:attached"]);
    never.nodes = vec![("n1", SILENT)];
    never.is_forced_in_time = false;
    never.at(0);
    assert_eq!(never.at(360), Vec::<String>::new());
}

#[test]
fn what_others_attached_is_theirs() {
    let mut by_hand = world(&[], &["n1:attached by hand"]);
    let mut by_its_kubelet = world(&[], &["n1:attached"]);
    let on_its_own = State {
        is_on_its_own: true,
        ..SILENT
    };
    by_its_kubelet.nodes = vec![("n1", on_its_own)];
    for seconds in [0, 360] {
        assert_eq!(by_hand.at(seconds), Vec::<String>::new());
        assert_eq!(by_its_kubelet.at(seconds), Vec::<String>::new());
    }
}

#[test]
fn a_pod_that_comes_back_stops_the_clock() {
    let mut world = world(&[], &["n1:attached"]);
    world.nodes = vec![("n1", SILENT)];
    world.at(0);
    world.pods = vec!["n1/a/p"];
    world.at(100);
    world.pods = vec![];
    assert_eq!(world.at(300), ["look in 360"]);
}

#[test]
fn pods_are_told_what_their_driver_does() {
    let mut world = world(&["n1/a/p"], &[]);
    world.at(0);
    world.attachments = vec!["n1:asked"];
    assert_eq!(world.at(20), ["look in 100"]);
    let late = "!FailedAttachVolume a/p: AttachVolume.Attach failed for volume \"pv\" : \
        timed out waiting for external-attacher of d CSI driver to attach volume h";
    assert_eq!(world.at(120), [late, "look in 120"]);
    world.attachments = vec!["n1:no space"];
    let failed = "!FailedAttachVolume a/p: AttachVolume.Attach failed for volume \"pv\" : no space";
    assert_eq!(world.at(130), [failed, "look in 120"]);
    assert_eq!(
        world.at(140),
        ["look in 110"],
        "the same failure is told once"
    );
    world.attachments = vec!["n1:attached"];
    let done = "SuccessfulAttachVolume a/p: AttachVolume.Attach succeeded for volume \"pv\" ";
    assert_eq!(world.at(150), [done]);
    assert_eq!(world.at(160), Vec::<String>::new());
    assert_eq!(world.memory, Memory::default());
}

#[test]
fn access_modes_say_how_many_nodes_may_have_a_volume() {
    let shared = |modes: &[&str]| {
        let volume = json!({"metadata": {}, "spec": {"accessModes": modes}});
        is_shared(&serde_json::from_value(volume).unwrap())
    };
    assert!(
        shared(&[]) && shared(&["ReadWriteOnce", "ReadOnlyMany"]) && shared(&["ReadWriteMany"])
    );
    assert!(!shared(&["ReadWriteOnce"]) && !shared(&["ReadWriteOncePod"]));
}

#[test]
fn a_pod_needs_its_volumes_until_nothing_of_it_runs() {
    let over = |phase: &str, is_going: bool, state: &str| {
        let mut pod = json!({
            "metadata": {},
            "status": {"phase": phase, "containerStatuses": [
                {"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": {state: {"exitCode": 0}}},
            ]},
        });
        if is_going {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        is_over(&serde_json::from_value(pod).unwrap())
    };
    assert!(!over("Running", false, "running") && !over("Running", true, "running"));
    assert!(!over("Running", false, "terminated") && over("Running", true, "terminated"));
    assert!(over("Failed", false, "running") && over("Pending", true, "waiting"));
}

#[test]
fn names_are_those_of_kubernetes() {
    let source =
        serde_json::from_value(json!({"driver": "ebs.csi.aws.com", "volumeHandle": "vol-1"}));
    let name = nodes::volume_name(&source.unwrap());
    assert_eq!(name, "kubernetes.io/csi/ebs.csi.aws.com^vol-1");
    // As `printf vol-1ebs.csi.aws.comn1 | sha256sum` has it.
    let name = nodes::attachment_name("ebs.csi.aws.com", "vol-1", "n1");
    assert_eq!(
        name,
        "csi-ddbfb4470da740e26d0871a8e7cbfaaea0fe241c682170c176b52f44abb4a3be"
    );
}

#[test]
fn a_node_is_told_what_it_has_and_keeps_what_nobody_knows() {
    let told = |known: &[&str], attached: &[&str], unknown: &[String]| {
        let known: Vec<_> = known
            .iter()
            .map(|name| json!({"name": name, "devicePath": ""}))
            .collect();
        let node = json!({"metadata": {"name": "n1"}, "status": {"volumesAttached": known}});
        let attached = attached.iter().map(|&name| name.to_owned()).collect();
        let unknown = unknown.iter().cloned().collect();
        let told = nodes::told(&serde_json::from_value(node).unwrap(), &attached, &unknown)?;
        let names: Vec<String> = told.into_iter().map(|volume| volume.name).collect();
        Some(names.join(" "))
    };
    let (a, b) = ("kubernetes.io/csi/d^a", "kubernetes.io/csi/d^b");
    let other = "kubernetes.io/iscsi/x";
    let unknown = [nodes::attachment_name("d", "a", "n1")];
    assert_eq!(told(&[], &[], &[]), None);
    assert_eq!(told(&[], &[a], &[]).as_deref(), Some(a));
    assert_eq!(told(&[a], &[a], &[]), None);
    assert_eq!(told(&[a], &[], &[]).as_deref(), Some(""));
    assert_eq!(told(&[a, other], &[b], &[]), Some(format!("{other} {b}")));
    assert_eq!(told(&[a], &[], &unknown), None);
    assert_eq!(told(&[b], &[], &unknown).as_deref(), Some(""));
}
