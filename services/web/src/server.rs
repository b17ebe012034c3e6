//! How the pages are served.

use std::time::Duration;

use hyper_util::service::TowerToHyperService;
use selvage_boot::Life;
use selvage_boot::connections::Listener;
use selvage_boot::http::{self as server, Bounds};

use crate::App;

/// Connections at once: browsers keep up to six open while somebody looks around; idle ones take about 10 KB each.
pub const CONNECTIONS: usize = 2_048;
const BOUNDS: Bounds = Bounds { headers: Duration::from_secs(15), connection: None };

/// Serves `app` until the end of `life`, then lets what is in flight finish, for as long as
/// [`ending::CALLS`](selvage_boot::ending::CALLS) says: the longest page, placing an order, takes less in all but the worst
/// case, and the same form sent again then finds its order.
pub async fn serve(listener: Listener, app: App, life: &Life) {
    let router = app.router();
    server::serve(listener, BOUNDS, |_| TowerToHyperService::new(router.clone()), life).await;
}
