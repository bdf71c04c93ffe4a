//! What programs do with the crate `kube`, over the server of the kubeconfig; ends with an error when something fails.

mod controller;
mod crud;
mod election;
mod faults;
mod informing;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client, Resource as _};

/// What ends the script.
type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let client = Client::try_default().await?;
    if let [word, namespace, name] = words.as_slice()
        && word == "candidate"
    {
        return election::stand(client, namespace, name).await;
    }
    let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let namespace = format!("clients-kube-{nanoseconds}");
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let mut body = Namespace::default();
    body.meta_mut().name = Some(namespace.clone());
    faults::creating(async || namespaces.create(&PostParams::default(), &body).await).await?;
    for part in ["crud", "informing", "controller", "election"] {
        let started = Instant::now();
        match part {
            "crud" => crud::all_of(&client, &namespace).await?,
            "informing" => informing::all_of(&client, &namespace).await?,
            "controller" => controller::all_of(&client, &namespace).await?,
            _ => election::all_of(&client, &namespace).await?,
        }
        println!("{part}: {:.1} s", started.elapsed().as_secs_f64());
    }
    faults::deleting(async || {
        namespaces
            .delete(&namespace, &DeleteParams::default())
            .await
    })
    .await?;
    println!("the script is through");
    Ok(())
}
