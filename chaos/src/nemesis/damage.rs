//! Damage on disk: a stopped follower's log gets other bytes. It has to refuse, say how to come back, and come back so.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::{Effect, Nemesis};
use crate::cluster::Ended;
use crate::schedule::{Aim, Step};

/// Where the log lies in a data folder.
const LOG_FOLDER: &str = "member/wal";
/// What a refusal has to name, so that an operator knows the way back.
const WAY_BACK: &str = "initial-cluster-state existing";
/// A log with less written in it is too small to be hit with certainty, in bytes.
const WRITTEN_BYTES_MIN: usize = 16 << 10;
/// How many bytes are changed.
const DAMAGED_BYTES: usize = 16;

impl Nemesis {
    pub(super) async fn damage(&mut self, step: &Step) -> Result<Effect> {
        ensure!(
            self.cluster.rejoins_emptied(),
            "this target has no way back for a member with a damaged log"
        );
        let (member, before) = self.choose(Aim::Follower, step.pick).await?;
        self.note("kill", Some(member), Some(before.role(member)))
            .await;
        let start_ms = self.recorder.clock().millis();
        self.kill_now(&[member]).await?;
        let mut effect = self.effect(member, &before, start_ms, String::new()).await;
        let log = self.cluster.data(member)?.join(LOG_FOLDER);
        let (file, offset) = damage_fullest(&log, step.pick)?;
        self.note("damage", Some(member), None).await;
        self.cluster.start(member).await?;
        let refusal = self.wait_refusal(member).await?;
        self.cluster.start_emptied(member)?;
        self.note("start emptied", Some(member), None).await;
        self.wait_ready(member).await?;
        effect.evidence = format!(
            "{DAMAGED_BYTES} bytes of {} changed at {offset}; it {refusal} and came back emptied",
            file.display()
        );
        Ok(effect)
    }

    /// How the member refused to start with its damaged log. One that starts, or does not say the way back, has broken a
    /// promise.
    async fn wait_refusal(&mut self, member: usize) -> Result<Ended> {
        let name = self.cluster.name(member);
        let Ok(ended) = self.cluster.wait_end(member).await else {
            self.violations
                .push(format!("{name} runs with a damaged log"));
            self.cluster.kill(&[member]).await?;
            bail!("the damage was not noticed");
        };
        let log = self.cluster.log_since_start(member)?;
        if ended == Ended::Exit(0) || !log.contains(WAY_BACK) {
            let last = log.lines().last().unwrap_or_default().to_owned();
            self.violations.push(format!(
                "{name} {ended} for a damaged log without naming the way back; its last words: {last}"
            ));
        }
        Ok(ended)
    }
}

/// Changes bytes in the middle of what is written in the log file that holds most: a small one may be a mark that is
/// kept twice, and damage to one copy is no loss.
fn damage_fullest(folder: &Path, pick: u64) -> Result<(PathBuf, usize)> {
    let mut fullest: Option<(usize, PathBuf)> = None;
    let entries = fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
    for entry in entries {
        let file = entry?.path();
        let bytes = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        // Log files are made longer than what is written in them; the rest is zeros.
        let written = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        fullest = fullest.max(Some((written, file)));
    }
    let (written, file) = fullest.context("there is no log file")?;
    ensure!(
        written >= WRITTEN_BYTES_MIN,
        "the log holds only {written} bytes"
    );
    let spread = usize::try_from(pick).context("a pick fits")? % (written / 2);
    let offset = written / 4 + spread;
    let mut bytes = fs::read(&file)?;
    for byte in &mut bytes[offset..offset + DAMAGED_BYTES] {
        *byte ^= 0x5a;
    }
    fs::write(&file, &bytes)?;
    Ok((file, offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_changes_written_bytes_of_the_fullest_file() {
        let folder = tempfile::tempdir().unwrap();
        let full = folder.path().join("0001.wal");
        let mut bytes = vec![7; 40_000];
        bytes.resize(80_000, 0);
        fs::write(&full, &bytes).unwrap();
        fs::write(folder.path().join("0002.wal"), vec![0; 80_000]).unwrap();
        let (file, offset) = damage_fullest(folder.path(), 12_345).unwrap();
        assert_eq!(file, full);
        assert!((10_000..30_000).contains(&offset), "{offset}");
        let changed = fs::read(&full).unwrap();
        let differing = changed.iter().zip(&bytes).filter(|(a, b)| a != b).count();
        assert_eq!(differing, DAMAGED_BYTES);
    }
}
