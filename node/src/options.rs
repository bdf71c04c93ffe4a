//! The flags of simulated nodes, in one checked struct.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use objects::quantity::Quantity;

/// Most nodes of one process: each renews its lease every ten seconds.
const NODES_MAX: usize = 20_000;
/// The last number of a first node, so that all have addresses.
const NUMBER_MAX: usize = 1_000_000;
/// Most nodes that listen for themselves, each on a socket of its own.
const AGENTS_MAX: usize = 256;

/// The flags.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "mainstay node",
    about = "Simulated nodes, which pods can be bound to and seem to run on",
    disable_version_flag = true
)]
pub struct Options {
    /// How the apiserver is reached, and as whom
    #[arg(long, value_name = "FILE", required = true)]
    pub kubeconfig: PathBuf,
    /// Nodes that are there from the start; nodes with the label `simulation.mainstay.dev/by` are taken care of as well
    #[arg(long, default_value_t = 3)]
    pub nodes: usize,
    /// The number of the first of them, from which they have their names and addresses
    #[arg(long, default_value_t = 1)]
    pub first: usize,
    /// What their names begin with; their numbers follow
    #[arg(long, default_value = "node-")]
    pub name_prefix: String,
    /// The value of the label `simulation.mainstay.dev/by`: which nodes are this process's
    #[arg(long, default_value = "mainstay")]
    pub by: String,
    /// CPUs of each
    #[arg(long, default_value = "8", value_parser = quantity)]
    pub cpu: String,
    /// Memory of each
    #[arg(long, default_value = "32Gi", value_parser = quantity)]
    pub memory: String,
    /// Pods that each can hold
    #[arg(long, default_value_t = 110)]
    pub pods: u32,
    /// Zones that they are spread over; 0 for no zones
    #[arg(long, default_value_t = 0)]
    pub zones: usize,
    /// Port of every node's agent, each at an address of its own in 127.64.0.0/10; 0 for no agents
    #[arg(long, default_value_t = 10_250)]
    pub agent_port: u16,
    /// Time between two renewals of a node's lease
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub lease_seconds: Duration,
    /// Writes events of pods as a kubelet does
    #[arg(long, default_value = "true", num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub events: bool,
    /// More is logged; 4 and above is debug
    #[arg(short = 'v', long = "v", default_value_t = 2)]
    pub verbosity: u8,
}

impl Options {
    /// Reads a command line, the program's name not among it, and checks it.
    ///
    /// # Errors
    ///
    /// What is wrong with it, which is also how help is told.
    pub fn parse_words(words: Vec<String>) -> Result<Options, clap::Error> {
        let program = std::iter::once("mainstay node".to_owned());
        let options = Options::try_parse_from(program.chain(words))?;
        if options.nodes > NODES_MAX || options.first > NUMBER_MAX {
            let words = format!(
                "one process simulates at most {NODES_MAX} nodes, the first of which is at most number {NUMBER_MAX}\n"
            );
            return Err(clap::Error::raw(
                clap::error::ErrorKind::ValueValidation,
                words,
            ));
        }
        Ok(options)
    }

    /// Whether nodes listen for the apiserver. Thousands of them would need as many sockets.
    pub(crate) fn has_agents(&self) -> bool {
        self.agent_port != 0 && self.nodes <= AGENTS_MAX
    }
}

fn quantity(text: &str) -> Result<String, String> {
    match Quantity::parse(text) {
        Ok(quantity) if quantity.sign() > 0 => Ok(text.to_owned()),
        Ok(_) => Err("must be more than nothing".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 1..=3600) => Ok(Duration::from_secs(seconds)),
        _ => Err("must be a number of seconds from 1 to 3600".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Options, clap::Error> {
        Options::parse_words(words.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn flags_are_checked() {
        let options = parse("--kubeconfig k --nodes 5 --cpu 500m --events=false").unwrap();
        assert_eq!(
            (options.nodes, options.cpu.as_str(), options.events),
            (5, "500m", false)
        );
        for wrong in [
            "",
            "--kubeconfig k --cpu much",
            "--kubeconfig k --memory 0",
            "--kubeconfig k --nodes 20001",
            "--kubeconfig k --first 1000001",
            "--kubeconfig k --lease-seconds 0",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn thousands_of_nodes_do_not_listen() {
        assert!(parse("--kubeconfig k").unwrap().has_agents());
        assert!(!parse("--kubeconfig k --nodes 5000").unwrap().has_agents());
        assert!(!parse("--kubeconfig k --agent-port 0").unwrap().has_agents());
    }
}
