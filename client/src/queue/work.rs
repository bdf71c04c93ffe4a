//! Workers that take items from a queue and do what is to be done for each.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::{Item, WorkQueue};

/// What comes after an item was dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing, until it is added again.
    Done,
    /// It is looked at again after a time.
    After(Duration),
}

/// Deals with a queue's items until it is closed, as many at a time as there are workers. An item whose `sync` fails comes again, later with
/// each failure. Dropping this future ends the workers where they wait.
///
/// # Panics
///
/// If `sync` does.
pub async fn work<T, F, S, E>(queue: Arc<WorkQueue<T>>, workers: usize, sync: F)
where
    T: Item + Sync,
    F: Fn(T) -> S + Send + Sync + 'static,
    S: Future<Output = Result<Next, E>> + Send + 'static,
    E: Display + Send + 'static,
{
    let sync = Arc::new(sync);
    let mut set = JoinSet::new();
    for _ in 0..workers {
        set.spawn(worker(queue.clone(), sync.clone()));
    }
    while let Some(ended) = set.join_next().await {
        if let Err(error) = ended
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

async fn worker<T, F, S, E>(queue: Arc<WorkQueue<T>>, sync: Arc<F>)
where
    T: Item,
    F: Fn(T) -> S,
    S: Future<Output = Result<Next, E>>,
    E: Display,
{
    while let Some(item) = queue.next().await {
        match sync(item.clone()).await {
            Ok(next) => {
                queue.forget(&item);
                if let Next::After(after) = next {
                    queue.add_after(item.clone(), after);
                }
            }
            Err(error) => {
                tracing::warn!(item = ?*item, %error, "an item will be tried again");
                queue.add_rate_limited(item.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn items_come_again_when_they_ask_for_it_or_fail() {
        let queue = Arc::new(WorkQueue::new());
        let seen: Arc<Mutex<Vec<(u32, u128)>>> = Arc::default();
        let began = Instant::now();
        let sync = {
            let (queue, seen) = (queue.clone(), seen.clone());
            move |item: u32| {
                let (queue, seen) = (queue.clone(), seen.clone());
                async move {
                    let mut seen = seen.lock();
                    seen.push((item, began.elapsed().as_millis()));
                    let times = seen.iter().filter(|(other, _)| *other == item).count();
                    match (item, times) {
                        (1, 1..3) => Err("not yet"),
                        (2, 1) => Ok(Next::After(Duration::from_secs(1))),
                        (2, _) => {
                            queue.close();
                            Ok(Next::Done)
                        }
                        _ => Ok(Next::Done),
                    }
                }
            }
        };
        queue.add(1);
        queue.add(2);
        work(queue.clone(), 2, sync).await;
        let mut seen = std::mem::take(&mut *seen.lock());
        seen.sort_unstable();
        assert_eq!(seen, [(1, 0), (1, 5), (1, 15), (2, 0), (2, 1000)]);
        assert_eq!(queue.failures(&1), 0);
    }

    #[tokio::test]
    #[should_panic = "broken"]
    async fn a_worker_that_panics_is_no_secret() {
        let began = Instant::now();
        let queue = Arc::new(WorkQueue::new());
        queue.add(1);
        work(queue, 1, move |_: u32| async move {
            assert!(began.elapsed() > Duration::MAX, "broken");
            Ok::<_, String>(Next::Done)
        })
        .await;
    }
}
