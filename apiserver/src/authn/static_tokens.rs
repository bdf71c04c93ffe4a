//! Tokens of `--token-auth-file`, which are good as long as the server runs.

use std::collections::HashMap;

use super::csv;
use crate::user::User;

/// Token, user, uid.
const COLUMNS_MIN: usize = 3;

/// The users of a token file by their tokens.
#[derive(Debug, Default)]
pub struct StaticTokens {
    users: HashMap<String, User>,
}

impl StaticTokens {
    /// The tokens of a file's text. The path is for messages.
    ///
    /// # Errors
    /// What is wrong with the file, for the operator.
    pub fn parse(path: &str, text: &str) -> Result<StaticTokens, String> {
        let mut users = HashMap::new();
        for (index, record) in csv::records(text)?.into_iter().enumerate() {
            let number = index + 1;
            let [token, name, uid, more @ ..] = record.as_slice() else {
                return Err(format!(
                    "token file '{path}' must have at least {COLUMNS_MIN} columns (token, user name, user uid), found {}",
                    record.len()
                ));
            };
            if token.is_empty() {
                tracing::warn!(path, number, "a record of the token file has no token");
                continue;
            }
            let groups = more.first().map_or_else(Vec::new, |groups| {
                groups.split(',').map(str::to_owned).collect()
            });
            let user = User {
                name: name.clone(),
                uid: uid.clone(),
                groups,
                ..User::default()
            };
            if users.insert(token.clone(), user).is_some() {
                tracing::warn!(path, number, "a token stands in the token file twice");
            }
        }
        Ok(StaticTokens { users })
    }

    pub(super) fn identify(&self, token: &str) -> Option<User> {
        self.users.get(token).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_token_user_uid_and_groups() {
        let text = "t1,alice,u1,\"devs,ops\"\nt2,bob,u2\n,nobody,u3\nt2,carl,u4,\"\"\n";
        let tokens = StaticTokens::parse("f", text).unwrap();
        let alice = tokens.identify("t1").unwrap();
        assert_eq!((alice.name.as_str(), alice.uid.as_str()), ("alice", "u1"));
        assert_eq!(alice.groups, ["devs", "ops"]);
        assert_eq!(tokens.identify("t2").unwrap().name, "carl");
        assert_eq!(tokens.identify(""), None);
        assert_eq!(tokens.identify("t3"), None);
    }

    #[test]
    fn a_record_with_too_few_columns_is_refused() {
        assert_eq!(
            StaticTokens::parse("/tokens", "t1,alice").unwrap_err(),
            "token file '/tokens' must have at least 3 columns (token, user name, user uid), found 2"
        );
    }
}
