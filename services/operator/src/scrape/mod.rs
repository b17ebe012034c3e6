//! The pools of workloads that aren't ours, read from the metrics that their pods serve for Prometheus.
//!
//! `text` reads the text form, `dialects` is the table of what which library calls what, `reading` makes of a page what is known
//! of a pod's pools, `page` asks a pod, and `rounds` asks all of them again and again.

mod dialects;
mod page;
mod reading;
mod rounds;
mod text;

pub use dialects::{NAMES, Name, Names, markdown};
pub use page::{MOST, Page, read};
pub use reading::{Reading, Since, Unknown, Wanted};
pub use rounds::{AT_ONCE, Asked, Found, Pod, Rounds};
pub use text::{Labels, Sample, Unreadable, samples};
