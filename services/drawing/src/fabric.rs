//! Fabric: the repeating tile of each pattern and texture.

use super::{Colour, Pattern, canvas::Shades};

/// A piece of fabric that repeats in both directions.
pub(super) struct Tile {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) drawing: String,
}

/// Whether the pattern is a repeating tile; plain cloth and colour blocks aren't.
pub(super) fn is_tiled(pattern: Pattern) -> bool {
    !matches!(pattern, Pattern::Plain | Pattern::Colourblock)
}

/// The tile of a pattern in the garment's colour and accent.
pub(super) fn tile(pattern: Pattern, shades: Shades, accent: Colour) -> Tile {
    let Shades { base, light, deep, line } = shades;
    let (width, height, drawing) = match pattern {
        Pattern::Plain | Pattern::Colourblock => (10, 10, String::new()),
        Pattern::Stripe => (
            26,
            26,
            format!(
                r##"<path d="M5 0V26" stroke="#{accent}" stroke-width="5.5"/><path d="M18 0V26" stroke="#{accent}" stroke-width="1.6" opacity=".8"/>"##
            ),
        ),
        Pattern::Check => (
            54,
            54,
            format!(
                r##"<path d="M0 0H22V54H0Z" fill="#{accent}" opacity=".5"/><path d="M0 0V22H54V0Z" fill="#{accent}" opacity=".5"/><path d="M38 0V54M0 38H54" stroke="#{}" stroke-width="2.5" opacity=".75"/>"##,
                accent.mixed(deep, 0.35)
            ),
        ),
        Pattern::Dot => (
            30,
            30,
            format!(r##"<g fill="#{accent}"><circle cx="8" cy="8" r="3.6"/><circle cx="23" cy="23" r="3.6"/></g>"##),
        ),
        Pattern::Floral => floral(accent, base),
        Pattern::Rib => ribbed(shades),
        Pattern::Denim => (
            6,
            6,
            format!(
                r##"<path d="M-1 7L7-1M-1 1L1-1M5 7L7 5" stroke="#{light}" stroke-width="1.2" opacity=".55"/><path d="M-1 4L4-1M2 7L7 2" stroke="#{line}" stroke-width=".9" opacity=".35"/>"##
            ),
        ),
        Pattern::Herringbone => (
            20,
            5,
            format!(
                r##"<path d="M0 0L10 10L20 0M0-5L10 5L20-5M0-10L10 0L20-10" fill="none" stroke="#{}" stroke-width="1.6" opacity=".6"/><path d="M0 0V5M10 0V5" stroke="#{deep}" opacity=".5"/>"##,
                accent.mixed(base, 0.25)
            ),
        ),
        Pattern::Breton => (34, 34, format!(r##"<path d="M0 10H34" stroke="#{accent}" stroke-width="10"/>"##)),
    };
    Tile { width, height, drawing }
}

/// Blossoms in the accent colour and leaves between it and the ground.
fn floral(accent: Colour, base: Colour) -> (u32, u32, String) {
    let leaf = accent.mixed(base, 0.45);
    let heart = if accent.lightness() > 0.6 { accent.lighter(-0.22) } else { accent.lighter(0.3) };
    let blossom = format!(
        r##"<g id="h" transform="translate(20 22)"><path d="M0 0C-7-5-5-13 0-13S7-5 0 0C2-8 10-11 12-6S8 3 0 0C9 0 12 7 8 10S-1 8 0 0C3 8-1 14-6 12S-7 4 0 0C-7 5-14 2-13-4S-6-7 0 0" fill="#{accent}"/><circle r="2.8" fill="#{heart}"/></g><use href="#h" transform="translate(43 22) scale(.75)"/><use href="#h" transform="translate(19 46) scale(.6)"/>"##
    );
    let leaves = format!(
        r##"<path d="M34 12q9-7 17-3q-7 8-17 3M12 46q-9 4-9 12q9-2 9-12M62 58q4-9 13-7q-3 9-13 7" fill="#{leaf}"/>"##
    );
    (80, 76, leaves + &blossom)
}

/// Broad ribs: a ribbed knit, or the wales of corduroy.
fn ribbed(shades: Shades) -> (u32, u32, String) {
    let Shades { light, deep, line, .. } = shades;
    (
        11,
        11,
        format!(
            r##"<path d="M.7 0V11" stroke="#{line}" stroke-width="1.8" opacity=".65"/><path d="M2.6 0V11" stroke="#{deep}" stroke-width="2" opacity=".45"/><path d="M7 0V11" stroke="#{light}" stroke-width="2.6" opacity=".6"/>"##
        ),
    )
}

/// The fine ribs of cuffs and hems.
pub(super) fn ribs(shades: Shades) -> Tile {
    let Shades { light, line, .. } = shades;
    let drawing = format!(
        r##"<path d="M1 0V7" stroke="#{line}" stroke-width="1.7" opacity=".6"/><path d="M4.4 0V7" stroke="#{light}" stroke-width="1.6" opacity=".55"/>"##
    );
    Tile { width: 7, height: 7, drawing }
}

/// Stocking stitch: rows of small Vs.
pub(super) fn stitches(shades: Shades) -> Tile {
    let Shades { light, line, .. } = shades;
    let drawing = format!(
        r##"<path d="M0 1L5 6L10 1" fill="none" stroke="#{line}" stroke-width="1.5" opacity=".4"/><path d="M0 4L5 9L10 4" fill="none" stroke="#{light}" stroke-width="1.7" opacity=".4"/>"##
    );
    Tile { width: 10, height: 8, drawing }
}
