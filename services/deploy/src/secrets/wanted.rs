//! What Secrets a shop has, and which of them is to be made next: decided from those that are there.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use selvage_boot::LIST_HEADER;
use selvage_holders::HOLDERS;
use selvage_identity::{IssuerKey, IssuerKeys, KeyError, TrustedKeys};

/// A Secret's values, by their keys.
pub(super) type Values = BTreeMap<String, String>;

/// The services with a database, which has an owner beside the service's own role.
const STORED: [&str; 4] = ["catalogue", "cart", "checkout", "delivery"];
/// The administrator of the databases' server.
const SUPERUSER: &str = "superuser";
/// The role by which the operator looks at the server.
const OPERATOR: &str = "operator";
/// The key of the value in a holder's Secret, and in that of the list.
const KEY: &str = "key";
const TRUSTED: &str = "trusted-keys";

/// The Secrets of a shop.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    prefix: String,
    passwords: bool,
}

/// How what is new is made.
pub(super) struct Make<'a> {
    pub(super) key: &'a dyn Fn() -> Result<IssuerKey, KeyError>,
    pub(super) password: &'a dyn Fn() -> String,
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// This Secret is to be made. If somebody else makes it first, theirs counts.
    Create { name: String, values: Values },
    /// Nothing more.
    Done,
}

impl Wanted {
    pub(super) fn new(prefix: &str, passwords: bool) -> Self {
        Self { prefix: prefix.to_owned(), passwords }
    }

    /// The names of all Secrets.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = HOLDERS.iter().map(|holder| self.key_of(holder.name)).collect();
        names.push(self.trusted());
        names.extend(self.passwords.then(|| self.postgres()));
        names
    }

    fn key_of(&self, holder: &str) -> String {
        format!("{}-key-{holder}", self.prefix)
    }

    fn trusted(&self) -> String {
        format!("{}-{TRUSTED}", self.prefix)
    }

    fn postgres(&self) -> String {
        format!("{}-postgres", self.prefix)
    }

    /// What is to be made next where the Secrets `there` are. The keys come before the list of those who are trusted, which is
    /// made of all keys that are there then. Nothing is ever changed, so a list that is there has every key's line, however
    /// often and wherever its making was interrupted, and however many make it at once.
    ///
    /// # Errors
    /// If a Secret that is there isn't what it must be, in words that never repeat a value.
    pub(super) fn next(&self, there: &BTreeMap<String, Values>, make: &Make<'_>) -> anyhow::Result<Next> {
        let list = there.get(&self.trusted()).map(|values| self.list(values)).transpose()?;
        let mut lines = LIST_HEADER.to_owned();
        for holder in &HOLDERS {
            let name = self.key_of(holder.name);
            let Some(values) = there.get(&name) else {
                ensure!(
                    list.is_none(),
                    "the Secret {name} is gone, and {} is there, which would not trust a new key: bring {name} back; or delete {} \
                     too and run this again, which makes a new list of the keys that are there and a new one for {}",
                    self.trusted(),
                    self.trusted(),
                    holder.name
                );
                let key = (make.key)()?;
                return Ok(Next::Create { name, values: one(KEY, key.secret_text() + "\n") });
            };
            let key = values.get(KEY).with_context(|| format!("the Secret {name} has no value '{KEY}'"))?;
            let keys = IssuerKeys::parse(key).with_context(|| format!("in '{KEY}' of the Secret {name}"))?;
            if let Some(list) = &list {
                let roles = list.roles_of(keys.first()).unwrap_or_default();
                ensure!(
                    holder.roles.iter().all(|role| roles.contains(role)),
                    "the list in the Secret {} doesn't trust the key in {name} with its roles, so its tokens are refused: add \
                     its line; or delete {} and run this again, which makes it of the keys that are there",
                    self.trusted(),
                    self.trusted()
                );
            }
            keys.iter().for_each(|key| lines.push_str(&holder.line(key)));
        }
        if list.is_none() {
            return Ok(Next::Create { name: self.trusted(), values: one(TRUSTED, lines) });
        }
        if self.passwords {
            let Some(values) = there.get(&self.postgres()) else {
                let values = roles().map(|role| (role, (make.password)())).collect();
                return Ok(Next::Create { name: self.postgres(), values });
            };
            if let Some(role) = roles().find(|role| values.get(role).is_none_or(String::is_empty)) {
                bail!(
                    "the Secret {} has no password for '{role}': add one, and set it at the database",
                    self.postgres()
                );
            }
        }
        Ok(Next::Done)
    }

    fn list(&self, values: &Values) -> anyhow::Result<TrustedKeys> {
        let name = self.trusted();
        let text = values.get(TRUSTED).with_context(|| format!("the Secret {name} has no value '{TRUSTED}'"))?;
        TrustedKeys::parse(text, selvage_proto::is_rpc).with_context(|| format!("in '{TRUSTED}' of the Secret {name}"))
    }
}

fn one(key: &str, value: String) -> Values {
    BTreeMap::from([(key.to_owned(), value)])
}

