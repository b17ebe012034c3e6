//! The names of metrics, spans and attributes: those of OpenTelemetry's semantic conventions, version 1.44, and beside them
//! our own, which begin with `selvage.`. If a convention is renamed, its constant changes here and nowhere else.
//!
//! # How to add a metric
//!
//! 1. **Name it.** If the semantic conventions have a name, it is a constant here. Else it is `selvage.<part>.<what>`, such
//!    as `selvage.outbox.lag`: a constant here if two crates use it, a literal where it is made if one does. Its unit is
//!    UCUM's (`s`, `By`, `{span}`); Prometheus' name follows from both, `selvage_outbox_lag_seconds`.
//! 2. **Make it** from `opentelemetry::global::meter("selvage.<crate>")`, after `Telemetry::start`: in a `LazyLock` if it is
//!    counted where something happens, as an observable instrument with a callback if it is a state. Histograms of seconds
//!    have the bounds [`SECONDS`]. The values of its attributes are a closed list: never a name, an id or a text of a
//!    caller's, since each value is a series for as long as the process lives.
//! 3. **List it** in `tests/whole/alerts/metrics.txt`, a line with type, Prometheus' name and labels. The test
//!    `alerts::series` finds each line at the running shop, and refuses rules and dashboards that use anything else; let its
//!    shop do whatever the metric counts. What the operator exports is in `operator.txt` beside it, and found at a running operator
//!    by `services/operator/tests/it/telemetry.rs`.
//! 4. **Show it** in a panel of `tests/whole/dashboards`, if somebody should see it, and write the dashboards anew:
//!    `SELVAGE_DASHBOARDS=write cargo test -p selvage-tests --test whole -- dashboards`. If somebody should be woken by it,
//!    `tests/whole/alerts/mod.rs` says how to add an alert.

/// How something failed.
pub mod error {
    /// Why it failed, as a short constant such as a status code or an SQLSTATE. It is absent where nothing failed.
    pub const TYPE: &str = "error.type";
}

/// Remote procedure calls.
pub mod rpc {
    /// Always [`GRPC`].
    pub const SYSTEM_NAME: &str = "rpc.system.name";
    /// What [`SYSTEM_NAME`] is.
    pub const GRPC: &str = "grpc";
    /// `package.Service/Method`, or [`OTHER`].
    pub const METHOD: &str = "rpc.method";
    /// The value for all methods that don't exist, so that callers can't make up values.
    pub const OTHER: &str = "_OTHER";
    /// gRPC's name of the status code, "OK" or "RESOURCE_EXHAUSTED". It was `rpc.status_code` before 1.44.
    pub const RESPONSE_STATUS_CODE: &str = "rpc.response.status_code";
    /// Seconds that a call took here, until the end of its answer.
    pub const SERVER_CALL_DURATION: &str = "rpc.server.call.duration";
    /// Seconds that a call took from here, with all its attempts.
    pub const CLIENT_CALL_DURATION: &str = "rpc.client.call.duration";
    /// How often a call was tried again.
    pub const RETRIES: &str = "selvage.rpc.retries";
}

/// HTTP servers.
pub mod http {
    /// "GET".
    pub const REQUEST_METHOD: &str = "http.request.method";
    /// The route as a template, "/p/{slug}".
    pub const ROUTE: &str = "http.route";
    /// The status of the answer, a number.
    pub const RESPONSE_STATUS_CODE: &str = "http.response.status_code";
    /// "http" or "https".
    pub const URL_SCHEME: &str = "url.scheme";
    /// The path that was asked for. It is without the query, which may say what a person searched for.
    pub const URL_PATH: &str = "url.path";
    /// Seconds until the answer's headers.
    pub const SERVER_REQUEST_DURATION: &str = "http.server.request.duration";
}

