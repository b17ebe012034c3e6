//! Fabrics: what pieces are made of, how they are cared for, and what there is to say about them.

/// A cloth, leather or yarn.
pub(super) struct Fabric {
    pub(super) material: &'static str,
    pub(super) care: &'static str,
    /// Sentences about it; a product's description holds one.
    pub(super) lines: &'static [&'static str],
}

const COOL: &str = "Machine wash at 30 °C with like colours. Do not tumble dry.";
const WARM: &str = "Machine wash at 40 °C. Tumble dry low. Iron warm.";
const WOOL: &str = "Hand wash cold or use the wool cycle. Dry flat, away from heat.";
const CLEANER: &str = "Dry clean only. Air between wearings and brush with a soft brush.";
const DELICATE: &str = "Hand wash cold, inside out. Do not wring. Iron cool on the reverse.";
const LEATHER_CARE: &str = "Wipe with a dry cloth. Feed with a neutral leather balm twice a year.";
const SPONGE: &str = "Sponge clean with mild soap and air dry.";

macro_rules! fabrics {
    ($($name:ident: $material:literal, $care:ident, [$($line:literal),+ $(,)?];)+) => {
        $(pub(super) const $name: &Fabric = &Fabric { material: $material, care: $care, lines: &[$($line),+] };)+
    };
}

