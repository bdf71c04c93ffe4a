//! What `mainstay ctl` has beside plain requests: transactions as they are entered, watches in a dialogue, mirrors, checks,
//! completion, and files that are hashed. Beside etcdctl where it prints the same each time.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use interop::cluster::{Cluster, Options, POLL_INTERVAL, READY_TIMEOUT};
use interop::target::{Target, etcdctl};
use proto::etcdserverpb::RangeRequest;
use tokio::time::{Instant, sleep};

/// A client program, and what stands before its command.
#[derive(Clone)]
struct Client {
    program: PathBuf,
    subcommand: Option<&'static str>,
}

/// How a command ended: exit code, output, the last line of the complaint.
type Ended = (Option<i32>, String, String);

impl Client {
    fn ours() -> Result<Client> {
        Ok(Client {
            program: Target::mainstay()?.command().get_program().into(),
            subcommand: Some("ctl"),
        })
    }

    fn etcdctl() -> Result<Client> {
        Ok(Client {
            program: etcdctl()?,
            subcommand: None,
        })
    }

    fn spawn(&self, url: &str, words: &[&str]) -> Result<Child> {
        let child = Command::new(&self.program)
            .args(self.subcommand)
            .args(words)
            .env("ETCDCTL_API", "3")
            .env("ETCDCTL_ENDPOINTS", url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        child.with_context(|| format!("starting {}", self.program.display()))
    }

    fn run(&self, url: &str, words: &[&str], input: &str) -> Result<Ended> {
        let mut child = self.spawn(url, words)?;
        let mut stdin = child.stdin.take().context("a piped input")?;
        // Whoever complains of a line reads no further.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output()?;
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok((
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            // Newer ones log in JSON.
            complaint
                .lines()
                .rfind(|line| !line.starts_with('{'))
                .unwrap_or_default()
                .to_owned(),
        ))
    }
}

async fn one(target: &Target) -> Result<Cluster> {
    let options = Options {
        in_memory: true,
        ..Options::default()
    };
    Cluster::start(target, &options).await
}

/// What is entered into `txn`, with and without a complaint.
const TRANSACTIONS: &[&str] = &[
    "mod(\"k\") = \"0\"\n\nput k \"a\\tb\\\"c\\x41\\u00e9\"\nput single it's\nget k\n\n\n",
    "value(\"k\") = \"a\\tb\\\"cA\u{e9}\"\n\nget single\n\nget nothing\n\n",
    "ver(\"k\") > \"0\" and more\n\nget \"\\153\"\n\n\n",
    "c(`k`) > \"0\"\n\ndel k --prev-kv\n\n\n",
    "\n\nput open \"quote\n\n",
    "\nput \"\\xff\\x00\" \"\\a\\b\\f\\v\\r\"\nget \"\\xff\\x00\"\n\n\n",
    "\nget \"\" --prefix --keys-only\n\n\n",
    "mod(k) = \"0\"\n\n\n\n",
    "mod(\"k\")=\"0\"\n\n\n\n",
    "mod(\"k\") = 0\n\n\n\n",
    "mod(\"k\\q\") = \"0\"\n\n\n\n",
    "mod(\"k\") = \"x\"\n\n\n\n",
    "mod k\n\n\n\n",
    "size(\"k\") = \"0\"\n\n\n\n",
    "\nput \"\\q\" a\n\n\n",
    "\nput k \"\\400\"\n\n\n",
    "\nget\n\n\n",
    "\nlock k\n\n\n",
    "\nget k --nope\n\n\n",
    "\nput cut off\n",
    "",
];

/// etcdctl 3.4 cuts words in single quotation marks at a wrong place.
const SINGLE_QUOTES: &[&str] = &[
    "\nput 'a \\n b' 'it is'\nget 'a \\n b'\n\n\n",
    "\nput 'open a\nget '' --prefix\n\n\n",
];

async fn transactions(theirs: &Client, inputs: &[&str]) -> Result<()> {
    let target = Target::mainstay()?;
    let (there, here) = (one(&target).await?, one(&target).await?);
    let ours = Client::ours()?;
    for input in inputs {
        let wanted = theirs.run(&there.members[0].client_url(), &["txn"], input)?;
        let found = ours.run(&here.members[0].client_url(), &["txn"], input)?;
        assert_eq!(found, wanted, "{input:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_are_read_as_etcdctl_reads_them() -> Result<()> {
    transactions(&Client::etcdctl()?, TRANSACTIONS).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an etcdctl of 3.6, named by NEWER_ETCDCTL_BIN"]
async fn transactions_are_read_as_a_newer_etcdctl_reads_them() -> Result<()> {
    let program = std::env::var_os("NEWER_ETCDCTL_BIN").context("NEWER_ETCDCTL_BIN")?;
    let theirs = Client {
        program: program.into(),
        subcommand: None,
    };
    transactions(&theirs, &[TRANSACTIONS, SINGLE_QUOTES].concat()).await
}

/// Lines that a dialogue prints, until one that is waited for.
struct Dialogue {
    child: Child,
    input: std::process::ChildStdin,
    output: std::io::Lines<BufReader<std::process::ChildStdout>>,
    seen: Vec<String>,
}

impl Dialogue {
    fn begin(mut child: Child) -> Result<Dialogue> {
        let input = child.stdin.take().context("a piped input")?;
        let output = child.stdout.take().context("a piped output")?;
        Ok(Dialogue {
            child,
            input,
            output: BufReader::new(output).lines(),
            seen: Vec::new(),
        })
    }

    fn enter(&mut self, line: &str) -> Result<()> {
        Ok(writeln!(self.input, "{line}")?)
    }

    fn read_until(&mut self, last: &str) -> Result<()> {
        loop {
            let line = self.output.next().context("the output ended")??;
            let is_last = line.starts_with(last);
            self.seen.push(line);
            if is_last {
                return Ok(());
            }
        }
    }

    /// Ends the input; everything that was printed, and how it ended.
    fn end(mut self) -> Result<(Vec<String>, Option<i32>, Vec<String>)> {
        drop(self.input);
        let rest: Result<Vec<String>, _> = self.output.collect();
        self.seen.extend(rest?);
        let complaints = self.child.stderr.take().context("a piped complaint")?;
        let complaints: Result<Vec<String>, _> = BufReader::new(complaints).lines().collect();
        Ok((self.seen, self.child.wait()?.code(), complaints?))
    }
}

/// The events come one after the other: each is waited for before the next is made.
async fn dialogue(client: &Client) -> Result<(Vec<String>, Option<i32>, Vec<String>)> {
    let cluster = one(&Target::mainstay()?).await?;
    let mut writer = cluster.client(0).await?;
    let url = cluster.members[0].client_url();
    let mut watch = Dialogue::begin(client.spawn(&url, &["watch", "-i"])?)?;
    writer.put("a", "old").await?;
    for line in [
        "",
        "watch",
        "look a",
        "watch a b --prefix",
        "watch a --rev=2",
    ] {
        watch.enter(line)?;
    }
    watch.read_until("old")?;
    watch.enter("watch \"b \\\"x\" --prefix --prev-kv --rev=3 -- echo ran")?;
    writer.put("b \"xy", "first").await?;
    watch.read_until("ran")?;
    writer.put("a", "new").await?;
    watch.read_until("new")?;
    watch.enter("progress")?;
    watch.read_until("progress notify: 4")?;
    let (mut printed, code, complaints) = watch.end()?;
    // etcdctl hands an answer about all watches of a stream to each of them, and may be gone before each has printed it.
    printed.dedup();
    let complaints = complaints.iter().map(|line| line.to_lowercase());
    Ok((printed, code, complaints.collect()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialogue_of_watches_goes_as_with_etcdctl() -> Result<()> {
    let wanted = dialogue(&Client::etcdctl()?).await?;
    let found = dialogue(&Client::ours()?).await?;
    assert_eq!(found, wanted);
    Ok(())
}

/// Every key with its value.
async fn all(client: &mut interop::client::Client) -> Result<Vec<(String, String)>> {
    let request = RangeRequest {
        key: "\0".into(),
        range_end: "\0".into(),
        ..Default::default()
    };
    let found = client.kv.range(request).await?.into_inner().kvs;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let pairs = found
        .iter()
        .map(|pair| (text(&pair.key), text(&pair.value)));
    Ok(pairs.collect())
}

async fn wait_for(client: &mut interop::client::Client, wanted: &[(&str, &str)]) -> Result<()> {
    let wanted: Vec<_> = wanted
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let deadline = Instant::now() + READY_TIMEOUT;
    loop {
        let found = all(client).await?;
        if found == wanted {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < deadline, "{found:?} is not {wanted:?}");
        sleep(POLL_INTERVAL).await;
    }
}

/// Whatever makes the mirror, and wherever to.
async fn mirrored(client: &Client, to: &Target, more: &[&str]) -> Result<()> {
    let source = one(&Target::mainstay()?).await?;
    let copy = one(to).await?;
    let mut here = source.client(0).await?;
    let mut there = copy.client(0).await?;
    for (key, value) in [("app/a", "1"), ("app/b", "2"), ("other", "3")] {
        here.put(key, value).await?;
    }
    let destination = format!("127.0.0.1:{}", copy.members[0].client_port);
    let url = source.members[0].client_url();
    let words = [
        "make-mirror",
        "--prefix=app/",
        "--dest-prefix=copy/",
        &destination,
    ];
    let mut mirror = client.spawn(&url, &[&words, more].concat())?;
    wait_for(&mut there, &[("copy/a", "1"), ("copy/b", "2")]).await?;
    here.put("app/a", "4").await?;
    here.put("app/c", "5").await?;
    here.delete_prefix("app/b").await?;
    here.put("other", "6").await?;
    wait_for(&mut there, &[("copy/a", "4"), ("copy/c", "5")]).await?;
    // A revision with more operations than a transaction there may have.
    let puts: Vec<String> = (0..5).map(|n| format!("put app/{n} x\n")).collect();
    let many = format!("\n{}\n\n", puts.concat());
    let (code, _, complaint) = Client::ours()?.run(&url, &["txn"], &many)?;
    assert_eq!(code, Some(0), "{complaint}");
    here.delete_prefix("app/a").await?;
    here.delete_prefix("app/c").await?;
    let names: Vec<String> = (0..5).map(|n| format!("copy/{n}")).collect();
    let wanted: Vec<_> = names.iter().map(|name| (name.as_str(), "x")).collect();
    wait_for(&mut there, &wanted).await?;
    mirror.kill()?;
    mirror.wait()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_follows_its_source() -> Result<()> {
    let few = ["--max-txn-ops=2"];
    mirrored(&Client::ours()?, &Target::mainstay()?, &few).await?;
    mirrored(&Client::ours()?, &Target::etcd()?, &few).await
}

#[tokio::test(flavor = "multi_thread")]
async fn etcdctl_makes_the_same_mirror() -> Result<()> {
    mirrored(&Client::etcdctl()?, &Target::mainstay()?, &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_without_prefixes_and_from_a_revision() -> Result<()> {
    let target = Target::mainstay()?;
    let (source, copy) = (one(&target).await?, one(&target).await?);
    let (mut here, mut there) = (source.client(0).await?, copy.client(0).await?);
    here.put("app/a", "1").await?;
    here.put("app/b", "2").await?;
    let url = source.members[0].client_url();
    let destination = copy.members[0].client_url();
    let ours = Client::ours()?;
    let both = ["make-mirror", "--dest-prefix=x", "--no-dest-prefix", "x"];
    let (code, _, complaint) = ours.run(&url, &both, "")?;
    assert_eq!(code, Some(128), "{complaint}");
    let words = ["make-mirror", "--rev=3", &destination];
    let mut whole = ours.spawn(&url, &words)?;
    wait_for(&mut there, &[("app/b", "2")]).await?;
    let words = [
        "make-mirror",
        "--prefix=app/",
        "--no-dest-prefix",
        &destination,
    ];
    let mut bare = ours.spawn(&url, &words)?;
    wait_for(&mut there, &[("a", "1"), ("app/b", "2"), ("b", "2")]).await?;
    for child in [&mut whole, &mut bare] {
        child.kill()?;
        child.wait()?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_judge_and_leave_nothing() -> Result<()> {
    let cluster = one(&Target::mainstay()?).await?;
    let url = cluster.members[0].client_url();
    let ours = Client::ours()?;
    let (code, printed, complaint) = ours.run(
        &url,
        &["check", "perf", "--duration=2s", "--auto-compact"],
        "",
    )?;
    let lines: Vec<&str> = printed.lines().collect();
    // Whether this machine passes is not the question; that the verdict fits what is said is.
    let [
        compacting,
        compacted,
        throughput,
        slowest,
        deviation,
        verdict,
    ] = lines[..]
    else {
        anyhow::bail!("{printed}{complaint}");
    };
    assert!(compacting.starts_with("Compacting with revision "));
    assert!(compacted.starts_with("Compacted with revision "));
    assert!(throughput.contains("writes/s"));
    assert!(slowest.contains("lowest request took"));
    assert!(deviation.contains("Stddev"));
    let passed = [throughput, slowest, deviation]
        .iter()
        .all(|line| line.starts_with("PASS: "));
    assert_eq!(verdict, if passed { "PASS" } else { "FAIL" });
    assert_eq!((code, &*complaint), (Some(i32::from(!passed)), ""));
    let (code, printed, complaint) = ours.run(&url, &["check", "datascale"], "")?;
    assert_eq!(code, Some(0), "{printed}{complaint}");
    let first = "Start data scale check for work load [10000 key-value pairs, 1024 bytes per key-value, 50 concurrent clients].";
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[0], first);
    assert!(lines[1].starts_with("PASS: Approximate system memory used : "));
    assert_eq!(all(&mut cluster.client(0).await?).await?, []);
    let (code, _, complaint) = ours.run(&url, &["check", "perf", "--load=huge"], "")?;
    assert_eq!(
        (code, &*complaint),
        (Some(4), "Error: unknown load option huge")
    );
    cluster
        .client(0)
        .await?
        .put("/etcdctl-check-perf/x", "")
        .await?;
    let (code, _, _) = ours.run(&url, &["check", "perf"], "")?;
    assert_eq!(code, Some(3));
    Ok(())
}

/// Our program under another name.
fn called(folder: &Path, name: &str) -> Result<Client> {
    let program = folder.join(name);
    symlink(Client::ours()?.program, &program)?;
    Ok(Client {
        program,
        subcommand: None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn under_etcds_names_it_is_the_client() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let etcdutl = called(folder.path(), "etcdutl")?;
    for (words, why) in [
        (&["defrag", "--data-dir", "x"][..], "never defragmented"),
        (
            &["get", "a", "-d", "example.org"],
            "name them with --endpoints",
        ),
    ] {
        let (code, _, complaint) = etcdutl.run("127.0.0.1:1", words, "")?;
        assert!(code != Some(0) && complaint.contains(why), "{complaint}");
    }
    for (name, client) in [
        ("etcdctl", called(folder.path(), "etcdctl")?),
        ("etcdutl", etcdutl),
    ] {
        let (code, printed, _) = client.run("", &["version"], "")?;
        let first = printed.lines().next().unwrap_or_default();
        assert_eq!(code, Some(0));
        assert!(
            first.starts_with(&format!("{name} version: 3.6.")),
            "{printed}"
        );
    }
    Ok(())
}

/// bash itself says what it would complete.
#[tokio::test(flavor = "multi_thread")]
async fn shells_complete_the_words() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let etcdctl = called(folder.path(), "etcdctl")?;
    for (client, name, words) in [
        (&etcdctl, "etcdctl", "etcdctl lease time"),
        (&Client::ours()?, "mainstay", "mainstay ctl lease time"),
    ] {
        for shell in ["bash", "zsh", "fish", "powershell"] {
            let (code, script, complaint) = client.run("", &["completion", shell], "")?;
            assert_eq!(code, Some(0), "{shell}: {complaint}");
            assert!(script.contains("timetolive"), "{shell}");
        }
        let script = client.run("", &["completion", "bash"], "")?.1;
        let count = words.split(' ').count();
        let file = folder.path().join("script");
        std::fs::write(&file, script)?;
        let ask = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD={}; _{name} {name} time lease; echo ${{COMPREPLY[@]}}",
            file.display(),
            count - 1
        );
        let output = Command::new("bash").args(["-c", &ask]).output()?;
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "timetolive");
    }
    let (code, _, _) = etcdctl.run("", &["completion", "tcsh"], "")?;
    assert_eq!(code, Some(1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_has_the_hash_of_the_member_it_came_from() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("saved");
    let file = file.to_str().context("a name in UTF-8")?;
    let (etcdctl, ours) = (Client::etcdctl()?, Client::ours()?);
    for target in [Target::etcd()?, Target::mainstay()?] {
        let cluster = one(&target).await?;
        let url = cluster.members[0].client_url();
        let mut client = cluster.client(0).await?;
        for value in ["1", "2", "3"] {
            client.put("a", value).await?;
        }
        ours.run(&url, &["compaction", "2"], "")?;
        etcdctl.run(&url, &["snapshot", "save", file], "")?;
        for rev in ["0", "3", "4"] {
            let rev = format!("--rev={rev}");
            let (_, there, _) = ours.run(&url, &["endpoint", "hashkv", &rev], "")?;
            let (code, here, complaint) = ours.run(&url, &["hashkv", file, &rev], "")?;
            assert_eq!(code, Some(0), "{complaint}");
            let hash = there.trim().rsplit(", ").next().context("a hash")?;
            assert!(
                here.starts_with(&format!("{hash}, ")),
                "{rev}: {here} {there}"
            );
        }
        for (rev, why) in [
            (
                "--rev=1",
                "Error: mvcc: required revision has been compacted",
            ),
            (
                "--rev=9",
                "Error: mvcc: required revision is a future revision",
            ),
        ] {
            let (code, _, complaint) = ours.run(&url, &["hashkv", file, rev], "")?;
            assert_eq!((code, &*complaint), (Some(1), why));
        }
    }
    // The folder it was restored into is gone.
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 1);
    Ok(())
}

/// etcdutl's own words about the same file, in each format.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs etcdutl of 3.6, named by NEWER_ETCDUTL_BIN"]
async fn a_file_is_hashed_as_by_etcdutl() -> Result<()> {
    let etcdutl = Client {
        program: std::env::var_os("NEWER_ETCDUTL_BIN")
            .context("NEWER_ETCDUTL_BIN")?
            .into(),
        subcommand: None,
    };
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("saved");
    let file = file.to_str().context("a name in UTF-8")?;
    let ours = Client::ours()?;
    let cluster = one(&Target::mainstay()?).await?;
    let url = cluster.members[0].client_url();
    cluster.client(0).await?.put("a", "1").await?;
    ours.run(&url, &["snapshot", "save", file], "")?;
    for format in ["simple", "json", "fields", "table"] {
        let words = ["hashkv", file, "-w", format];
        let found = ours.run("", &words, "")?;
        let wanted = etcdutl.run("", &words, "")?;
        assert_eq!((found.0, found.1), (wanted.0, wanted.1));
    }
    Ok(())
}
