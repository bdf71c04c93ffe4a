//! Quotas as requests are held against them, one after the other: all that a request needs is there, or nothing is taken.

use std::collections::BTreeMap;

use objects::amounts::{self, Amounts};
use objects::quantity::Quantity;
use objects::quota;
use objects::{Value, meta};
use serde_json::json;

use super::asked::{Asked, Charge};

/// One quota, with what the requests so far take out of it.
#[derive(Debug, Clone)]
pub(super) struct Account {
    value: Value,
    /// The revision that it was read at.
    pub(super) revision: i64,
    hard: Amounts,
    used: Amounts,
    pub(super) is_changed: bool,
}

/// The quotas of a namespace, by name. Those that are not there limit nothing.
pub(super) type Ledger = BTreeMap<String, Account>;

impl Account {
    pub(super) fn new(value: Value, revision: i64) -> Account {
        Account {
            hard: amounts::at(&value, &["status", "hard"]),
            used: amounts::at(&value, &["status", "used"]),
            value,
            revision,
            is_changed: false,
        }
    }

    /// The object with what is used of it now.
    pub(super) fn to_value(&self) -> Value {
        let mut value = self.value.clone();
        for (name, amount) in &self.used {
            value["status"]["used"][name] = json!(amount.to_string());
        }
        value
    }

    /// Why there is no room.
    fn refusal(&self, asked: &Asked, charge: &Charge) -> Option<String> {
        let name = meta::name(&self.value);
        let counted = |name: &&String| quota::counts(&asked.group, &asked.plural, name);
        let counted: Vec<&str> = self
            .hard
            .keys()
            .filter(counted)
            .map(String::as_str)
            .collect();
        if counted.iter().any(|name| !self.used.contains_key(*name)) {
            let names = counted.join(",");
            return Some(format!(
                "status unknown for quota: {name}, resources: {names}"
            ));
        }
        let mut exceeded = [const { Vec::new() }; 3];
        for (kind, amount) in &charge.amounts {
            let (Some(used), Some(hard)) = (self.used.get(kind), self.hard.get(kind)) else {
                continue;
            };
            if used.add(amount) > *hard && !asked.may_exceed {
                for (texts, amount) in exceeded.iter_mut().zip([amount, used, hard]) {
                    texts.push(format!("{kind}={amount}"));
                }
            }
        }
        let [requested, used, hard] = exceeded.map(|texts| texts.join(","));
        (!requested.is_empty()).then(|| {
            format!("exceeded quota: {name}, requested: {requested}, used: {used}, limited: {hard}")
        })
    }

    fn take(&mut self, amounts: &Amounts) {
        for (name, amount) in amounts {
            if self.hard.contains_key(name)
                && let Some(used) = self.used.get_mut(name)
            {
                *used = used.add(amount);
                self.is_changed = true;
            }
        }
    }

    /// Gives back what a request took that is refused after all. Where the quota was counted anew meanwhile, without that request,
    /// there may be nothing to give back.
    pub(super) fn give_back(&mut self, amounts: &Amounts) {
        for (name, amount) in amounts {
            if let Some(used) = self.used.get_mut(name) {
                let less = used.sub(amount);
                *used = if less.sign() < 0 {
                    Quantity::zero()
                } else {
                    less
                };
                self.is_changed = true;
            }
        }
    }
}

