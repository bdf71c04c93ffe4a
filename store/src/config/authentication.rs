//! `--auth-token` and what belongs to it.

use std::path::PathBuf;
use std::time::Duration;

use super::go;
use super::values::Values;
use crate::authn::SignMethod;

/// bcrypt's own bounds and usual cost.
const BCRYPT_COST_MIN: u32 = 4;
const BCRYPT_COST_MAX: u32 = 31;
const BCRYPT_COST_DEFAULT: u32 = 10;
/// etcd's default for the `ttl` of signed tokens.
const JWT_TTL_DEFAULT: Duration = Duration::from_secs(5 * 60);

/// How users prove who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentication {
    pub token: TokenKind,
    /// Time that a simple token is good for after each use.
    pub token_ttl: Duration,
    pub bcrypt_cost: u32,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenKind {
    /// Letters that the members remember.
    Simple,
    /// Signed claims.
    Jwt(JwtOptions),
}

/// The options behind `jwt,`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtOptions {
    pub sign_method: SignMethod,
    pub public_key: Option<PathBuf>,
    pub private_key: Option<PathBuf>,
    pub ttl: Duration,
}

pub(super) fn authentication(values: &mut Values) -> Result<Authentication, String> {
    let token_ttl = match values.unsigned("auth-token-ttl") {
        0 => values.default_unsigned("auth-token-ttl"),
        seconds => seconds,
    };
    Ok(Authentication {
        token: token_kind(values)?,
        token_ttl: Duration::from_secs(token_ttl),
        bcrypt_cost: bcrypt_cost(values),
    })
}

/// etcd takes the usual cost for one that cannot be.
fn bcrypt_cost(values: &mut Values) -> u32 {
    let given = values.unsigned("bcrypt-cost");
    match u32::try_from(given) {
        Ok(cost @ BCRYPT_COST_MIN..=BCRYPT_COST_MAX) => cost,
        _ => {
            values.warnings.push(format!(
                "--bcrypt-cost[{given}] is not between {BCRYPT_COST_MIN} and {BCRYPT_COST_MAX}; \
                 {BCRYPT_COST_DEFAULT} is used"
            ));
            BCRYPT_COST_DEFAULT
        }
    }
}

fn token_kind(values: &mut Values) -> Result<TokenKind, String> {
    let text = values.text("auth-token").to_owned();
    let (kind, options) = text.split_once(',').unwrap_or((&text, ""));
    match kind {
        "simple" => Ok(TokenKind::Simple),
        "jwt" => jwt(options, &mut values.warnings).map(TokenKind::Jwt),
        other => Err(format!(
            "--auth-token {other:?} is not known: use simple, or jwt with its options"
        )),
    }
}

fn jwt(text: &str, warnings: &mut Vec<String>) -> Result<JwtOptions, String> {
    let (mut sign_method, mut public_key, mut private_key) = (None, None, None);
    let mut ttl = JWT_TTL_DEFAULT;
    for option in text.split(',').filter(|option| !option.is_empty()) {
        let (name, value) = option
            .split_once('=')
            .ok_or_else(|| format!("--auth-token: {option:?} is not name=value"))?;
        match name {
            "pub-key" => public_key = Some(PathBuf::from(value)),
            "priv-key" => private_key = Some(PathBuf::from(value)),
            "sign-method" => {
                let method = SignMethod::parse(value);
                sign_method = Some(method.ok_or_else(|| {
                    format!(
                        "--auth-token: sign-method {value:?} is not known: use HS256, HS384, HS512, RS256, RS384, \
                         RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA"
                    )
                })?);
            }
            "ttl" => {
                let parsed = go::parse_duration(value);
                ttl = parsed
                    .ok_or_else(|| format!("--auth-token: ttl {value:?} is no time: use 5m"))?;
            }
            other => warnings.push(format!("--auth-token: unknown option {other:?} of jwt")),
        }
    }
    Ok(JwtOptions {
        sign_method: sign_method
            .ok_or("--auth-token: jwt needs sign-method, and the files of its keys")?,
        public_key,
        private_key,
        ttl,
    })
}
