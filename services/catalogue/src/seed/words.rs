//! Words and sentences that belong to no single style.

/// First words of product names: places, plants and weather of a northern coast.
pub(super) const FIRST: &[&str] = &[
    "Harbour", "Alder", "Marlow", "Fenwick", "Tilda", "Northgate", "Sorrel", "Calder", "Wren", "Linden", "Quay", "Juniper",
    "Ashby", "Tamsin", "Heron", "Lowell", "Bramble", "Skye", "Orchard", "Pelham", "Willow", "Dune", "Ferris", "Clover",
    "Kestrel", "Morrow", "Isla", "Camden", "Thistle", "Rowan", "Penrose", "Larch", "Estuary", "Mabel", "Hollis", "Ferry",
    "Avon", "Sable", "Whitby", "Maren", "Elm", "Corrie", "Lark", "Beacon", "Nell", "Ridge", "Sutton", "Hazel",
    "Tidewater", "Ansel", "Greta", "Cove", "Bexley", "Mallow", "Union", "Teasel", "Arden", "Lantern", "Ines", "Drift",
    "Halden", "Myrtle", "Pier", "Rook", "Selby", "Vesper", "Anchor", "Ida", "Cobble", "Foxglove", "Regent", "Sandpiper",
    "Thorne", "Ebba", "Mill", "Yarrow", "Barrow", "Signal", "Plover", "Astrid", "Brook", "Highland", "Otto", "Parade",
    "Nettle", "Saltmarsh", "Viola", "Warren", "Causeway", "Edda", "Tarn", "Gable", "Lund", "Primrose", "Station", "Moor",
];

/// What a pattern adds to a description.
pub(super) fn pattern_lines(pattern: &str) -> &'static [&'static str] {
    match pattern {
        "stripe" => &[
            "The stripes run true from yoke to hem, because each piece is cut by hand.",
            "A narrow stripe beside a broad one keeps it from looking like a uniform.",
            "The stripe is woven in, not printed, and stays sharp wash after wash.",
            "From across the room the stripes read as texture; up close they are the point.",
        ],
        "check" => &[
            "The check is matched at every seam, which takes more cloth and is worth it.",
            "Two tones of one colour make up the check, so it goes with more than you would think.",
            "It is a check with manners: clear, but never loud.",
            "The check is yarn-dyed and looks the same on both sides.",
        ],
        "dot" => &[
            "The dots are small, evenly set and a little off-white, as they should be.",
            "A regular dot is cheerful in the morning and smart at night.",
            "The dots were drawn by hand before they were printed, and none is quite round.",
        ],
        "floral" => &[
            "The blossoms were painted in our studio, then printed with water-based ink.",
            "Its flowers are scattered like a meadow's: no two of them in a row.",
            "The print is our own, and we make it for one season only.",
            "Up close you will find three sizes of the same flower.",
        ],
        "rib" => &[
            "The ribs lengthen the line and spring back into shape.",
            "Even ribs give the surface shadow and depth.",
            "Run a hand across the ribs and you will see why we kept it plain.",
        ],
        "herringbone" => &[
            "The herringbone is small enough to pass for plain from a distance.",
            "Its herringbone mixes two yarns of nearly the same shade.",
            "The zigzag of the weave shows in a low sun.",
        ],
        "colourblock" => &[
            "Two colours meet in one clean seam, placed where it flatters.",
            "The second colour comes from the same dye lot as the lining.",
            "We tried eleven pairs of colours before this one.",
        ],
        "breton" => &[
            "The stripes are spaced as on the sailor's original, and line up at the sleeves.",
            "It is the stripe you know from the coast, in a colour you may not.",
            "The stripes are knitted in, so they never crack or peel.",
        ],
        _ => &[],
    }
}