/// Who has a password at the database.
fn roles() -> impl Iterator<Item = String> {
    let services = STORED.into_iter().flat_map(|service| [service.to_owned(), format!("{service}-owner")]);
    [SUPERUSER, OPERATOR].map(ToOwned::to_owned).into_iter().chain(services)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use selvage_identity::Role;

    use super::*;

    type Cluster = BTreeMap<String, Values>;

    const MAKE: Make<'static> = Make { key: &IssuerKey::generate, password: &|| "a password".to_owned() };

    /// Somebody who makes the set: they know what they have read, and make one Secret at a time.
    struct Job {
        wanted: Wanted,
        known: Cluster,
    }

    impl Job {
        /// Reads what is there, as each does at its start.
        fn start(cluster: &Cluster) -> Self {
            Self { wanted: Wanted::new("shop", true), known: cluster.clone() }
        }

        /// Makes one Secret; whether there is nothing more to do.
        fn step(&mut self, cluster: &mut Cluster) -> bool {
            match self.wanted.next(&self.known, &MAKE).expect("a sound set") {
                Next::Done => true,
                Next::Create { name, values } => {
                    // As the API server does: the first one wins, and the others read what it made.
                    let values = cluster.entry(name.clone()).or_insert(values).clone();
                    assert!(self.known.insert(name, values).is_none());
                    false
                }
            }
        }

        fn finish(mut self, cluster: &mut Cluster) {
            let secrets = self.wanted.names().len();
            let ended = (0..=secrets).any(|_| self.step(cluster));
            assert!(ended, "a Secret a step, and one look at the end");
        }
    }

    /// Every key is trusted with the roles and rpcs of its holder, and nothing else is.
    fn is_whole(cluster: &Cluster) {
        let wanted = Wanted::new("shop", true);
        assert_eq!(cluster.keys().collect::<Vec<_>>(), {
            let mut names = wanted.names();
            names.sort();
            names.iter().map(|name| cluster.get_key_value(name).expect(name).0).collect::<Vec<_>>()
        });
        let list = &cluster["shop-trusted-keys"]["trusted-keys"];
        let mut lines = list.lines().filter(|line| !line.starts_with('#'));
        for holder in HOLDERS {
            let key = IssuerKey::parse(&cluster[&format!("shop-key-{}", holder.name)]["key"]).unwrap();
            assert_eq!(lines.next(), Some(holder.line(&key).trim_end()));
        }
        assert_eq!(lines.next(), None);
        assert_eq!(cluster["shop-postgres"].len(), 10);
    }

    proptest! {
        // Each makes some dozen keys, which takes a debug build 10 ms.
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Several make the set at once, each at its own pace; each may be killed, and another start later.
        #[test]
        fn a_set_is_whole_however_it_is_made(turns in prop::collection::vec((0_usize..3, 0_u8..5), 0..60)) {
            let mut cluster = Cluster::new();
            let mut jobs: [Option<Job>; 3] = [None, None, None];
            for (who, what) in turns {
                match (&mut jobs[who], what) {
                    (Some(_), 0) => jobs[who] = None,
                    (Some(job), _) => drop(job.step(&mut cluster)),
                    (none, _) => *none = Some(Job::start(&cluster)),
                }
            }
            let mut last = Job::start(&cluster);
            for job in jobs.into_iter().flatten() {
                job.finish(&mut cluster);
            }
            last.known.clone_from(&cluster);
            last.finish(&mut cluster);
            is_whole(&cluster);
            let before = cluster.clone();
            Job::start(&cluster).finish(&mut cluster);
            prop_assert!(before == cluster, "a second time nothing is done");
        }
    }

    fn whole() -> Cluster {
        let mut cluster = Cluster::new();
        Job::start(&cluster).finish(&mut cluster);
        cluster
    }

    fn refused(cluster: &Cluster) -> String {
        let Err(error) = Wanted::new("shop", true).next(cluster, &MAKE) else { panic!("it was accepted") };
        let said = format!("{error:#}");
        for values in cluster.values() {
            let is_told = |value: &String| !value.is_empty() && said.contains(value.trim());
            assert!(!values.values().any(is_told), "it tells a secret");
        }
        said
    }

    #[test]
    fn what_doesnt_fit_together_is_refused_with_the_remedy() {
        let mut cluster = whole();
        cluster.remove("shop-key-checkout");
        let said = refused(&cluster);
        assert!(said.contains("shop-key-checkout is gone") && said.contains("delete shop-trusted-keys"), "{said}");
        // That remedy works, and the other keys are kept.
        let web = cluster["shop-key-web"].clone();
        cluster.remove("shop-trusted-keys");
        Job::start(&cluster).finish(&mut cluster);
        is_whole(&cluster);
        assert_eq!(cluster["shop-key-web"], web);

        let stranger = IssuerKey::generate().unwrap();
        for (name, key, value, words) in [
            ("shop-key-web", "key", stranger.secret_text(), "doesn't trust the key in shop-key-web"),
            ("shop-key-web", "key", "k4.secret.torn".to_owned(), "'key' of the Secret shop-key-web: not a secret key"),
            (
                "shop-trusted-keys",
                "trusted-keys",
                "wizard x".to_owned(),
                "Secret shop-trusted-keys: line 1: there is no role",
            ),
            ("shop-postgres", "cart-owner", String::new(), "no password for 'cart-owner'"),
        ] {
            let mut cluster = whole();
            cluster.get_mut(name).unwrap().insert(key.to_owned(), value);
            assert!(refused(&cluster).contains(words), "{}", refused(&cluster));
            cluster.insert(name.to_owned(), Values::new());
            assert!(refused(&cluster).contains(name), "{}", refused(&cluster));
        }
    }

    #[test]
    fn lines_that_others_added_to_the_list_are_fine() {
        let mut cluster = whole();
        let list = cluster.get_mut("shop-trusted-keys").unwrap().get_mut("trusted-keys").unwrap();
        list.push_str(&TrustedKeys::line(&[Role::Guest], &IssuerKey::generate().unwrap(), &[]));
        assert!(Wanted::new("shop", true).next(&cluster, &MAKE).unwrap() == Next::Done);
    }

    #[test]
    fn without_passwords_there_is_no_secret_for_them() {
        let wanted = Wanted::new("shop", false);
        assert!(!wanted.names().contains(&"shop-postgres".to_owned()));
        let mut cluster = whole();
        cluster.remove("shop-postgres");
        assert!(wanted.next(&cluster, &MAKE).unwrap() == Next::Done);
    }
}
