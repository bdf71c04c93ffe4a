//! `--enable-distributed-tracing` and what belongs to it.

use http::uri::Authority;

use super::values::Values;

const SAMPLING_RATE_MAX: i64 = 1_000_000;

/// Which requests are traced, and who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracing {
    /// Host and port of the collector.
    pub address: String,
    pub service_name: String,
    /// Empty for none.
    pub instance_id: String,
    /// Share of the requests whose senders do not say; at most a million.
    pub sampling_rate_per_million: u32,
}

/// The texts about the rate are etcd's, which looks at the other flags only when tracing is on.
pub(super) fn tracing(values: &Values) -> Result<Option<Tracing>, String> {
    if !values.bool("enable-distributed-tracing") {
        return Ok(None);
    }
    let bad = |why: &str| {
        Err(format!(
            "distributed tracing configurition is not valid: ({why})"
        ))
    };
    let rate = values.signed("distributed-tracing-sampling-rate");
    if rate < 0 {
        return bad("tracing sampling rate must be positive");
    }
    let rate = match u32::try_from(rate) {
        Ok(fits) if rate <= SAMPLING_RATE_MAX => fits,
        _ => {
            return bad(&format!(
                "tracing sampling rate must be less than {SAMPLING_RATE_MAX}"
            ));
        }
    };
    let address = values.text("distributed-tracing-address");
    let parsed = address.parse::<Authority>();
    if !parsed.is_ok_and(|parsed| parsed.port_u16().is_some()) {
        return Err(format!(
            "--distributed-tracing-address {address:?} must be \"host:port\", without a scheme"
        ));
    }
    Ok(Some(Tracing {
        address: address.to_owned(),
        service_name: values.text("distributed-tracing-service-name").to_owned(),
        instance_id: values.text("distributed-tracing-instance-id").to_owned(),
        sampling_rate_per_million: rate,
    }))
}
