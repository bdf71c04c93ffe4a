//! The apiserver alone, under the name that test environments know: `kube-apiserver --etcd-servers=…`.

use anyhow::Result;
use apiserver::{Config, Server};
use daemon::Signals;

#[tokio::main]
async fn main() -> Result<()> {
    let config = match Config::parse_words(std::env::args().skip(1).collect()) {
        Ok(config) => config,
        Err(error) => error.exit(),
    };
    let mut signals = Signals::install()?;
    let server = Server::start(&config).await?;
    eprintln!("listening on https://{}", server.address);
    tokio::select! {
        _ = signals.next() => {}
        () = server.stop_asked() => {}
    }
    server.stop().await
}