fabrics! {
    OXFORD: "100% organic cotton Oxford, 150 g/m²", WARM, [
        "The Oxford cloth is brushed once on the inside, so it feels broken in from the first morning.",
        "Its basket weave breathes well and hides a crease better than any poplin.",
        "We have the cotton woven a little heavier than usual, and it gets softer every year.",
    ];
    POPLIN: "100% cotton poplin, 120 g/m²", WARM, [
        "The poplin is crisp, cool and quick to iron.",
        "A fine two-ply yarn gives the cotton a clean surface and a faint sheen.",
        "Woven densely from long-staple cotton, it stays opaque even in the palest shade.",
    ];
    LINEN: "100% European flax linen, 170 g/m²", COOL, [
        "The linen is garment-washed, so it starts out soft and creases kindly.",
        "Flax from Normandy keeps you cool in the heat and dries in an hour.",
        "It is the sort of linen that looks best on the third day of a holiday.",
    ];
    FLANNEL: "100% brushed cotton flannel, 190 g/m²", COOL, [
        "The flannel is brushed on both sides and as warm as it looks.",
        "A long-fibre cotton keeps the nap from pilling through the winter.",
        "Soft as a blanket, yet light enough to go under a jacket.",
    ];
    CHAMBRAY: "100% cotton chambray, 140 g/m²", COOL, [
        "Chambray crosses a dyed yarn with a white one, which is where the colour gets its depth.",
        "The cloth is as light as a shirt's and as honest as denim.",
        "It will fade slowly along the seams, and look all the better for it.",
    ];
    VISCOSE: "100% viscose from certified wood pulp", DELICATE, [
        "It falls like silk and asks for much less attention.",
        "A fluid cloth with a cool hand, it moves when you do.",
        "It lies lightly on the skin and packs down to almost nothing.",
    ];
    SILK: "92% silk, 8% elastane", DELICATE, [
        "A sand-washed silk gives it a matt surface, like the skin of a peach.",
        "The silk is heavy enough to hang straight and light enough to forget.",
        "A trace of stretch lets the silk follow you without clinging.",
    ];
    JERSEY: "100% organic cotton jersey, 180 g/m²", COOL, [
        "The jersey is combed and pre-shrunk: it keeps its shape and its length.",
        "Knitted from long-staple cotton, it stays smooth where cheaper jersey pills.",
        "The cotton is soft without being thin, and holds its colour.",
    ];
    HEAVY_JERSEY: "100% organic cotton jersey, 240 g/m²", COOL, [
        "At 240 grams the jersey hangs straight and never goes sheer.",
        "A heavyweight jersey gives it the look of a vintage tee that was bought well.",
        "The dense knit feels dry and cool, and needs no ironing.",
    ];
    PIQUE: "100% organic cotton piqué, 210 g/m²", COOL, [
        "The honeycomb knit of the piqué lets air through on warm days.",
        "A fine-gauge piqué keeps it smart, even untucked.",
        "The piqué is washed before it is cut, so the fit you try is the fit you keep.",
    ];
    FLEECE: "85% organic cotton, 15% recycled polyester, loopback, 330 g/m²", COOL, [
        "Small loops on the inside keep warmth without weight.",
        "The loopback is dense enough to hold its shape and dry enough for a run.",
        "It was made to be worn at home and turns out to go everywhere.",
    ];
    LAMBSWOOL: "100% Geelong lambswool", WOOL, [
        "The lambswool is spun in Scotland and gets loftier with each wash.",
        "First-shearing wool makes it soft enough to wear next to the skin.",
        "A hairy, lively yarn gives the colour its depth.",
    ];
    MERINO: "100% extra-fine merino, 19.5 micron", WOOL, [
        "Extra-fine merino keeps you warm indoors and cool on the walk there.",
        "The merino is fine enough for an office and tough enough for a weekend.",
        "It needs airing more often than washing, as good merino does.",
    ];
    COTTON_KNIT: "100% organic cotton, 7 gauge", COOL, [
        "The cotton yarn has weight and a dry hand, which suits the months between seasons.",
        "There is no wool in it, so nothing itches and the machine may wash it.",
        "It knits up crisp at first and relaxes where you do.",
    ];
    ALPACA: "62% baby alpaca, 24% recycled polyamide, 14% wool", WOOL, [
        "Alpaca blown into a fine net weighs little and warms a lot.",
        "The halo of the yarn softens every line of the colour.",
        "It feels like a cloud and wears like wool.",
    ];
    TWILL: "98% cotton, 2% elastane twill, 270 g/m²", COOL, [
        "The twill is brushed for softness and has just enough give to cycle in.",
        "A dense cotton twill takes the dye deeply and fades evenly.",
        "It is a sturdy cloth that hangs well from the first day.",
    ];
    WAXED: "100% waxed cotton, organic lining", SPONGE, [
        "The waxed cotton turns rain and keeps a record of where you have been.",
        "Re-wax it once a winter and it will outlast most of your wardrobe.",
        "Dry wax, not oil: it protects without marking the car seat.",
    ];
    CANVAS: "100% cotton canvas, 340 g/m²", COOL, [
        "The canvas is stiff to begin with and yours within a month.",
        "A tightly woven canvas keeps the wind out and the shape in.",
        "It is washed once before sewing, so seams pucker the way they should.",
    ];
    CORDUROY: "100% cotton corduroy, 8 wale", COOL, [
        "The wales are wide enough to catch the light and soft enough to stroke.",
        "The corduroy is washed for a rounded, lived-in nap.",
        "Eight-wale cord brings warmth without any weight to speak of.",
    ];
    DENIM: "100% organic cotton denim, 12.5 oz", COOL, [
        "The denim is woven in Italy with a right-hand twill and fades in high contrast.",
        "Rope-dyed indigo on the outside and a pale weft within: it will wear in, not out.",
        "It is stiff for a week, comfortable for years.",
    ];
    STRETCH_DENIM: "98% organic cotton, 2% elastane denim, 11 oz", COOL, [
        "Two per cent of stretch is enough to sit down in and too little to sag.",
        "The denim is washed with ozone in place of chemicals, which saves most of the water.",
        "It looks like the real thing because all but a thread of it is.",
    ];
    TWEED: "100% British wool tweed, cupro lining", CLEANER, [
        "The tweed is woven in Yorkshire, and looks plain until you come close.",
        "Three dyed yarns make up the colour; you will find a new one every winter.",
        "It is dense enough to keep out any wind.",
    ];
    WOOL_FLANNEL: "96% virgin wool, 4% elastane", CLEANER, [
        "The wool flannel is milled for a soft face and a clean drape.",
        "Fine wool sheds its creases overnight on the hanger.",
        "There is a trace of stretch, just where you need it.",
    ];
    OVERCOATING: "80% recycled wool, 20% polyamide, viscose lining", CLEANER, [
        "The wool is recycled in Prato, where they have done it for a hundred years.",
        "A double-faced cloth keeps the wind out and needs hardly any structure.",
        "It is warm in the way of heavy cloth, without the heaviness.",
    ];
    GABARDINE: "100% cotton gabardine, water repellent", CLEANER, [
        "The gabardine sheds a shower and dries without a mark.",
        "A steep twill, woven densely, gives the cotton its quiet sheen.",
        "It rustles a little when new, and stops when it knows you.",
    ];
    CREPE: "100% recycled polyester crêpe", COOL, [
        "The crêpe hangs well, shakes out of a suitcase and needs no iron.",
        "A matt, grainy surface keeps it from looking too formal.",
        "It has weight where it counts: in the hem.",
    ];
    SEERSUCKER: "100% cotton seersucker", COOL, [
        "The puckered weave stands off the skin and lets the air in.",
        "Seersucker is creased on purpose, so nobody can tell.",
        "Light and dry, it is made for the hottest week of the year.",
    ];
    FULL_GRAIN: "Full-grain leather, leather lining, rubber sole", LEATHER_CARE, [
        "The full-grain leather comes from a tannery in Tuscany and shines with wear.",
        "The leather is vegetable-tanned, which takes six weeks and shows.",
        "A leather lining moulds itself to your foot within days.",
    ];
    SUEDE: "Calf suede, leather lining, natural crêpe sole", LEATHER_CARE, [
        "The suede is dense and short, and brushes clean.",
        "A calf suede this soft needs no breaking in.",
        "It is treated against rain before it leaves the workshop.",
    ];
    SHOE_CANVAS: "Organic cotton canvas, natural rubber sole", SPONGE, [
        "The canvas is unlined and airy; the rubber comes from certified plantations.",
        "Vulcanised soles bend with the foot and won't come off.",
        "They look right clean, and better after a summer.",
    ];
    BAG_LEATHER: "Vegetable-tanned cowhide, brass fittings", LEATHER_CARE, [
        "The hide is left undyed at the edges, which darken as you carry it.",
        "Solid brass fittings will tarnish and polish like an old key.",
        "The leather starts out firm and ends up with your shape in it.",
    ];
    BAG_CANVAS: "18 oz cotton canvas, leather handles", SPONGE, [
        "The canvas stands up by itself, even empty.",
        "Handles of bridle leather are riveted and sewn, to be safe.",
        "An 18-ounce canvas carries books, bottles and the market's potatoes.",
    ];
    RIPSTOP: "100% recycled nylon ripstop, water repellent", SPONGE, [
        "The ripstop was once fishing net, and is as hard to tear.",
        "It keeps out a cloudburst and weighs less than the laptop inside.",
        "A matt finish makes the nylon look more like cotton than kit.",
    ];
    BRIDLE: "Bridle leather, solid brass buckle", LEATHER_CARE, [
        "The leather is cut from one piece, never bonded from scraps.",
        "Waxed bridle leather blooms white at first; rub it, and it glows.",
        "The brass buckle is cast and will outlive the trousers.",
    ];
    SOCK_COTTON: "78% organic cotton, 20% recycled polyamide, 2% elastane", WARM, [
        "A hand-linked toe leaves no seam to feel.",
        "The cotton is combed and the heel knitted double.",
        "They hold up through the day without leaving a mark.",
    ];
    CAP_TWILL: "100% cotton twill, brass clasp", SPONGE, [
        "The twill is washed soft and the brim keeps its curve.",
        "A cotton sweatband makes it comfortable in August.",
        "It adjusts with a small brass clasp at the back.",
    ];
}
