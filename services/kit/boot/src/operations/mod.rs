//! What a process tells of itself to those who look after it, and the switches of its faults:
//! `selvage.operations.v1.Operations`, served beside the process's own services.
//!
//! A process speaks for itself alone: it shows its own pools, with a sample for each second of the last minute that somebody
//! watched, and starts faults in itself; what names another process, by its boot id, it refuses. A page for people is made of the answers of all processes. Whoever makes it passes on the token of the
//! person who looks, so that the page shows no more than that person may see.

mod looks;
mod parse;
mod sampler;
mod server;
mod totals;
mod view;

use selvage_faults::Faults;
use selvage_identity::Verifier;
use selvage_pool::Pool;
use selvage_proto::operations::v1::operations_server::{OperationsServer, SERVICE_NAME};

use self::looks::Looks;
use self::sampler::{Observed, Sampler};
use self::server::Server;
pub use self::totals::Tally;
use crate::{Database, Host, grpc};

/// The largest request: a fault's is below 200 bytes.
const MAX_REQUEST_BYTES: usize = 4 * 1024;

/// A process's own operations, until they are served.
pub struct Operations {
    faults: Faults,
    host: Host,
    pools: Vec<Observed>,
    tallies: Vec<Tally>,
}

impl Operations {
    /// Its name with the package.
    pub(crate) const NAME: &'static str = SERVICE_NAME;

    /// Of a process whose faults are `host`'s.
    pub fn new(host: &Host) -> Self {
        Self { faults: host.faults.clone(), host: host.clone(), pools: Vec::new(), tallies: Vec::new() }
    }

    /// Adds what `service` counts of its own, and the pools that it has opened on its database, of which it writes to `table`.
    pub fn add(&mut self, service: &'static str, table: &'static str, tallies: &[Tally], database: &Database) {
        let room = sampler::MAX_TALLIES.saturating_sub(self.tallies.len());
        self.tallies.extend(tallies.iter().take(room));
        for pool in database.pools() {
            self.faults.add_pool(pool.clone(), Some(table));
            self.add_pool(service, pool, true);
        }
    }

    fn add_pool(&mut self, service: &'static str, pool: Pool, lockable: bool) {
        if self.pools.len() < sampler::MAX_POOLS {
            self.pools.push(Observed { service, pool, lockable });
        }
    }

    /// Adds the server to those of the process.
    pub fn serve(self, services: &mut grpc::Services) {
        let Self { faults, host, pools, tallies } = self;
        let Host { life, clock, verifier, .. } = host;
        let looks = Looks::new(Sampler::new(pools, tallies, faults.clone(), clock), life.clone());
        let (stopping, all) = (life.stopping(), faults.clone());
        // What faults hold is given back before anybody waits for it.
        life.spawn("faults", async move {
            stopping.await;
            all.stop();
        });
        add(services, Server::new(looks, faults, life), verifier);
    }
}

fn add(services: &mut grpc::Services, server: Server, verifier: Verifier) {
    let server = OperationsServer::new(server).max_decoding_message_size(MAX_REQUEST_BYTES);
    services.add(SERVICE_NAME, |routes| {
        routes.add_service(verifier.guard(server));
    });
}
