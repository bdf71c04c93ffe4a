//! The same etcdctl commands against every member of both clusters print the same.

use anyhow::{Result, ensure};
use interop::cluster::{Cluster, Options};
use interop::etcdctl::{SCRIPT, Session};
use interop::target::Target;

async fn clusters() -> Result<(Cluster, Cluster)> {
    let etcd = Cluster::start(&Target::etcd()?, &Options::steady_three()).await?;
    let mainstay = Cluster::start(&Target::mainstay()?, &Options::steady_three()).await?;
    Ok((etcd, mainstay))
}

fn session(cluster: &Cluster, index: usize) -> Session {
    Session::new(cluster.members[index].client_url())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_prints_the_same_on_every_member() -> Result<()> {
    let (etcd, mainstay) = clusters().await?;
    let mut differences = Vec::new();
    for index in 0..3 {
        let (mut left, mut right) = (session(&etcd, index), session(&mainstay, index));
        for line in SCRIPT.lines().filter(|line| !line.is_empty()) {
            let (wanted, found) = (left.run(line)?, right.run(line)?);
            if wanted != found {
                differences.push(format!(
                    "member {index}: etcdctl {line}\n-- etcd:\n{wanted}\n-- mainstay:\n{found}"
                ));
            }
        }
    }
    ensure!(
        differences.is_empty(),
        "{} differ:\n{}",
        differences.len(),
        differences.join("\n\n")
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_print_the_same_on_every_member() -> Result<()> {
    let (etcd, mainstay) = clusters().await?;
    let past = ["put w/a 1", "put w/b 2", "put w/a 3", "del w/b"];
    for index in 0..3 {
        let (mut left, mut right) = (session(&etcd, index), session(&mainstay, index));
        for line in past {
            assert_eq!(left.run(line)?, right.run(line)?);
        }
        for (arguments, lines) in [
            ("watch w/ --prefix --rev=2", 11),
            ("watch w/a --rev=2 --prev-kv", 8),
            ("watch w/a w/c --rev=2", 11),
        ] {
            let wanted = left.watch(arguments, lines, &[])?;
            assert_eq!(
                right.watch(arguments, lines, &[])?,
                wanted,
                "etcdctl {arguments}"
            );
        }
        let now = ("watch w/ --prefix --rev=6 --prev-kv", 3, ["put w/new x"]);
        let wanted = left.watch(now.0, now.1, &now.2)?;
        assert_eq!(right.watch(now.0, now.1, &now.2)?, wanted);
    }
    Ok(())
}

/// The hash of the history is the same on all members, and the same as etcd's.
#[tokio::test(flavor = "multi_thread")]
async fn hashes_of_the_history_are_equal() -> Result<()> {
    let (etcd, mainstay) = clusters().await?;
    for cluster in [&etcd, &mainstay] {
        let mut session = session(cluster, 0);
        for line in [
            "put h/a 1",
            "put h/b 2",
            "put h/a 3",
            "del h/b",
            "put h/c 4",
            "compaction 4",
        ] {
            let printed = session.run(line)?;
            ensure!(printed.contains(": 0\n"), "{line}: {printed}");
        }
    }
    let mut hashes = Vec::new();
    for cluster in [&etcd, &mainstay] {
        for index in 0..3 {
            let mut client = cluster.client(index).await?;
            // A linearizable read first: the member has then applied everything.
            client.get("h/a").await?;
            let request = proto::etcdserverpb::HashKvRequest { revision: 0 };
            hashes.push(client.maintenance.hash_kv(request).await?.into_inner().hash);
        }
    }
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
    Ok(())
}
