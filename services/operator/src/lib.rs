//! The operator: replicas and pools scaled on saturation, within the connections that a database has.
//!
//! `domain` decides, and is pure: it is told what was observed and what time it is, and says what is to be done. `resources` has
//! the kinds that the operator adds to Kubernetes, `controllers` reads and writes there, `probe` looks at the database, `broker`
//! hears the processes and sends them what they are granted, and `scrape` reads the metrics of processes that aren't ours.
//! `decisions` shows people what was decided, and `telemetry` measures and traces it. `running` puts all of this together.

pub mod broker;
pub mod controllers;
pub mod decisions;
pub mod domain;
pub mod probe;
pub mod resources;
pub mod running;
pub mod scrape;
pub mod telemetry;
