//! What this process has open below the folder, and where a path leads.

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use crate::control::{Control, Place as Number};
use crate::shadow::{Object, Objects, Place, Shadow, lock};
use crate::sys::{self, Stat};

/// Names the folder that is watched: absolute, without symbolic links.
const FOLDER_VARIABLE: &str = "POWER_SHIM_FOLDER";
/// Names the folder for what is durable.
const SHADOW_VARIABLE: &str = "POWER_SHIM_SHADOW";
/// Descriptors below this are known without a look into the table.
const QUICK_DESCRIPTORS: usize = 1 << 16;

/// Whether a descriptor may be in the table: sockets are written to much more often than files.
static MAY_BE_OPEN: [AtomicBool; QUICK_DESCRIPTORS] =
    [const { AtomicBool::new(false) }; QUICK_DESCRIPTORS];

/// Everything this library knows.
#[derive(Debug)]
pub(crate) struct State {
    folder: Vec<u8>,
    pub(crate) shadow: Shadow,
    pub(crate) control: Control,
    pub(crate) objects: Mutex<Objects>,
    open: RwLock<HashMap<c_int, Arc<Object>>>,
}

/// The state, or nothing in a process that is not watched.
pub(crate) fn state() -> Option<&'static State> {
    static STATE: OnceLock<Option<State>> = OnceLock::new();
    STATE.get_or_init(State::from_environment).as_ref()
}

impl State {
    fn from_environment() -> Option<State> {
        let variable = |name| std::env::var(name).ok().map(String::into_bytes);
        let folder = variable(FOLDER_VARIABLE)?;
        let shadow = variable(SHADOW_VARIABLE)?;
        if sys::canonical(&sys::path(folder.clone())).as_ref() != Some(&folder) {
            sys::die("the watched folder is not there, or its path is not canonical");
        }
        let (shadow, mut objects) = Shadow::open(shadow, crate::clock::nanos());
        if let Some(stat) = sys::stat(&sys::path(folder.clone())) {
            objects.of(&shadow, stat);
        }
        Some(State {
            folder,
            control: Control::open(&shadow.at("control")),
            shadow,
            objects: Mutex::new(objects),
            open: RwLock::default(),
        })
    }

    fn holds(&self, path: &[u8]) -> bool {
        path.strip_prefix(self.folder.as_slice())
            .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }

    /// Where a path leads, if below the folder.
    pub(crate) fn place(&self, folder: c_int, path: *const c_char) -> Option<Place> {
        if path.is_null() {
            return None;
        }
        // SAFETY: whoever calls a libc function with a path gives one that ends with a zero byte.
        let path = unsafe { CStr::from_ptr(path) }.to_bytes();
        let end = path.iter().rposition(|byte| *byte != b'/')? + 1;
        let path = &path[..end];
        let cut = path.iter().rposition(|byte| *byte == b'/');
        let (parent, name) = match cut {
            Some(0) => (&b"/"[..], &path[1..]),
            Some(cut) => (&path[..cut], &path[cut + 1..]),
            None => (&b"."[..], path),
        };
        let parent = if parent.starts_with(b"/") || folder == libc::AT_FDCWD {
            parent.to_vec()
        } else {
            [format!("/proc/self/fd/{folder}/").as_bytes(), parent].concat()
        };
        let parent = sys::canonical(&sys::path(parent))?;
        if !self.holds(&parent) {
            return None;
        }
        if name == b"." || name == b".." {
            sys::die("a path that ends with dots is not modelled");
        }
        Some(Place {
            folder: parent,
            name: name.to_vec(),
        })
    }

    /// Takes note of a descriptor if what it is for lies below the folder.
    pub(crate) fn opened(&self, fd: c_int) -> Option<Arc<Object>> {
        let stat = sys::stat_fd(fd)?;
        if !stat.is_file() && !stat.is_folder() {
            return None;
        }
        let path = sys::path_of_fd(fd)?;
        if !self.holds(&path) || path.ends_with(b" (deleted)") {
            return None;
        }
        let object = lock(&self.objects).of(&self.shadow, stat);
        self.keep(fd, Arc::clone(&object));
        Some(object)
    }

    fn keep(&self, fd: c_int, object: Arc<Object>) {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.insert(fd, object);
        if let Some(quick) = usize::try_from(fd).ok().and_then(|fd| MAY_BE_OPEN.get(fd)) {
            quick.store(true, Ordering::Release);
        }
    }

    /// What a descriptor is for, if it is one of those.
    pub(crate) fn object(&self, fd: c_int) -> Option<Arc<Object>> {
        let quick = usize::try_from(fd).ok().and_then(|fd| MAY_BE_OPEN.get(fd));
        if quick.is_some_and(|quick| !quick.load(Ordering::Acquire)) {
            return None;
        }
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.get(&fd).cloned()
    }

    /// A file, if the descriptor is for one.
    pub(crate) fn file(&self, fd: c_int) -> Option<Arc<Object>> {
        self.object(fd).filter(|object| !object.folder)
    }

    pub(crate) fn closed(&self, fd: c_int) {
        if self.object(fd).is_some() {
            let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
            open.remove(&fd);
            if let Some(quick) = usize::try_from(fd).ok().and_then(|fd| MAY_BE_OPEN.get(fd)) {
                quick.store(false, Ordering::Release);
            }
        }
    }

    pub(crate) fn duplicated(&self, old: c_int, new: c_int) {
        if old == new {
            return;
        }
        self.closed(new);
        if let Some(object) = self.object(old) {
            self.keep(new, object);
        }
    }

    /// Whether the disk is to be full; the caller then fails.
    pub(crate) fn is_full(&self) -> bool {
        let full = self.control.get(Number::Full) != 0;
        if full {
            self.control.count(Number::Refused);
        }
        full
    }
}

/// What a path named before a call, not following a symbolic link.
pub(crate) fn before(place: &Place) -> Option<Stat> {
    sys::stat(&sys::join(&place.folder, &place.name))
}
