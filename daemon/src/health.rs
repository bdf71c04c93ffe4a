//! One shared flag that says whether the process takes requests.

use tokio::sync::watch;

/// Cheap to clone; all clones see one flag. A new one is not serving.
#[derive(Debug, Clone)]
pub struct Health {
    serving: watch::Sender<bool>,
}

impl Default for Health {
    fn default() -> Self {
        Health {
            serving: watch::Sender::new(false),
        }
    }
}

impl Health {
    /// Sets the flag and wakes whoever waits for it.
    pub fn set_serving(&self, serving: bool) {
        self.serving.send_replace(serving);
    }

    pub fn is_serving(&self) -> bool {
        *self.serving.borrow()
    }

    /// Returns once the flag has the wanted value, at once when it has it already.
    pub async fn wait_until(&self, serving: bool) {
        let mut changes = self.serving.subscribe();
        let reached = changes.wait_for(|now| *now == serving).await;
        reached.expect("the sender lives in self");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_clone_sees_the_change() {
        let health = Health::default();
        assert!(!health.is_serving());
        let other = health.clone();
        let waiter = tokio::spawn(async move { other.wait_until(true).await });
        health.set_serving(true);
        waiter.await.unwrap();
        assert!(health.is_serving());
    }
}
