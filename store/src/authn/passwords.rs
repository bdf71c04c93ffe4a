//! bcrypt: slow by design, so it runs away from the runtime, and little of it at a time.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

/// Hashes that are computed at a time.
const HASHES_AT_ONCE: usize = 4;
/// Hashes that are computed or wait for their turn; one more is refused.
const HASHES_WAITING_MAX: usize = 256;
/// bcrypt looks at no more. Go's implementation refuses to hash longer passwords.
const PASSWORD_BYTES_MAX: usize = 72;

/// Letters of a hash behind its cost.
const SALT_AND_HASH_LETTERS: usize = 53;

/// Why no hash was computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PasswordError {
    #[error("bcrypt: password length exceeds 72 bytes")]
    TooLong,
    #[error("too many passwords are being looked at")]
    TooMany,
    #[error("{0}")]
    Failed(String),
}

/// Hashes and checks passwords.
pub(crate) struct Passwords {
    cost: u32,
    /// A hash of no password.
    decoy: Bytes,
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

impl Passwords {
    pub(crate) fn new(cost: u32) -> Passwords {
        Passwords {
            cost,
            decoy: Bytes::from(format!(
                "$2a${cost:02}${}",
                ".".repeat(SALT_AND_HASH_LETTERS)
            )),
            places: Arc::new(Semaphore::new(HASHES_WAITING_MAX)),
            turns: Arc::new(Semaphore::new(HASHES_AT_ONCE)),
        }
    }

    /// What is kept of a password.
    pub(crate) async fn hash(&self, password: String) -> Result<Bytes, PasswordError> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(PasswordError::TooLong);
        }
        let cost = self.cost;
        self.compute(move || {
            let parts = bcrypt::hash_with_result(password, cost).map_err(failed)?;
            // The name Go gives to the same algorithm.
            let text = parts.format_for_version(bcrypt::Version::TwoA);
            Ok(Bytes::from(text))
        })
        .await
    }

    /// Whether a password is the one a hash was made of. What is no hash was made of none.
    pub(crate) async fn check(&self, password: String, hash: Bytes) -> Result<bool, PasswordError> {
        self.compute(move || {
            let hash = std::str::from_utf8(&hash).unwrap_or_default();
            Ok(bcrypt::verify(password, hash).unwrap_or(false))
        })
        .await
    }

    /// What a check costs, for a name that nobody has: whoever measures how long a refusal takes learns nothing of names.
    /// It is the cost of the hashes that are made now; older ones may have another.
    pub(crate) async fn check_of_nobody(&self, password: String) -> Result<(), PasswordError> {
        self.check(password, self.decoy.clone()).await.map(drop)
    }

    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let _place = place.map_err(|_none_left| PasswordError::TooMany)?;
        let turn = Arc::clone(&self.turns).acquire_owned();
        let turn = turn.await.map_err(failed)?;
        // The turn goes with the work, which goes on when nobody waits for it any more.
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        });
        done.await.map_err(failed)?
    }
}

fn failed(error: impl std::fmt::Display) -> PasswordError {
    PasswordError::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: u32 = 4;

    #[tokio::test]
    async fn a_hash_knows_its_password_and_no_other() {
        let passwords = Passwords::new(COST);
        let hash = passwords.hash("secret".into()).await.unwrap();
        assert!(hash.starts_with(b"$2a$04$"));
        assert_eq!(
            passwords.check("secret".into(), hash.clone()).await,
            Ok(true)
        );
        assert_eq!(passwords.check("Secret".into(), hash).await, Ok(false));
    }

    #[tokio::test]
    async fn a_hash_of_gos_library_is_understood() {
        // golang.org/x/crypto/bcrypt's own test vector.
        let hash = "$2a$10$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga";
        let passwords = Passwords::new(COST);
        let check = passwords.check("allmine".into(), hash.into()).await;
        assert_eq!(check, Ok(true));
    }

    /// bcrypt takes the decoy for a hash: it reads it, and works on it before it says no.
    #[tokio::test]
    async fn a_name_that_nobody_has_costs_the_work_of_a_check() {
        let passwords = Passwords::new(COST);
        let decoy = std::str::from_utf8(&passwords.decoy).unwrap();
        assert_eq!(bcrypt::verify("secret", decoy).ok(), Some(false));
        assert_eq!(passwords.check_of_nobody("secret".into()).await, Ok(()));
    }

    #[tokio::test]
    async fn nothing_is_the_password_of_what_is_no_hash() {
        let passwords = Passwords::new(COST);
        assert_eq!(
            passwords.check(String::new(), Bytes::new()).await,
            Ok(false)
        );
    }

    #[tokio::test]
    async fn a_password_that_would_be_cut_is_refused() {
        let passwords = Passwords::new(COST);
        assert!(passwords.hash("x".repeat(72)).await.is_ok());
        let long = passwords.hash("x".repeat(73)).await;
        assert_eq!(long, Err(PasswordError::TooLong));
    }
}
