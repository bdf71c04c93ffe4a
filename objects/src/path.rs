//! Where in an object something is, in the words of upstream's messages: `spec.containers[0].ports[name]`.

use std::fmt;

/// A path from the root of an object to a field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(String);

impl Path {
    /// The object itself.
    #[must_use]
    pub fn root() -> Path {
        Path::default()
    }

    /// A path that begins with this field.
    #[must_use]
    pub fn new(name: &str) -> Path {
        Path(name.to_owned())
    }

    /// A field of what is here. A name with dots stands for itself: `child("spec.template")`.
    #[must_use]
    pub fn child(&self, name: &str) -> Path {
        if self.0.is_empty() {
            return Path::new(name);
        }
        Path([&self.0, ".", name].concat())
    }

    /// An element of a list.
    #[must_use]
    pub fn index(&self, index: usize) -> Path {
        Path(format!("{}[{index}]", self.0))
    }

    /// A value of a map.
    #[must_use]
    pub fn key(&self, key: &str) -> Path {
        Path([&self.0, "[", key, "]"].concat())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Upstream's word for a path without a field.
        formatter.write_str(if self.0.is_empty() { "<nil>" } else { &self.0 })
    }
}