/// Databases and the pools of connections to them.
pub mod db {
    /// "postgresql" or "sqlite".
    pub const SYSTEM_NAME: &str = "db.system.name";
    /// The database's name.
    pub const NAMESPACE: &str = "db.namespace";
    /// What a statement does to which tables: "SELECT products".
    pub const QUERY_SUMMARY: &str = "db.query.summary";
    /// The statement with its values taken out.
    pub const QUERY_TEXT: &str = "db.query.text";
    /// The server's code for a failure, an SQLSTATE.
    pub const RESPONSE_STATUS_CODE: &str = "db.response.status_code";
    /// Host of the server.
    pub const SERVER_ADDRESS: &str = "server.address";
    /// Port of the server.
    pub const SERVER_PORT: &str = "server.port";
    /// The pool's name, which is its own within its service.
    pub const POOL_NAME: &str = "db.client.connection.pool.name";
    /// "idle" or "used".
    pub const CONNECTION_STATE: &str = "db.client.connection.state";
    /// The name of the span from asking for a connection until having one or giving up.
    pub const POOL_WAIT: &str = "pool.wait";
    /// How much an operation matters: "critical", "normal", "sheddable".
    pub const POOL_CLASS: &str = "selvage.pool.class";
    /// The operation that the connection is for, by the name that the code gives it.
    pub const POOL_OPERATION: &str = "selvage.pool.operation";
    /// How a transaction ended: "committed", "failed", "unknown" (it may have been committed), "not_begun", "cancelled".
    pub const TRANSACTION_OUTCOME: &str = "selvage.transaction.outcome";
    /// How often it was repeated because the database asked for that.
    pub const TRANSACTION_RETRIES: &str = "selvage.transaction.retries";
    /// Seconds until a transaction had begun, all attempts together: the wait for a connection, and BEGIN.
    pub const TRANSACTION_WAIT_TIME: &str = "selvage.transaction.wait_time";
    /// Seconds that a transaction held a connection, all attempts together.
    pub const TRANSACTION_USE_TIME: &str = "selvage.transaction.use_time";
    /// Transactions that have ended, by [`OUTCOME`].
    pub const TRANSACTIONS_ENDED: &str = "selvage.transaction.ended";
    /// How often transactions were done again because the database asked for it.
    pub const TRANSACTIONS_REPEATED: &str = "selvage.transaction.repeated";
    /// A metric's label: the operation's name, as the code calls it, or [`OTHER_OPERATION`].
    pub const OPERATION: &str = "operation";
    /// What stands for the names of operations beyond those that are counted apart.
    pub const OTHER_OPERATION: &str = "_OTHER";
    /// A metric's label: how much the operation matters, as [`POOL_CLASS`].
    pub const CLASS: &str = "class";
    /// A metric's label: why a caller got no connection.
    pub const REASON: &str = "reason";
    /// A metric's label: how a transaction ended, as [`TRANSACTION_OUTCOME`].
    pub const OUTCOME: &str = "outcome";
}

/// Messages of the outbox.
pub mod messaging {
    /// Always [`OUTBOX`].
    pub const SYSTEM: &str = "messaging.system";
    /// What [`SYSTEM`] is.
    pub const OUTBOX: &str = "selvage.outbox";
    /// A message's topic.
    pub const DESTINATION_NAME: &str = "messaging.destination.name";
    /// "process", "receive" or "settle".
    pub const OPERATION_NAME: &str = "messaging.operation.name";
    /// The kind of operation, one of the few that the conventions have.
    pub const OPERATION_TYPE: &str = "messaging.operation.type";
    /// The message's id in its outbox.
    pub const MESSAGE_ID: &str = "messaging.message.id";
    /// How many messages a batch has.
    pub const BATCH_COUNT: &str = "messaging.batch.message_count";
    /// How often the message was attempted before.
    pub const ATTEMPTS: &str = "selvage.outbox.attempts";
}

/// Bounds of histograms of seconds: 100 µs to 10 s in steps of about 2.2, so that a wait is told from twice as long.
pub const SECONDS: [f64; 16] =
    [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];
