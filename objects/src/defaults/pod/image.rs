//! What the reference of an image says about when it is pulled.

/// `Always` for what may be another image tomorrow, `IfNotPresent` for all else, also for what is no reference.
pub(super) fn pull_policy(reference: &str) -> &'static str {
    let (named, digest) = match reference.split_once('@') {
        Some((named, digest)) => (named, Some(digest)),
        None => (reference, None),
    };
    let tail = named.rfind('/').map_or(0, |slash| slash + 1);
    let (repository, tag) = match named[tail..].split_once(':') {
        Some((_, tag)) => (&named[..named.len() - tag.len() - 1], Some(tag)),
        None => (named, None),
    };
    let latest = tag.map_or(digest.is_none(), |tag| tag == "latest");
    if latest && is_repository(repository) {
        "Always"
    } else {
        "IfNotPresent"
    }
}

/// A path of lower case components, with a host before it that may have a port.
fn is_repository(repository: &str) -> bool {
    let (host, path) = match repository.split_once('/') {
        Some((host, path))
            if host.contains(['.', ':'])
                || host == "localhost"
                || host.chars().any(char::is_uppercase) =>
        {
            (Some(host), path)
        }
        _ => (None, repository),
    };
    host.is_none_or(is_host) && path.split('/').all(is_component)
}

fn is_host(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "0"));
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    digits
        && name.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

/// Lower case words between single dots, one or two underscores, or dashes.
fn is_component(component: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends = bytes.first().is_some_and(|byte| word(*byte))
        && bytes.last().is_some_and(|byte| word(*byte));
    ends && bytes
        .iter()
        .all(|byte| word(*byte) || b"._-".contains(byte))
        && component
            .split(|character: char| character.is_ascii_alphanumeric())
            .all(|separator| {
                matches!(separator, "" | "." | "_" | "__") || separator.trim_matches('-').is_empty()
            })
}

#[cfg(test)]
mod tests {
    use super::pull_policy;

    #[test]
    fn images_that_may_change_are_always_pulled() {
        for reference in [
            "nginx",
            "nginx:latest",
            "library/nginx",
            "host:5000/nginx",
            "Host/nginx",
            "a.b/c_d/e--f",
        ] {
            assert_eq!(pull_policy(reference), "Always", "{reference}");
        }
        let digest =
            "nginx@sha256:0123456789012345678901234567890123456789012345678901234567890123";
        for reference in [
            "nginx:1",
            "host:5000/nginx:1",
            digest,
            "Nginx",
            "",
            "a//b",
            "a.-b",
        ] {
            assert_eq!(pull_policy(reference), "IfNotPresent", "{reference}");
        }
    }
}
