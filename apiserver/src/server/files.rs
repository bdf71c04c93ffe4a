//! Parts that are made from files: the way to the store, what values are sealed with, and what is written down.

use std::fs;

use anyhow::{Context, Result, anyhow};

use crate::audit::{self, Auditor, Log, Rotation, Writer};
use crate::config::Config;
use crate::flag_files::{read, read_pair};
use crate::storage::{Encryption, Endpoints, Source, Tls};

/// How values are sealed, and the file to follow where that says so.
pub(super) fn encryption(config: &Config) -> Result<(Encryption, Option<Source>)> {
    let reload = config.encryption_provider_config_automatic_reload;
    let Some(file) = &config.encryption_provider_config else {
        anyhow::ensure!(
            !reload,
            "--encryption-provider-config-automatic-reload must be set with --encryption-provider-config"
        );
        return Ok((Encryption::none(&config.etcd_prefix), None));
    };
    let (encryption, source) =
        Encryption::read(&config.etcd_prefix, file).map_err(|why| anyhow!(why))?;
    Ok((encryption, reload.then_some(source)))
}

/// What writes requests down, if anything does.
pub(super) fn audit(config: &Config) -> Result<Option<(Auditor, Writer)>> {
    let Some(file) = &config.audit_policy_file else {
        if config.audit_log_path.is_some() {
            tracing::warn!(
                "no audit policy file provided, no events will be recorded for log backend"
            );
        }
        return Ok(None);
    };
    let shown = file.display();
    let bytes = fs::read(file)
        .with_context(|| format!("loading audit policy file: failed to read file path {shown}"))?;
    let policy = audit::Policy::parse(&bytes)
        .map_err(|why| anyhow!("loading audit policy file: {why}: from file {shown}"))?;
    let Some(path) = &config.audit_log_path else {
        return Ok(None);
    };
    let rotation = Rotation {
        age_days_max: config.audit_log_maxage,
        backups_max: config.audit_log_maxbackup,
        size_mebibytes_max: config.audit_log_maxsize,
    };
    let log = Log::open(path, rotation, config.audit_log_format)
        .with_context(|| format!("cannot open the audit log {}", path.display()))?;
    Ok(Some(Auditor::new(policy, log)))
}

pub(super) fn endpoints(config: &Config) -> Result<Endpoints> {
    let identity = read_pair(
        ("--etcd-certfile", &config.etcd_certfile),
        ("--etcd-keyfile", &config.etcd_keyfile),
    )?;
    let tls = Tls {
        ca: config.etcd_cafile.as_ref().map(read).transpose()?,
        identity,
    };
    Endpoints::new(&config.etcd_servers, &tls).map_err(|why| anyhow!(why))
}
