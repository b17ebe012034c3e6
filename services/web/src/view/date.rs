//! Dates and times as people write them, in Coordinated Universal Time: the shop doesn't know its visitors' time zones.

use prost_types::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

fn utc(timestamp: Option<&Timestamp>) -> Option<OffsetDateTime> {
    timestamp.and_then(|timestamp| OffsetDateTime::from_unix_timestamp(timestamp.seconds).ok())
}

/// For example "24 November 2026"; empty without a moment.
pub fn day(timestamp: Option<&Timestamp>) -> String {
    utc(timestamp).map(|at| format!("{} {} {}", at.day(), at.month(), at.year())).unwrap_or_default()
}

/// For example "24 November, 14:05 UTC"; empty without a moment.
pub fn moment(timestamp: Option<&Timestamp>) -> String {
    let text = |at: OffsetDateTime| format!("{} {}, {:02}:{:02} UTC", at.day(), at.month(), at.hour(), at.minute());
    utc(timestamp).map(text).unwrap_or_default()
}

/// The time of day, for example "14:05:09"; empty without a moment.
pub fn clock(timestamp: Option<&Timestamp>) -> String {
    let text = |at: OffsetDateTime| format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second());
    utc(timestamp).map(text).unwrap_or_default()
}

/// For machines, for example "2026-11-24T14:05:09Z"; empty without a moment.
pub fn iso(timestamp: Option<&Timestamp>) -> String {
    utc(timestamp).and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_for_people_and_for_machines() {
        let at = Timestamp { seconds: 1_795_529_109, nanos: 0 };
        assert_eq!(day(Some(&at)), "24 November 2026");
        assert_eq!(moment(Some(&at)), "24 November, 14:05 UTC");
        assert_eq!(iso(Some(&at)), "2026-11-24T14:05:09Z");
        assert_eq!(clock(Some(&at)), "14:05:09");
        assert_eq!(day(None), "");
        assert_eq!(iso(Some(&Timestamp { seconds: i64::MAX, nanos: 0 })), "");
    }
}
