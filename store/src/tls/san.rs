//! Whether a member calls from a host that its certificate names, as etcd asks it of peers.

use std::net::IpAddr;

use super::certificate::Certificate;

/// A certificate without names of hosts is good from everywhere. The text is etcd's.
pub(super) async fn check(certificate: &Certificate, from: IpAddr) -> Result<(), String> {
    let from = from.to_canonical();
    if certificate.ip_addresses.is_empty() && certificate.dns_names.is_empty() {
        return Ok(());
    }
    if certificate.ip_addresses.contains(&from) {
        return Ok(());
    }
    for name in certificate
        .dns_names
        .iter()
        .filter(|name| !name.contains('*'))
    {
        let addresses = tokio::net::lookup_host((name.as_str(), 0)).await;
        if addresses.is_ok_and(|mut found| found.any(|found| found.ip().to_canonical() == from)) {
            return Ok(());
        }
    }
    Err(format!(
        "tls: \"{from}\" does not match any of DNSNames {:?} or IP addresses {:?}",
        certificate.dns_names, certificate.ip_addresses
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_certificate_is_good_from_the_hosts_it_names() {
        let here: IpAddr = "127.0.0.1".parse().unwrap();
        let there: IpAddr = "192.0.2.1".parse().unwrap();
        let mapped: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
        let nobody = Certificate::default();
        assert_eq!(check(&nobody, there).await, Ok(()));
        let by_address = Certificate {
            ip_addresses: vec![here],
            ..Certificate::default()
        };
        assert_eq!(check(&by_address, here).await, Ok(()));
        assert_eq!(check(&by_address, mapped).await, Ok(()));
        assert!(check(&by_address, there).await.is_err());
        let by_name = Certificate {
            dns_names: vec!["localhost".to_owned(), "*.example".to_owned()],
            ..Certificate::default()
        };
        assert_eq!(check(&by_name, here).await, Ok(()));
        assert!(check(&by_name, there).await.is_err());
    }
}
