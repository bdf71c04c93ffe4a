//! From options and a function to a test; whatever is wrong with them is said at compile time, with what is allowed.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ItemFn, Lit, LitStr, MetaNameValue, Result, Token};

const OPTIONS: &str = "target, faults, seed_env and budget";
/// Bounds of a budget, in seconds; those of `chaos run --duration`.
const SECONDS_MIN: u64 = 2;
const SECONDS_MAX: u64 = 7 * 24 * 3600;

struct Options {
    target: LitStr,
    faults: LitStr,
    seed_env: LitStr,
    budget: LitStr,
}

pub(crate) fn expand(options: TokenStream, function: TokenStream) -> Result<TokenStream> {
    let options = parse(options)?;
    let mut function: ItemFn = syn::parse2(function)?;
    look_at(&function)?;
    let seconds = seconds(&options.budget)?;
    let Options {
        target,
        faults,
        seed_env,
        ..
    } = &options;
    let attributes = std::mem::take(&mut function.attrs);
    let visibility = std::mem::replace(&mut function.vis, syn::Visibility::Inherited);
    let (name, output) = (function.sig.ident.clone(), function.sig.output.clone());
    // The table of faults is the library's, so it is the library that looks, while this is compiled.
    let known = quote_spanned! {faults.span()=>
        const _: () = ::chaos::attribute::check_faults(#faults);
    };
    Ok(quote! {
        #(#attributes)*
        #[::core::prelude::v1::test]
        #visibility fn #name() #output {
            #known
            #function
            ::chaos::attribute::run(
                &::chaos::attribute::Options {
                    test: concat!(module_path!(), "::", stringify!(#name)),
                    target: #target,
                    faults: #faults,
                    seed_env: #seed_env,
                    seconds: #seconds,
                },
                #name,
            )
        }
    })
}

fn parse(options: TokenStream) -> Result<Options> {
    let word = |text: &str| LitStr::new(text, proc_macro2::Span::call_site());
    let mut parsed = Options {
        target: word("etcd"),
        faults: word("kill,pause"),
        seed_env: word("CHAOS_SEED"),
        budget: word("30s"),
    };
    let list = Punctuated::<MetaNameValue, Token![,]>::parse_terminated;
    for option in list.parse2(options)? {
        let name = option
            .path
            .get_ident()
            .map(ToString::to_string)
            .unwrap_or_default();
        let place = match name.as_str() {
            "target" => &mut parsed.target,
            "faults" => &mut parsed.faults,
            "seed_env" => &mut parsed.seed_env,
            "budget" => &mut parsed.budget,
            _ => {
                let words = format!("no such option; there are {OPTIONS}");
                return Err(Error::new_spanned(&option.path, words));
            }
        };
        *place = text(&option)?;
    }
    Ok(parsed)
}

fn text(option: &MetaNameValue) -> Result<LitStr> {
    if let Expr::Lit(value) = &option.value
        && let Lit::Str(text) = &value.lit
        && !text.value().is_empty()
    {
        return Ok(text.clone());
    }
    let words = "an option is a text in quotes, such as budget = \"60s\"";
    Err(Error::new_spanned(&option.value, words))
}

fn look_at(function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    let shape = "a chaos test is `async fn name(chaos: chaos::Chaos)`";
    if signature.asyncness.is_none() || !signature.generics.params.is_empty() {
        return Err(Error::new_spanned(signature.fn_token, shape));
    }
    if signature.inputs.len() != 1 {
        return Err(Error::new_spanned(&signature.ident, shape));
    }
    Ok(())
}

/// `90s`, `10m`, `2h`.
fn seconds(budget: &LitStr) -> Result<u64> {
    let text = budget.value();
    let units = [("s", 1), ("m", 60), ("h", 3600)];
    let read = units.iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(*seconds)
    });
    read.filter(|seconds| (SECONDS_MIN..=SECONDS_MAX).contains(seconds))
        .ok_or_else(|| {
            let words = format!(
                "a budget is a time such as \"60s\", \"5m\" or \"1h\", from {SECONDS_MIN} s to 7 days"
            );
            Error::new_spanned(budget, words)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(options: TokenStream, function: TokenStream) -> String {
        expand(options, function).unwrap_err().to_string()
    }

    fn good() -> TokenStream {
        quote!(
            async fn lock(chaos: chaos::Chaos) {}
        )
    }

    #[test]
    fn an_option_that_is_unknown_is_answered_with_those_there_are() {
        let words = error(quote!(fault = "kill"), good());
        assert!(words.contains(OPTIONS), "{words}");
    }

    #[test]
    fn a_budget_without_a_unit_is_answered_with_examples() {
        for budget in ["60", "60 s", "1s", "9000h", "s", "99999999999999999999h"] {
            let words = error(quote!(budget = #budget), good());
            assert!(words.contains("\"60s\""), "{budget}: {words}");
        }
    }

    #[test]
    fn an_option_that_is_no_text_is_refused() {
        let words = error(quote!(budget = 60), good());
        assert!(words.contains("in quotes"), "{words}");
    }

    #[test]
    fn a_function_of_another_shape_is_answered_with_the_right_one() {
        for function in [
            quote!(
                fn lock(chaos: chaos::Chaos) {}
            ),
            quote!(
                async fn lock() {}
            ),
        ] {
            let words = error(TokenStream::new(), function);
            assert!(words.contains("async fn name(chaos"), "{words}");
        }
    }

    #[test]
    fn options_reach_the_test_and_what_is_left_out_has_a_value() {
        let options = quote!(faults = "kill-leader", budget = "2m");
        let test = expand(options, good()).unwrap().to_string();
        for wanted in ["\"kill-leader\"", "120u64", "\"etcd\"", "\"CHAOS_SEED\""] {
            assert!(test.contains(wanted), "{wanted}: {test}");
        }
    }
}
