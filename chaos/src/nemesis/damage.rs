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
        self.cluster.kill(&[member]).await?;
        let mut effect = self.effect(member, &before, start_ms, String::new()).await;
        let log = self.cluster.data(member)?.join(LOG_FOLDER);
        let (file, offset) = damage_newest(&log, step.pick)?;
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

/// Changes bytes in the middle of what is written in the newest log file that holds anything.
fn damage_newest(folder: &Path, pick: u64) -> Result<(PathBuf, usize)> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| format!("listing {}", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    for file in files.into_iter().rev().filter(|file| file.is_file()) {
        let mut bytes = fs::read(&file)?;
        // Log files are made longer than what is written in them; the rest is zeros.
        let Some(written) = bytes.iter().rposition(|byte| *byte != 0) else {
            continue;
        };
        // Small ones are marks and locks.
        if written < 64 * DAMAGED_BYTES {
            continue;
        }
        let spread = usize::try_from(pick).context("a pick fits")? % (written / 2);
        let offset = written / 4 + spread;
        for byte in &mut bytes[offset..offset + DAMAGED_BYTES] {
            *byte ^= 0x5a;
        }
        fs::write(&file, &bytes)?;
        return Ok((file, offset));
    }
    bail!("no log file in {} holds enough", folder.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_changes_written_bytes_of_the_newest_file_that_has_some() {
        let folder = tempfile::tempdir().unwrap();
        let full = folder.path().join("0001.wal");
        let mut bytes = vec![7; 10_000];
        bytes.resize(20_000, 0);
        fs::write(&full, &bytes).unwrap();
        fs::write(folder.path().join("0002.wal"), vec![0; 20_000]).unwrap();
        let (file, offset) = damage_newest(folder.path(), 12_345).unwrap();
        assert_eq!(file, full);
        assert!((2_500..7_500).contains(&offset), "{offset}");
        let changed = fs::read(&full).unwrap();
        let differing = changed.iter().zip(&bytes).filter(|(a, b)| a != b).count();
        assert_eq!(differing, DAMAGED_BYTES);
    }
}
