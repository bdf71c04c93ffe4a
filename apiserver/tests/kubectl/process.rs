//! A server of a test's: a process that is killed and started again, and ends with the test.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Time for a server to answer.
pub(crate) const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Time between two questions whether a server answers.
pub(crate) const ASK_INTERVAL: Duration = Duration::from_millis(50);

pub(crate) struct Process {
    command: Command,
    child: Child,
    port: u16,
}

impl Process {
    /// Starts what listens at a port.
    pub(crate) fn start(mut command: Command, port: u16) -> Process {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = spawn(&mut command);
        Process {
            command,
            child,
            port,
        }
    }

    /// Starts it again after [`Process::kill`].
    pub(crate) fn start_again(&mut self) {
        self.child = spawn(&mut self.command);
    }

    pub(crate) fn await_port(&mut self) {
        let from = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{:?} ended: {ended:?}", self.command);
            assert!(
                from.elapsed() < START_TIMEOUT,
                "{:?} does not answer",
                self.command
            );
            std::thread::sleep(ASK_INTERVAL);
        }
    }

    /// Ends it with SIGKILL.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(command: &mut Command) -> Child {
    command
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
}

/// Our program, to which the servers belong that are not parts of a test.
pub(crate) fn mainstay(part: &str) -> Command {
    let program = std::env::var_os("MAINSTAY_BIN").expect("MAINSTAY_BIN has to name our program");
    let mut command = Command::new(program);
    command.arg(part);
    command
}
