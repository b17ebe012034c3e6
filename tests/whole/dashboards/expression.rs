//! Expressions that panels are made of.

/// A series of the pools that the reader has chosen, with more conditions (`,label="value"`).
pub(super) fn of_pool(metric: &str, more: &str) -> String {
    format!("{metric}{{service_name=~\"$service\",db_client_connection_pool_name=~\"$pool\"{more}}}")
}

/// A series of the services that the reader has chosen, with more conditions.
pub(super) fn of_service(metric: &str, more: &str) -> String {
    format!("{metric}{{service_name=~\"$service\"{more}}}")
}

/// How fast a counter grows.
pub(super) fn rate(series: &str) -> String {
    format!("rate({series}[$__rate_interval])")
}

/// The sum of what has the same `labels`; of everything, if there are none.
pub(super) fn sum(labels: &str, inside: &str) -> String {
    if labels.is_empty() { format!("sum({inside})") } else { format!("sum by ({labels}) ({inside})") }
}

/// `function` over the instances of each pool.
pub(super) fn by_pool(function: &str, inside: &str) -> String {
    format!("{function} by (service_name, db_client_connection_pool_name) ({inside})")
}

/// What so many of the observations of a histogram were below, for each set of `labels`; `buckets` is its series.
pub(super) fn quantile(share: f64, labels: &str, buckets: &str) -> String {
    let labels = if labels.is_empty() { "le".to_owned() } else { format!("{labels}, le") };
    format!("histogram_quantile({share}, {})", sum(&labels, &rate(buckets)))
}
