//! Failures with etcdctl's exit codes.

/// Something other than etcdctl's `ExitError`, which is 1.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit_code: u8,
    text: String,
}

/// `ExitBadConnection`: no connection was made, or nobody was let in.
pub(super) const NOT_CONNECTED_EXIT_CODE: u8 = 2;
/// `ExitInvalidInput`.
pub(super) const INVALID_INPUT_EXIT_CODE: u8 = 3;
/// `ExitBadFeature`: a format that a command does not have.
pub(super) const UNSUPPORTED_EXIT_CODE: u8 = 4;
/// `ExitBadArgs`.
pub(super) const MISUSE_EXIT_CODE: u8 = 128;

impl Failure {
    /// One whose reason was printed.
    pub(super) fn silent() -> Failure {
        Failure::new(1, String::new())
    }

    pub(super) fn is_silent(&self) -> bool {
        self.text.is_empty()
    }

    pub(super) fn new(exit_code: u8, text: String) -> Failure {
        Failure { exit_code, text }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

/// Returns a failure for arguments that cannot be.
macro_rules! misuse {
    ($($text:tt)*) => {
        return Err($crate::ctl::failure::Failure::new(
            $crate::ctl::failure::MISUSE_EXIT_CODE,
            format!($($text)*),
        )
        .into())
    };
}
