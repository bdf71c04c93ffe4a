//! How many files and connections the process may have open, and how many of them may be connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of open files to the most that the system allows this process, for the start of a program. Systems
/// set a low one for programs that cannot have more, which none of ours is. Where it is refused, the limit stays.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// How many files the process may have open now; none when nothing bounds them.
#[must_use]
pub fn open_files_max() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// How many connections a process may take that may have `open_files` files open and needs `reserved` of them for other
/// things: at most `most`, and at least one, with which somebody can see what is wrong.
#[must_use]
pub fn connections_max(open_files: Option<u64>, reserved: u64, most: usize) -> usize {
    let Some(open_files) = open_files else {
        return most;
    };
    let room = usize::try_from(open_files.saturating_sub(reserved)).unwrap_or(usize::MAX);
    if room == 0 {
        tracing::warn!(
            open_files,
            reserved,
            "the limit of open files leaves no room for connections: raise it (ulimit -Hn, LimitNOFILE)"
        );
    }
    room.min(most).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raised_limit_is_the_most_that_the_system_allows() {
        let maximum = getrlimit(Resource::Nofile).maximum;
        let low = Rlimit {
            current: Some(maximum.unwrap_or(512).min(512)),
            maximum,
        };
        setrlimit(Resource::Nofile, low).unwrap();
        raise_open_files();
        assert_eq!(getrlimit(Resource::Nofile).current, maximum);
    }

    #[test]
    fn connections_get_what_the_limit_of_open_files_leaves() {
        assert_eq!(connections_max(None, 662, 32_768), 32_768);
        assert_eq!(connections_max(Some(1_048_576), 662, 32_768), 32_768);
        assert_eq!(connections_max(Some(1024), 662, 32_768), 362);
    }

    #[test]
    fn one_connection_is_taken_where_nothing_is_left() {
        assert_eq!(connections_max(Some(662), 662, 32_768), 1);
        assert_eq!(connections_max(Some(64), 662, 32_768), 1);
    }
}
