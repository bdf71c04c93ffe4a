//! A walk over the keys of one bucket, in order.

use crate::page::{Bounds, Page};
use crate::reader::{Database, ReadAt, ReadError};

/// Pages from a tree's root to a leaf. A tree of this height has more keys than a file has room for.
const DEPTH_MAX: usize = 32;

/// A key and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    pub key: &'a [u8],
    pub value: &'a [u8],
    /// Whether the value is a bucket, for [`Database::bucket_at`].
    pub is_bucket: bool,
}

/// Where a walk stands. Every page but the first lies within what the page above says of it, and none but the first is
/// empty, so a walk ends even where pages lead back.
#[derive(Debug)]
pub struct Cursor<'a, R: ?Sized> {
    database: &'a Database<'a, R>,
    /// From the root to the page that is read.
    path: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    page: Page,
    bounds: Bounds,
    /// The element that comes next.
    next: usize,
}

impl<'a, R: ReadAt + ?Sized> Cursor<'a, R> {
    pub(crate) fn new(database: &'a Database<'a, R>, root: Page) -> Result<Self, ReadError> {
        let path = vec![Step {
            page: root,
            bounds: Bounds::default(),
            next: 0,
        }];
        Ok(Cursor { database, path })
    }

    /// The next entry; none at the end.
    #[expect(
        clippy::should_implement_trait,
        reason = "an entry borrows from the page that is in memory"
    )]
    pub fn next(&mut self) -> Result<Option<Entry<'_>>, ReadError> {
        while let Some(step) = self.path.last_mut() {
            if step.next == step.page.len() {
                self.path.pop();
                continue;
            }
            let index = step.next;
            step.next += 1;
            if step.page.is_leaf {
                break;
            }
            let (id, bounds) = step.page.below(index, &step.bounds);
            if self.path.len() >= DEPTH_MAX {
                let what = format!("it lies {DEPTH_MAX} pages below its root");
                return Err(ReadError::Damaged { id, what });
            }
            let page = self.database.page(id, &bounds, false)?;
            self.path.push(Step {
                page,
                bounds,
                next: 0,
            });
        }
        Ok(self.path.last().map(|step| {
            let index = step.next - 1;
            Entry {
                key: step.page.key(index),
                value: step.page.value(index),
                is_bucket: step.page.is_bucket(index),
            }
        }))
    }
}
