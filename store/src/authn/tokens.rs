//! Simple tokens: given through the log, so that every member knows them, and ended by each member's own clock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use state_machine::TokenChange;
use tokio::time::Instant;

/// Letters of a token in front of the log index. etcd's figure.
const SECRET_LETTERS: usize = 16;
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// Most tokens at a time; the one that would end first goes for a new one.
const TOKENS_MAX: usize = 65_536;
/// How often tokens that ended are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The tokens that are good here.
pub(crate) struct Tokens {
    ttl: Duration,
    /// Whether authentication is on, as far as the log is applied here: a hint that costs one load, for what is looked
    /// at again where it counts.
    wanted: AtomicBool,
    /// Log index up to which entries are replayed from an earlier run of this process, whose tokens ended with it.
    replayed: AtomicU64,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    tokens: HashMap<String, Token>,
    swept: Option<Instant>,
}

struct Token {
    user: String,
    ends: Instant,
}

impl Tokens {
    pub(crate) fn new(ttl: Duration) -> Tokens {
        Tokens {
            ttl,
            wanted: AtomicBool::new(false),
            replayed: AtomicU64::new(0),
            table: Mutex::default(),
        }
    }

    pub(crate) fn are_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Told after every run of commands.
    pub(crate) fn set_wanted(&self, wanted: bool) {
        if wanted != self.are_wanted() {
            self.wanted.store(wanted, Ordering::Relaxed);
        }
    }

    /// What the log held when this process started gives no tokens: nobody knows how long they were not used.
    pub(crate) fn start_behind(&self, index: u64) {
        self.replayed.store(index, Ordering::Relaxed);
    }

    /// The user of a token, which is good for its whole time again.
    pub(crate) fn user_of(&self, token: &str) -> Option<String> {
        let now = Instant::now();
        let mut table = self.table.lock();
        let found = table.tokens.get_mut(token)?;
        if found.ends <= now {
            table.tokens.remove(token);
            return None;
        }
        found.ends = now + self.ttl;
        Some(found.user.clone())
    }

    /// Follows what the log did to tokens. `index_of` is the log index of a command of the run.
    pub(crate) fn changed(&self, changes: Vec<TokenChange>, index_of: impl Fn(usize) -> u64) {
        if changes.is_empty() {
            return;
        }
        let now = Instant::now();
        let replayed = self.replayed.load(Ordering::Relaxed);
        let mut table = self.table.lock();
        for change in changes {
            match change {
                TokenChange::Given {
                    command,
                    user,
                    secret,
                } => {
                    let index = index_of(command);
                    if index > replayed {
                        let ends = now + self.ttl;
                        table.make_room(now);
                        let token = name(&secret, index);
                        table.tokens.insert(token, Token { user, ends });
                    }
                }
                TokenChange::EndOf { user } => table.tokens.retain(|_, token| token.user != user),
                TokenChange::End => table.tokens.clear(),
            }
        }
    }

    /// Ends all: the log between two states was not seen, and it may have ended any of them.
    pub(crate) fn clear(&self) {
        self.table.lock().tokens.clear();
    }

    /// The whole token that was made of a secret, if it is good still.
    pub(crate) fn with_secret(&self, secret: &str) -> Option<String> {
        let table = self.table.lock();
        let mut tokens = table.tokens.keys();
        tokens
            .find(|token| token.split_once('.').is_some_and(|(own, _)| own == secret))
            .cloned()
    }
}

impl Table {
    fn make_room(&mut self, now: Instant) {
        let is_due = self.swept.is_none_or(|swept| now >= swept + SWEEP_INTERVAL);
        if is_due {
            self.swept = Some(now);
            self.tokens.retain(|_, token| token.ends > now);
        }
        if self.tokens.len() >= TOKENS_MAX {
            let first = self.tokens.iter().min_by_key(|(_, token)| token.ends);
            if let Some(first) = first.map(|(name, _)| name.clone()) {
                self.tokens.remove(&first);
            }
        }
    }
}

fn name(secret: &str, index: u64) -> String {
    format!("{secret}.{index}")
}

