//! `#[chaos::test]`: an async function that breaks a cluster, as an ordinary test.

mod expand;

use proc_macro::TokenStream;

/// Makes a test of an async function that takes a `chaos::Chaos`, calls `run` on it and says what it expects.
///
/// - `target`: what is broken, as `chaos run --target` takes it; `etcd` if it is left out
/// - `faults`: kinds of faults or scenarios, with commas between them; `kill,pause` if it is left out
/// - `seed_env`: the variable that gives a seed back; `CHAOS_SEED` if it is left out
/// - `budget`: how long faults go on, such as `60s`, `5m` or `1h`; `30s` if it is left out
///
/// A test that ends without a run fails.
#[proc_macro_attribute]
pub fn test(options: TokenStream, function: TokenStream) -> TokenStream {
    expand::expand(options.into(), function.into())
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}
