//! What goes wrong on purpose, and what a program may do about it.

use std::io::{BufRead as _, stdin};
use std::time::{Duration, Instant};

use kube::Error;

use crate::Failure;

const CALL_MAX: Duration = Duration::from_secs(60);
const AWAIT_MAX: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// Whether somebody breaks on demand, and nobody else does.
pub fn faulty() -> bool {
    std::env::var("CLIENTS_FAULTS").is_ok_and(|value| value == "asked")
}

/// Has whoever started the script break something, and returns when it is broken.
pub fn fault(name: &str) -> Result<(), Failure> {
    if !faulty() {
        return Ok(());
    }
    println!("fault: {name}");
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer)?;
    match answer.as_str() {
        "done\n" => Ok(()),
        other => Err(format!("the answer to a fault was {other:?}").into()),
    }
}

/// The code of a refusal; none if there was no answer.
pub fn code(error: &Error) -> Option<u16> {
    match error {
        Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// Whether an error is that of a server that is about to end, or has just begun, or is not reached.
fn passing(error: &Error) -> bool {
    match error {
        Error::Api(status) => matches!(status.code, 429 | 500 | 503 | 504),
        Error::HyperError(_) | Error::Service(_) | Error::ReadEvents(_) => true,
        _ => false,
    }
}

/// Calls until there is an answer. An earlier call may have had its effect though it failed; then a later one is refused with
/// the code `settled`, and there is no answer.
async fn again<T>(
    settled: u16,
    call: impl AsyncFn() -> kube::Result<T>,
) -> kube::Result<Option<T>> {
    let until = Instant::now() + CALL_MAX;
    let mut failed = false;
    loop {
        match call().await {
            Ok(answer) => return Ok(Some(answer)),
            Err(error) if failed && code(&error) == Some(settled) => return Ok(None),
            Err(error) if !passing(&error) || Instant::now() > until => return Err(error),
            Err(_) => failed = true,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

pub async fn creating<T>(call: impl AsyncFn() -> kube::Result<T>) -> kube::Result<()> {
    again(409, call).await.map(drop)
}

pub async fn deleting<T>(call: impl AsyncFn() -> kube::Result<T>) -> kube::Result<()> {
    again(404, call).await.map(drop)
}

/// A call that may be made twice.
pub async fn calling<T>(call: impl AsyncFn() -> kube::Result<T>) -> kube::Result<T> {
    let answer = again(0, call).await?;
    Ok(answer.expect("no refusal has the code 0"))
}

/// The refusal of a call that has to be refused.
pub async fn refused<T>(
    call: impl AsyncFn() -> kube::Result<T>,
) -> Result<kube::core::Status, Failure> {
    match calling(call).await {
        Err(Error::Api(status)) => Ok(*status),
        Err(error) => Err(error.into()),
        Ok(_) => Err("it was not refused".into()),
    }
}

/// Waits until the condition holds, and returns what it gave.
pub async fn awaited<T>(
    what: &str,
    condition: impl AsyncFn() -> kube::Result<Option<T>>,
) -> Result<T, Failure> {
    let until = Instant::now() + AWAIT_MAX;
    loop {
        if let Some(found) = calling(&condition).await? {
            return Ok(found);
        }
        if Instant::now() > until {
            return Err(format!("{what} did not come").into());
        }
        tokio::time::sleep(PAUSE).await;
    }
}