/// The log index in a token that looks like one.
pub(crate) fn index_of(token: &str) -> Option<u64> {
    let (_, index) = token.split_once('.')?;
    index.parse().ok()
}

/// Letters nobody can guess.
pub(crate) fn new_secret() -> Result<String, getrandom::Error> {
    // The largest multiple of the number of letters that a byte can hold: bytes above it would prefer some letters.
    let fair = (256 / LETTERS.len() * LETTERS.len()) as u8;
    let mut secret = String::with_capacity(SECRET_LETTERS);
    while secret.len() < SECRET_LETTERS {
        let mut bytes = [0; SECRET_LETTERS];
        getrandom::fill(&mut bytes)?;
        let missing = SECRET_LETTERS - secret.len();
        let letters = bytes.iter().filter(|byte| **byte < fair);
        let letters = letters.map(|byte| LETTERS[usize::from(*byte) % LETTERS.len()] as char);
        secret.extend(letters.take(missing));
    }
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(300);

    fn given(command: usize, user: &str, secret: &str) -> TokenChange {
        TokenChange::Given {
            command,
            user: user.to_owned(),
            secret: secret.to_owned(),
        }
    }

    #[test]
    fn secrets_are_letters_and_differ() {
        let secrets: std::collections::BTreeSet<String> =
            (0..100).map(|_| new_secret().unwrap()).collect();
        assert_eq!(secrets.len(), 100);
        let is_letter = |letter: char| letter.is_ascii_alphabetic();
        assert!(
            secrets
                .iter()
                .all(|s| s.len() == 16 && s.chars().all(is_letter))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_ends_when_it_was_not_used_for_its_time() {
        let tokens = Tokens::new(TTL);
        tokens.changed(vec![given(0, "ann", "x")], |_| 7);
        assert_eq!(tokens.with_secret("x").as_deref(), Some("x.7"));
        tokio::time::advance(TTL - Duration::from_secs(1)).await;
        assert_eq!(tokens.user_of("x.7").as_deref(), Some("ann"));
        tokio::time::advance(TTL - Duration::from_secs(1)).await;
        assert_eq!(tokens.user_of("x.7").as_deref(), Some("ann"));
        tokio::time::advance(TTL).await;
        assert_eq!(tokens.user_of("x.7"), None);
        assert_eq!(tokens.user_of("x.8"), None);
    }

    #[tokio::test]
    async fn tokens_end_with_their_user_or_all_together() {
        let tokens = Tokens::new(TTL);
        let both = vec![given(0, "ann", "x"), given(1, "bob", "y")];
        tokens.changed(both, |command| 5 + command as u64);
        let gone = TokenChange::EndOf { user: "ann".into() };
        tokens.changed(vec![gone], |_| 0);
        assert_eq!(tokens.user_of("x.5"), None);
        assert_eq!(tokens.user_of("y.6").as_deref(), Some("bob"));
        tokens.changed(vec![TokenChange::End], |_| 0);
        assert_eq!(tokens.user_of("y.6"), None);
    }

    #[tokio::test]
    async fn a_replayed_log_gives_no_tokens() {
        let tokens = Tokens::new(TTL);
        tokens.start_behind(7);
        let both = vec![given(0, "ann", "x"), given(1, "bob", "y")];
        tokens.changed(both, |command| 7 + command as u64);
        assert_eq!(tokens.user_of("x.7"), None);
        assert_eq!(tokens.user_of("y.8").as_deref(), Some("bob"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_tokens_is_bounded() {
        let tokens = Tokens::new(TTL);
        tokens.changed(vec![given(0, "ann", "first")], |_| 1);
        tokio::time::advance(Duration::from_millis(1)).await;
        let many = (0..TOKENS_MAX).map(|n| given(n, "ann", &format!("s{n}")));
        tokens.changed(many.collect(), |_| 2);
        assert_eq!(tokens.table.lock().tokens.len(), TOKENS_MAX);
        assert_eq!(tokens.user_of("first.1"), None);
    }
}
