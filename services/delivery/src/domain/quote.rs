//! What delivery costs, and how long it takes.

use super::country::Zone;
use super::shipment::Speed;

/// The heaviest parcel that the carrier takes, in grams; heavier goods go in several parcels.
const PARCEL_GRAMS: i64 = 31_500;
/// The heaviest delivery that is quoted, in grams.
pub const MAX_GRAMS: i32 = 1_000_000;

/// The carrier's price list, in minor units of the shop's currency.
struct Tariff {
    zone: Zone,
    speed: Speed,
    /// For a parcel of up to 1, 5, 10 and 31.5 kg.
    prices: [i64; 4],
    /// Working days from and to.
    days: (i32, i32),
}

const fn tariff(zone: Zone, speed: Speed, prices: [i64; 4], days: (i32, i32)) -> Tariff {
    Tariff { zone, speed, prices, days }
}

const BRACKETS: [i64; 4] = [1_000, 5_000, 10_000, PARCEL_GRAMS];

static TARIFFS: [Tariff; 10] = [
    tariff(Zone::Home, Speed::Standard, [390, 490, 790, 1490], (1, 3)),
    tariff(Zone::Home, Speed::Express, [990, 1190, 1690, 2690], (1, 1)),
    tariff(Zone::Near, Speed::Standard, [690, 890, 1390, 2490], (2, 4)),
    tariff(Zone::Near, Speed::Express, [1690, 1990, 2690, 4290], (1, 2)),
    tariff(Zone::Union, Speed::Standard, [890, 1190, 1790, 3190], (3, 6)),
    tariff(Zone::Union, Speed::Express, [2190, 2590, 3490, 5490], (2, 3)),
    tariff(Zone::Border, Speed::Standard, [1290, 1690, 2490, 4290], (4, 8)),
    tariff(Zone::Border, Speed::Express, [2990, 3490, 4690, 7490], (2, 4)),
    tariff(Zone::Overseas, Speed::Standard, [1990, 2990, 4990, 9990], (7, 14)),
    tariff(Zone::Overseas, Speed::Express, [4490, 5990, 8990, 16_990], (3, 5)),
];

impl Tariff {
    /// Full parcels first, then what is left in one of its weight.
    fn price(&self, grams: i64) -> i64 {
        let [.., full] = self.prices;
        let (parcels, rest) = (grams / PARCEL_GRAMS, grams % PARCEL_GRAMS);
        let bracket =
            BRACKETS.iter().zip(self.prices).find(|(up_to, _)| rest <= **up_to).map_or(full, |(_, price)| price);
        let rest_price = if rest == 0 && parcels > 0 { 0 } else { bracket };
        parcels * full + rest_price
    }
}

/// A way to have it delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryOption {
    /// How fast.
    pub speed: Speed,
    /// In minor units of the shop's currency.
    pub price: i64,
    /// Working days until it arrives, from.
    pub min_days: i32,
    /// Working days until it arrives, to.
    pub max_days: i32,
}

/// The options for goods of `grams` (0 to [`MAX_GRAMS`]) that cost `subtotal`, cheapest first. Standard delivery is free
/// from `free_from` on; both are in minor units of the shop's currency.
pub fn quote(zone: Zone, grams: i32, subtotal: i64, free_from: i64) -> Vec<DeliveryOption> {
    let mut options: Vec<_> = TARIFFS
        .iter()
        .filter(|tariff| tariff.zone == zone)
        .map(|tariff| {
            let free = tariff.speed == Speed::Standard && subtotal >= free_from;
            let price = if free { 0 } else { tariff.price(i64::from(grams)) };
            DeliveryOption { speed: tariff.speed, price, min_days: tariff.days.0, max_days: tariff.days.1 }
        })
        .collect();
    options.sort_by_key(|option| option.price);
    options
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ZONES: [Zone; 5] = [Zone::Home, Zone::Near, Zone::Union, Zone::Border, Zone::Overseas];

    #[test]
    fn a_shirt_at_home() {
        let options = quote(Zone::Home, 300, 3495, 7500);
        assert_eq!(options[0], DeliveryOption { speed: Speed::Standard, price: 390, min_days: 1, max_days: 3 });
        assert_eq!((options[1].speed, options[1].price), (Speed::Express, 990));
    }

    #[test]
    fn standard_is_free_from_the_threshold_on_express_never() {
        let price = |subtotal, speed| {
            quote(Zone::Near, 300, subtotal, 7500)
                .iter()
                .find(|option| option.speed == speed)
                .map(|option| option.price)
        };
        assert_eq!(price(7499, Speed::Standard), Some(690));
        assert_eq!(price(7500, Speed::Standard), Some(0));
        assert_eq!(price(7500, Speed::Express), Some(1690));
    }

    #[test]
    fn goods_beyond_one_parcel_go_in_several() {
        let price = |grams| quote(Zone::Home, grams, 0, 7500)[0].price;
        assert_eq!(price(31_500), 1490);
        assert_eq!(price(31_501), 1490 + 390);
        assert_eq!(price(63_000), 2 * 1490);
    }

    proptest! {
        #[test]
        fn every_zone_has_both_speeds_cheapest_first(
            zone in prop::sample::select(&ZONES[..]), grams in 0..=MAX_GRAMS, subtotal in 0..20_000_i64,
        ) {
            let options = quote(zone, grams, subtotal, 7500);
            prop_assert_eq!(options.len(), 2);
            prop_assert!(options.is_sorted_by_key(|option| option.price));
            prop_assert_ne!(options[0].speed, options[1].speed);
            prop_assert!(options.iter().all(|option| 0 < option.min_days && option.min_days <= option.max_days));
            prop_assert!(options[1].price > 0);
        }

        #[test]
        fn more_weight_and_more_distance_never_cost_less(
            zone in 0..4_usize, grams in 0..=MAX_GRAMS, more in 0..100_000, express in any::<bool>(),
        ) {
            let speed = if express { Speed::Express } else { Speed::Standard };
            let price = |zone, grams: i32| {
                let grams = grams.min(MAX_GRAMS);
                quote(zone, grams, 0, 1).into_iter().find(|option| option.speed == speed).unwrap().price
            };
            prop_assert!(price(ZONES[zone], grams) <= price(ZONES[zone], grams + more));
            prop_assert!(price(ZONES[zone], grams) <= price(ZONES[zone + 1], grams));
        }
    }
}