/// Takes what a request needs out of the quotas that are in the ledger: all of it, or nothing.
///
/// # Errors
///
/// If there is no room, with the reason.
pub(super) fn take(ledger: &mut Ledger, asked: &Asked) -> Result<(), String> {
    for charge in &asked.charges {
        let account = ledger.get(&charge.quota);
        if let Some(why) = account.and_then(|account| account.refusal(asked, charge)) {
            return Err(why);
        }
    }
    // Whoever only tries takes nothing.
    if asked.dry_run {
        return Ok(());
    }
    for charge in &asked.charges {
        if let Some(account) = ledger.get_mut(&charge.quota) {
            account.take(&charge.amounts);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str, hard: Value, used: Value) -> (String, Account) {
        let value = json!({"metadata": {"name": name}, "status": {"hard": hard, "used": used}});
        (name.to_owned(), Account::new(value, 1))
    }

    fn pods(charges: &[(&str, Value)]) -> Asked {
        let charge = |(quota, amounts): &(&str, Value)| Charge {
            quota: (*quota).to_owned(),
            amounts: amounts::at(amounts, &[]),
        };
        Asked {
            group: String::new(),
            plural: "pods".to_owned(),
            charges: charges.iter().map(charge).collect(),
            may_exceed: false,
            dry_run: false,
        }
    }

    fn used(ledger: &Ledger, name: &str) -> Value {
        ledger[name].to_value()["status"]["used"].clone()
    }

    #[test]
    fn a_pod_takes_its_part_of_a_quota_until_nothing_is_left() {
        let hard = json!({"pods": "2", "requests.cpu": "1"});
        let of_one = json!({"pods": "1", "requests.cpu": "500m"});
        let mut ledger = Ledger::from([account("q", hard, of_one.clone())]);
        let asked = pods(&[(
            "q",
            json!({"pods": "1", "requests.cpu": "500m", "cpu": "500m"}),
        )]);
        take(&mut ledger, &asked).unwrap();
        let full = json!({"pods": "2", "requests.cpu": "1"});
        assert_eq!(used(&ledger, "q"), full);
        assert_eq!(
            take(&mut ledger, &asked).unwrap_err(),
            "exceeded quota: q, requested: pods=1,requests.cpu=500m, used: pods=2,requests.cpu=1, limited: pods=2,requests.cpu=1"
        );
        let mut reported = asked.clone();
        reported.may_exceed = true;
        take(&mut ledger, &reported).unwrap();
        assert_eq!(used(&ledger, "q")["pods"], "3");
        ledger
            .get_mut("q")
            .unwrap()
            .give_back(&asked.charges[0].amounts);
        assert_eq!(used(&ledger, "q"), full);
    }

    #[test]
    fn a_full_quota_takes_nothing_out_of_the_others() {
        let mut ledger = Ledger::from([
            account("a", json!({"pods": "5"}), json!({"pods": "0"})),
            account("b", json!({"pods": "1"}), json!({"pods": "1"})),
        ]);
        let one = json!({"pods": "1"});
        let asked = pods(&[("a", one.clone()), ("b", one.clone())]);
        assert!(take(&mut ledger, &asked).is_err());
        assert_eq!(used(&ledger, "a"), json!({"pods": "0"}));
        assert!(!ledger["a"].is_changed);
    }

    #[test]
    fn whoever_only_tries_takes_nothing_and_is_refused_all_the_same() {
        let quota = account("q", json!({"pods": "1"}), json!({"pods": "0"}));
        let mut ledger = Ledger::from([quota]);
        let one = json!({"pods": "1"});
        let mut asked = pods(&[("q", one.clone())]);
        asked.dry_run = true;
        take(&mut ledger, &asked).unwrap();
        assert!(!ledger["q"].is_changed);
        asked.charges[0].amounts = amounts::at(&json!({"pods": "2"}), &[]);
        assert!(take(&mut ledger, &asked).is_err());
    }

    #[test]
    fn a_quota_that_nobody_counted_yet_refuses() {
        let mut ledger = Ledger::from([account(
            "q",
            json!({"requests.cpu": "1", "pods": "1", "services": "1"}),
            json!({"pods": "0"}),
        )]);
        assert_eq!(
            take(&mut ledger, &pods(&[("q", json!({"pods": "1"}))])).unwrap_err(),
            "status unknown for quota: q, resources: pods,requests.cpu"
        );
        // One that is not there any more limits nothing.
        take(&mut ledger, &pods(&[("gone", json!({"pods": "1"}))])).unwrap();
    }
}
