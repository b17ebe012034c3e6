//! What a process tells of itself to those who look after it, and the switches of its faults: `selvage.operations.v1.Operations`, served beside
//! the process's own services.
//!
//! A process speaks for itself alone: it shows its own pools, with a sample for each second of the last minute, and starts
//! faults in itself. A page for people is made of the answers of all processes. Whoever makes it passes on the token of the
//! person who looks, so that the page shows no more than that person may see.

mod parse;
mod sampler;
mod server;
mod totals;
mod view;

use std::sync::Arc;
use std::time::Duration;

use selvage_faults::Faults;
use selvage_identity::Verifier;
use selvage_pool::Pool;
use selvage_proto::operations::v1::operations_server::{OperationsServer, SERVICE_NAME};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use self::sampler::{Observed, Sampler};
use self::server::Server;
use crate::{Database, Host, Life, grpc};

/// How often a process looks at itself.
const EVERY: Duration = Duration::from_secs(1);
/// The largest request: a fault's is below 200 bytes.
const MAX_REQUEST_BYTES: usize = 4 * 1024;

/// A process's own operations, until they are served.
pub struct Operations {
    faults: Faults,
    host: Host,
    pools: Vec<Observed>,
}

impl Operations {
    /// Its name with the package.
    pub(crate) const NAME: &'static str = SERVICE_NAME;

    /// Of a process whose faults are `host`'s.
    pub fn new(host: &Host) -> Self {
        Self { faults: host.faults.clone(), host: host.clone(), pools: Vec::new() }
    }

    /// Adds the pools that `service` has opened on its database, of which it writes to `table`.
    pub fn add(&mut self, service: &'static str, table: &'static str, database: &Database) {
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

    /// Begins to look once a second, and adds the server to those of the process.
    pub fn serve(self, services: &mut grpc::Services) {
        let Self { faults, host, pools } = self;
        let Host { life, clock, verifier, .. } = host;
        let sampler = Sampler::new(pools, faults.clone(), clock);
        let status = look(sampler, &life);
        let (stopping, all) = (life.stopping(), faults.clone());
        // What faults hold is given back before anybody waits for it.
        life.spawn("faults", async move {
            stopping.await;
            all.stop();
        });
        add(services, Server::new(status, faults, life), verifier);
    }
}

fn add(services: &mut grpc::Services, server: Server, verifier: Verifier) {
    let server = OperationsServer::new(server).max_decoding_message_size(MAX_REQUEST_BYTES);
    services.add(SERVICE_NAME, |routes| {
        routes.add_service(verifier.guard(server));
    });
}

/// Looks once a second until the end; who watches gets the newest.
fn look(mut sampler: Sampler, life: &Life) -> watch::Receiver<Arc<selvage_proto::operations::v1::ProcessStatus>> {
    let (newest, watched) = watch::channel(Arc::new(sampler.look()));
    let stopping = life.stopping();
    life.spawn("operations", async move {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        let looking = async {
            loop {
                ticks.tick().await;
                newest.send_replace(Arc::new(sampler.look()));
            }
        };
        tokio::select! { () = looking => {} () = stopping => {} }
    });
    watched
}
