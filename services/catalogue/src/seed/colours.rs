//! The colours in which the shop's pieces come, by name.

/// A named colour.
pub(super) struct Shade {
    pub(super) name: &'static str,
    /// Six lower-case hexadecimal digits.
    pub(super) hex: &'static str,
    /// Its part of a SKU; no two colours of one palette share it.
    pub(super) code: &'static str,
}

impl Shade {
    const fn of(name: &'static str, hex: &'static str, code: &'static str) -> Self {
        Self { name, hex, code }
    }

    /// Whether dark details show on it better than pale ones (its luma, ITU-R BT.601, is in the upper part).
    pub(super) fn is_pale(&self) -> bool {
        let part = |at: usize| u32::from_str_radix(&self.hex[at..at + 2], 16).unwrap_or(0);
        part(0) * 299 + part(2) * 587 + part(4) * 114 > 165_000
    }
}

/// Quiet colours that go with everything.
pub(super) const QUIET: &[Shade] = &[
    Shade::of("Ink", "26324a", "INK"),
    Shade::of("Oat", "e4d8c2", "OAT"),
    Shade::of("Moss", "5c6b47", "MOS"),
    Shade::of("Chalk", "f3efe6", "CHK"),
    Shade::of("Charcoal", "3b3d42", "CHA"),
    Shade::of("Sand", "cdb893", "SAN"),
    Shade::of("Slate", "66737f", "SLA"),
    Shade::of("Clay", "b0765a", "CLY"),
    Shade::of("Pine", "2f4a40", "PIN"),
    Shade::of("Fog", "c3c6c5", "FOG"),
    Shade::of("Coal", "222225", "COL"),
];

/// Warmer and louder colours for single pieces.
pub(super) const LIVELY: &[Shade] = &[
    Shade::of("Rust", "a8543b", "RUS"),
    Shade::of("Mustard", "cf9a3c", "MUS"),
    Shade::of("Sky", "9db8d2", "SKY"),
    Shade::of("Blush", "e3bfb2", "BLU"),
    Shade::of("Damson", "6d3049", "DAM"),
    Shade::of("Sage", "98a58a", "SAG"),
    Shade::of("Marine", "2f5b8a", "MAR"),
    Shade::of("Coral", "d6806a", "COR"),
    Shade::of("Lilac", "b6a8c6", "LIL"),
    Shade::of("Fern", "3f6b52", "FER"),
    Shade::of("Butter", "efdca4", "BUT"),
    Shade::of("Ivory", "f4eddc", "IVO"),
    Shade::of("Midnight", "1f2740", "MID"),
];

/// Dense colours for knitting yarn.
pub(super) const YARN: &[Shade] = &[
    Shade::of("Oatmeal", "ddcfb5", "OTM"),
    Shade::of("Ecru", "eee5d3", "ECR"),
    Shade::of("Heather", "8e87a0", "HEA"),
    Shade::of("Bracken", "a86c3c", "BRA"),
    Shade::of("Lichen", "9aa383", "LIC"),
    Shade::of("Loch", "31506b", "LOC"),
    Shade::of("Peat", "4a3a30", "PEA"),
    Shade::of("Berry", "8a3347", "BER"),
    Shade::of("Gorse", "d6a641", "GOR"),
    Shade::of("Granite", "6c7076", "GRA"),
    Shade::of("Spruce", "2c4a43", "SPR"),
];

/// Washes of denim.
pub(super) const WASHES: &[Shade] = &[
    Shade::of("Raw Indigo", "25344f", "RAW"),
    Shade::of("Mid Blue", "4a6d98", "MDB"),
    Shade::of("Light Wash", "8aa9c6", "LTW"),
    Shade::of("Washed Black", "36373b", "WBK"),
    Shade::of("Ecru Denim", "e9dfcb", "ECD"),
    Shade::of("Stone Blue", "6d8aa8", "STB"),
];

/// Tanned leathers.
pub(super) const LEATHERS: &[Shade] = &[
    Shade::of("Cognac", "9a5b34", "COG"),
    Shade::of("Chestnut", "6b4028", "CHE"),
    Shade::of("Black", "242322", "BLK"),
    Shade::of("Tan", "b98552", "TAN"),
    Shade::of("Oxblood", "5e2529", "OXB"),
    Shade::of("Olive", "5a5a3c", "OLV"),
];

/// Canvas and trainers.
pub(super) const CANVAS: &[Shade] = &[
    Shade::of("White", "f4f1ea", "WHT"),
    Shade::of("Navy", "28385a", "NVY"),
    Shade::of("Stone", "d3c7b0", "STO"),
    Shade::of("Army", "5f6647", "ARM"),
    Shade::of("Soot", "2a2a2d", "SOO"),
    Shade::of("Brick", "a65340", "BRI"),
    Shade::of("Dusk", "7f8fa6", "DUS"),
];

/// Details on pale pieces: dark enough to show.
pub(super) const DARK_ACCENTS: &[&str] = &["2f4b6e", "a8543b", "3e5a4c", "7a2f3b", "3b3d42", "6a8caf"];

/// Details on deep pieces: pale enough to show.
pub(super) const PALE_ACCENTS: &[&str] = &["f2ede4", "e8dcc6", "e9c3ae", "dfc07a", "c9d4dc"];

/// Fittings and straps of leather goods.
pub(super) const LEATHER_ACCENTS: &[&str] = &["8a5a36", "5b3a24", "b98552"];
