//! Clients of one member: they write values of their own, read linearizably, and clear the space alarm.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use state_machine::{AlarmAction, AlarmChange, AlarmKind, Command, KeyRange, Put, Range};
use store::simulation::Node;
use tokio::time::sleep;

use crate::member::{Member, World};
use crate::random::Random;

const KEYS: usize = 10;
/// Rest between two operations of a client, in milliseconds.
const THINK_MIN: u64 = 20;
const THINK_MAX: u64 = 150;
/// Rest between looks at the alarm, and between tries at the end.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Runs until its member ends.
pub(crate) async fn run(node: Arc<Node>, member: Arc<Member>, world: Arc<World>) {
    let stream = |number: u64| Random::new(world.seed, (member.index as u64 + 1) * 100 + number);
    let start = member.starts() * 10;
    futures::join!(
        write(&node, &world, stream(start + 1)),
        read(&node, &member, &world, stream(start + 2)),
        clear_alarm(&node, &member),
        finish(&node, &member, &world),
    );
}

fn put(random: &mut Random, value: u64) -> Command {
    Command::Put(Put {
        key: key(random),
        value: Bytes::from(value.to_string()),
        ..Put::default()
    })
}

fn key(random: &mut Random) -> Bytes {
    Bytes::from(format!("key{}", random.below(KEYS)))
}

async fn write_once(node: &Node, world: &World, random: &mut Random) -> bool {
    let begun = world.history.begin_write();
    let command = put(random, begun.value);
    let answer = node.replica().propose(command).await;
    world
        .trace
        .note(format_args!("write {} {answer:?}", begun.value));
    world.history.end_write(&begun, &answer);
    matches!(answer, Ok(Ok(_)))
}

async fn read_once(node: &Node, member: &Member, world: &World, random: &mut Random) -> bool {
    let begun = world.history.begin_read();
    if node.replica().read_barrier().await.is_err() {
        return false;
    }
    let start = key(random);
    let range = Range {
        keys: KeyRange {
            start,
            end: Bytes::new(),
        },
        ..Range::default()
    };
    match node.replica().machine().range(&range) {
        Ok((revision, _found)) => {
            world
                .trace
                .note(format_args!("m{} reads at {revision}", member.index));
            world.history.end_read(&begun, member.index, revision);
            true
        }
        Err(rejection) => {
            world.history.violate(format!("a read failed: {rejection}"));
            false
        }
    }
}

async fn write(node: &Node, world: &World, mut random: Random) {
    while !world.is_ending() {
        sleep(random.milliseconds(THINK_MIN, THINK_MAX)).await;
        write_once(node, world, &mut random).await;
    }
}

async fn read(node: &Node, member: &Member, world: &World, mut random: Random) {
    while !world.is_ending() {
        sleep(random.milliseconds(THINK_MIN, THINK_MAX)).await;
        read_once(node, member, world, &mut random).await;
    }
}

/// Once there is room again, somebody has to say so.
async fn clear_alarm(node: &Node, member: &Member) {
    let id = node.replica().identity().member_id;
    loop {
        sleep(LOOK_INTERVAL).await;
        let alarm = (id, AlarmKind::NoSpace);
        if !member.is_full() && node.replica().machine().alarms().contains(&alarm) {
            let change = AlarmChange {
                action: AlarmAction::Deactivate,
                member: id,
                alarm: AlarmKind::NoSpace,
            };
            // Whether it worked is seen at the next look.
            _ = node.replica().propose(Command::Alarm(change)).await;
        }
    }
}

/// When all is healed, the member takes a write and reads it.
async fn finish(node: &Node, member: &Member, world: &World) {
    let mut random = Random::new(world.seed, 7);
    loop {
        sleep(LOOK_INTERVAL).await;
        if world.is_ending()
            && write_once(node, world, &mut random).await
            && read_once(node, member, world, &mut random).await
        {
            member.set_finished();
            return std::future::pending().await;
        }
    }
}
