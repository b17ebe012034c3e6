//! `selvage budget check`: whether the pools of a deployment fit into its database.

use std::io::Write as _;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context as _, bail, ensure};
use selvage_boot::{Service as _, Tuned, TuningFile};
use selvage_pool::budget::{Check, Client, Server};

/// The services with a database, and the pools of each.
const SERVICES: [(&str, &[Tuned]); 4] = [
    ("catalogue", selvage_catalogue::App::POOLS),
    ("cart", selvage_cart::App::POOLS),
    ("checkout", selvage_checkout::App::POOLS),
    ("delivery", selvage_delivery::App::POOLS),
];

#[derive(clap::Args)]
pub(crate) struct Budget {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Add up the connections that all instances may open, and fail if they don't fit into the database
    Check(CheckArgs),
}

#[derive(clap::Args)]
struct CheckArgs {
    /// The server's max_connections
    #[arg(long, default_value_t = 100, value_name = "N")]
    max_connections: u32,
    /// Of those: superuser_reserved_connections + reserved_connections
    #[arg(long, default_value_t = 3, value_name = "N")]
    reserved: u32,
    /// Kept for the unforeseen
    #[arg(long, default_value_t = 2, value_name = "N")]
    reserve: u32,
    /// Used by others: by default 2 probes, 1 migration and 2 people
    #[arg(long, default_value_t = 5, value_name = "N")]
    others: u32,
    /// A file of tunings, the same that the services get with --pool-file
    #[arg(long, env = "SELVAGE_POOL_FILE", value_name = "FILE")]
    pool_file: Option<PathBuf>,
    /// A service and how many instances it has: NAME:replicas=2,max=3,surge=1,limit=8,floor=2; what isn't said is as here,
    /// and limit and floor are those of its pools together. Once for each service on this database; without any, all four
    #[arg(long = "service", value_name = "NAME:…", verbatim_doc_comment)]
    services: Vec<Asked>,
}

/// What was said of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    name: String,
    replicas: u32,
    max: Option<u32>,
    surge: u32,
    limit: Option<u32>,
    floor: Option<u32>,
}

impl Asked {
    fn of(name: &str) -> Self {
        Self { name: name.to_owned(), replicas: 2, max: None, surge: 1, limit: None, floor: None }
    }
}

impl FromStr for Asked {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, settings) = text.split_once(':').unwrap_or((text, ""));
        if !SERVICES.iter().any(|(known, _)| *known == name) {
            let known = SERVICES.map(|(name, _)| name).join(", ");
            return Err(format!("there is no service '{name}' with a database; there are {known}"));
        }
        let mut asked = Self::of(name);
        for setting in settings.split(',').filter(|setting| !setting.is_empty()) {
            let number = setting.split_once('=').and_then(|(key, value)| Some((key, value.parse::<u32>().ok()?)));
            match number {
                Some(("replicas", number)) => asked.replicas = number,
                Some(("max", number)) => asked.max = Some(number),
                Some(("surge", number)) => asked.surge = number,
                Some(("limit", number)) => asked.limit = Some(number),
                Some(("floor", number)) => asked.floor = Some(number),
                _ => {
                    return Err(format!(
                        "'{setting}' must be replicas, max, surge, limit or floor, with = and a whole number"
                    ));
                }
            }
        }
        if asked.max.is_some_and(|max| max < asked.replicas) {
            return Err(format!("{name}: max = {} is below replicas = {}", asked.max.unwrap_or(0), asked.replicas));
        }
        Ok(asked)
    }
}

/// Prints both sums; an error if one doesn't fit.
pub(crate) fn run(budget: &Budget) -> anyhow::Result<()> {
    let Command::Check(args) = &budget.command;
    let file = args.pool_file.as_deref().map(TuningFile::read).transpose()?;
    if let Some(file) = &file {
        let known: Vec<_> = SERVICES.iter().flat_map(|(_, pools)| pools.iter().map(|pool| pool.name)).collect();
        let unknown: Vec<_> = file.pools().filter(|pool| !known.contains(pool)).collect();
        ensure!(
            unknown.is_empty(),
            "the file of tunings speaks of {}, which no service opens; there are {}",
            unknown.join(", "),
            known.join(", ")
        );
    }
    let all: Vec<_> = SERVICES.iter().map(|(name, _)| Asked::of(name)).collect();
    let asked = if args.services.is_empty() { &all } else { &args.services };
    let clients = asked.iter().map(|asked| client(asked, file.as_ref())).collect::<anyhow::Result<Vec<_>>>()?;
    let CheckArgs { max_connections, reserved, reserve, others, .. } = *args;
    let check = Check::new(Server { max_connections, reserved, reserve, others }, &clients);
    write!(std::io::stdout(), "{check}")?;
    match (check.fixed_fits(), check.floors_fit()) {
        (true, true) => Ok(()),
        (false, true) => bail!("the pools don't fit without an operator"),
        (true, false) => bail!("the floors don't fit: not even an operator could keep within the budget"),
        (false, false) => bail!("the pools don't fit, neither without an operator nor with one"),
    }
}

fn client(asked: &Asked, file: Option<&TuningFile>) -> anyhow::Result<Client> {
    let (_, pools) = SERVICES.iter().find(|(name, _)| *name == asked.name).context("a known service")?;
    let (mut limit, mut floor) = (0, 0);
    for pool in *pools {
        // Its address doesn't matter for the sums.
        let config = pool.config("postgres://localhost/any", file);
        config.validate()?;
        limit += config.limits().limit;
        floor += config.limits().floor;
    }
    let (limit, floor) = (asked.limit.unwrap_or(limit), asked.floor.unwrap_or(floor));
    ensure!(floor <= limit, "{}: a floor of {floor} is above the limit of {limit}", asked.name);
    Ok(Client {
        name: asked.name.clone(),
        replicas: asked.replicas,
        max_replicas: asked.max.unwrap_or(asked.replicas + 1),
        surge: asked.surge,
        limit,
        floor,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_said_in_one_word() {
        let asked: Asked = "cart:replicas=3,max=9,surge=2".parse().unwrap();
        assert_eq!(asked, Asked { replicas: 3, max: Some(9), surge: 2, ..Asked::of("cart") });
        for wrong in ["web", "cart:replicas", "cart:replicas=-1", "cart:replicas=1,hats=2", "cart:replicas=5,max=4"] {
            wrong.parse::<Asked>().expect_err(wrong);
        }
    }

    #[test]
    fn each_services_pools_are_added_up() {
        let client = client(&Asked::of("checkout"), None).unwrap();
        assert_eq!((client.limit, client.floor), (8 + 3 + 2, 2 + 1 + 1));
    }
}
