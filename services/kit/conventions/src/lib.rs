//! The names that traces and metrics go by, in one place: OpenTelemetry's semantic conventions as they are at 1.44, and
//! beside them our own under `selvage.`. A convention that is renamed is renamed here.

/// Attributes that say how something ended.
pub mod error {
    /// Why it failed, a short constant: a status code, an SQLSTATE. Absent where nothing failed.
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
    /// A method that isn't there: whatever callers make up is one value.
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
    /// The path that was asked for. No query: people search for what they like.
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
    /// Tells pools apart.
    pub const POOL_NAME: &str = "db.client.connection.pool.name";
    /// "idle" or "used".
    pub const CONNECTION_STATE: &str = "db.client.connection.state";
    /// A span: from asking for a connection to having one, or to giving up.
    pub const POOL_WAIT: &str = "pool.wait";
    /// How much an operation matters: "critical", "normal", "sheddable".
    pub const POOL_CLASS: &str = "selvage.pool.class";
    /// What a connection was asked for, as the code calls it.
    pub const POOL_OPERATION: &str = "selvage.pool.operation";
    /// How a transaction ended: "committed", "failed", "not_begun", "cancelled".
    pub const TRANSACTION_OUTCOME: &str = "selvage.transaction.outcome";
    /// How often it was done again because the database asked for it.
    pub const TRANSACTION_RETRIES: &str = "selvage.transaction.retries";
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
    /// The same as one of the conventions' few.
    pub const OPERATION_TYPE: &str = "messaging.operation.type";
    /// A message's place in its outbox.
    pub const MESSAGE_ID: &str = "messaging.message.id";
    /// How many messages a batch has.
    pub const BATCH_COUNT: &str = "messaging.batch.message_count";
    /// How often a message was tried before.
    pub const ATTEMPTS: &str = "selvage.outbox.attempts";
}

/// Bounds of histograms of seconds: 100 µs to 10 s in steps of about 2.2, so that a wait is told from twice as long.
pub const SECONDS: [f64; 16] =
    [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];
