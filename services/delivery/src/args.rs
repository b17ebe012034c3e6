//! What the service takes on its command line, beside what all services take.

use std::str::FromStr;
use std::time::Duration;

use selvage_proto::money::Currency;

const FREE_DELIVERY_FROM: i64 = 7500;

/// Delivery's own arguments.
#[derive(clap::Args, Clone, Debug)]
pub struct DeliveryArgs {
    /// How long the carrier takes from one state of a parcel to the next, for example 500ms, 5s, 10m or 12h
    #[arg(long, env = "SELVAGE_CARRIER_STEP", value_name = "TIME", default_value = "6h")]
    pub carrier_step: Step,
    /// From which price of the goods on standard delivery is free, in minor units of the shop's currency
    #[arg(long, env = "SELVAGE_FREE_DELIVERY_FROM", value_name = "AMOUNT", default_value_t = FREE_DELIVERY_FROM,
          value_parser = clap::value_parser!(i64).range(0..))]
    pub free_delivery_from: i64,
    /// The shop's currency, an ISO 4217 code
    #[arg(long, env = "SELVAGE_CURRENCY", value_name = "CODE", default_value = "EUR")]
    pub currency: Currency,
}

impl DeliveryArgs {
    /// What it is told where nothing else is said.
    pub fn new(currency: Currency, carrier_step: Step) -> Self {
        Self { carrier_step, free_delivery_from: FREE_DELIVERY_FROM, currency }
    }
}

/// A time between two moves of the carrier, 100 ms to 30 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step(Duration);

impl Step {
    /// The shortest and the longest.
    pub const BOUNDS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30 * 24 * 3600));

    /// The time itself.
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Step {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "a time is a whole number and ms, s, m or h, for example 8s";
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).ok_or(FORM)?);
        let number: u64 = number.parse().map_err(|_| FORM)?;
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(FORM),
        };
        let step = Duration::from_millis(number.checked_mul(unit_ms).ok_or(FORM)?);
        let (shortest, longest) = Self::BOUNDS;
        let right = (shortest..=longest).contains(&step);
        right.then_some(Self(step)).ok_or("the carrier takes 100ms to 720h from one state to the next")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        let read = |text: &str| text.parse::<Step>().map(Step::duration);
        assert_eq!(read("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(read("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(read("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(read("12h"), Ok(Duration::from_secs(43_200)));
        for wrong in ["", "5", "s", "-5s", "5 s", "1.5h", "5d", "99ms", "721h", "99999999999999999999s", "5s5", "٣s"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
