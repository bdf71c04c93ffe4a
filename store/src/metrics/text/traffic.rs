//! Samples of traffic by prefix and by client.

use super::super::Metrics;
use super::super::traffic::{ClientCounters, Operation, PrefixCounters};
use super::escaped;
use super::page::Page;

pub(super) fn traffic(page: &mut Page, metrics: &Metrics) {
    prefixes(page, metrics);
    clients(page, metrics);
    users(page, metrics);
}

/// None while authentication is off.
fn users(page: &mut Page, metrics: &Metrics) {
    let name = "mainstay_user_requests_total";
    page.head(
        name,
        "Requests by the user they were judged for.",
        "counter",
    );
    for (user, count) in metrics.users.all() {
        let labels = format!("user=\"{}\"", escaped(&user));
        page.sample(name, &labels, count.get());
    }
}

fn prefixes(page: &mut Page, metrics: &Metrics) {
    type Count = fn(&PrefixCounters, Operation) -> u64;
    let counters: [(&str, &str, Count); 2] = [
        (
            "mainstay_prefix_requests_total",
            "Requests of the KV service by the beginning of their first key.",
            PrefixCounters::requests,
        ),
        (
            "mainstay_prefix_bytes_total",
            "Bytes of keys and values in those requests and their answers.",
            PrefixCounters::bytes,
        ),
    ];
    let all = metrics.prefixes.table.all();
    for (name, help, count) in counters {
        page.head(name, help, "counter");
        for (prefix, counters) in &all {
            for (operation, op) in Operation::ALL {
                let value = count(counters, operation);
                // One that was never seen is left out: there may be many prefixes.
                if value > 0 {
                    let labels = format!("op=\"{op}\",prefix=\"{}\"", escaped(prefix));
                    page.sample(name, &labels, value);
                }
            }
        }
    }
}

fn clients(page: &mut Page, metrics: &Metrics) {
    type Count = fn(&ClientCounters) -> u64;
    let counters: [(&str, &str, Count); 3] = [
        (
            "mainstay_client_requests_total",
            "Requests by who connected: a certificate's common name, or an address.",
            |client| client.requests.get(),
        ),
        (
            "mainstay_client_received_bytes_total",
            "Bytes received from it.",
            |client| client.received_bytes.get(),
        ),
        (
            "mainstay_client_sent_bytes_total",
            "Bytes sent to it.",
            |client| client.sent_bytes.get(),
        ),
    ];
    let all = metrics.clients.all();
    for (name, help, count) in counters {
        page.head(name, help, "counter");
        for (client, counters) in &all {
            page.sample(
                name,
                &format!("client=\"{}\"", escaped(client)),
                count(counters),
            );
        }
    }
}
