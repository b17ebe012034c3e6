//! The sheet a garment is drawn on: backdrop, light, shadow, and panels of cloth put on one after the other.
//!
//! Coordinates: the garment's axis is x = 0, y grows downwards; [`Canvas::frame`] fits the garment into the picture.

use std::fmt::Write as _;

use super::{Colour, Garment, Pattern, Picture, fabric, silhouette::short};

/// Shades of one cloth colour.
#[derive(Clone, Copy)]
pub(super) struct Shades {
    pub(super) base: Colour,
    /// Highlights.
    pub(super) light: Colour,
    /// Folds and shaded edges.
    pub(super) deep: Colour,
    /// Outlines and seams.
    pub(super) line: Colour,
}

impl Shades {
    pub(super) fn of(base: Colour) -> Self {
        let l = base.lightness();
        // Near-black cloth has no room below: its seams are drawn lighter than itself, as light catches them.
        let line = if l < 0.32 { base.lighter(0.15) } else { base.lighter(-0.19 - 0.08 * l) };
        Self { base, light: base.lighter(0.13 - 0.05 * l), deep: base.lighter(-0.14 - 0.12 * l), line }
    }
}

/// What a panel is made of.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Cloth {
    /// The garment's cloth with its pattern.
    Main,
    /// The garment's colour without its pattern.
    Plain,
    /// The garment's colour, knitted in ribs (cuffs, hems, collars).
    Rib,
    /// The inside of the garment, in its own shade.
    Inside,
    /// Another plain material.
    Of(Colour),
}

/// One piece of cloth.
pub(super) struct Panel {
    outline: String,
    turn: f64,
    cloth: Cloth,
    lifted: bool,
    block: String,
    dark: String,
    light: String,
    volume: f64,
}

impl Panel {
    pub(super) fn new(outline: impl Into<String>) -> Self {
        Self {
            outline: outline.into(),
            turn: 0.0,
            cloth: Cloth::Main,
            lifted: false,
            block: String::new(),
            dark: String::new(),
            light: String::new(),
            volume: 20.0,
        }
    }

    /// Turns the weave by these degrees, clockwise.
    pub(super) fn turned(self, degrees: f64) -> Self {
        Self { turn: degrees, ..self }
    }

    pub(super) fn cloth(self, cloth: Cloth) -> Self {
        Self { cloth, ..self }
    }

    /// Lies on the panels below and shades them.
    pub(super) fn lifted(self) -> Self {
        Self { lifted: true, ..self }
    }

    /// The part in the accent colour when the pattern is colour-block.
    pub(super) fn block(self, outline: impl Into<String>) -> Self {
        Self { block: outline.into(), ..self }
    }

    /// Soft valleys (dark) and ridges (light) of the cloth, as open paths.
    pub(super) fn folds(self, dark: impl Into<String>, light: impl Into<String>) -> Self {
        Self { dark: dark.into(), light: light.into(), ..self }
    }

    /// How far the shading reaches in from the edge, in units; small pieces need less.
    pub(super) fn volume(self, volume: f64) -> Self {
        Self { volume, ..self }
    }
}

/// An SVG document being drawn.
pub(super) struct Canvas {
    picture: Picture,
    pub(super) shades: Shades,
    defs: String,
    body: String,
    placement: String,
    next_id: u32,
    /// Kind and turn of the fabric tiles defined so far.
    tiles: Vec<(char, i64)>,
    knitted: bool,
    /// Height of the cloth's creases: leather lies stiffer than cotton.
    creases: f64,
}

impl Canvas {
    pub(super) fn new(picture: &Picture) -> Self {
        let knitted = matches!(
            picture.garment,
            Garment::Knit | Garment::Cardigan | Garment::Beanie | Garment::Scarf | Garment::Socks
        );
        let creases = match picture.garment {
            Garment::Sneakers | Garment::Boots | Garment::Belt | Garment::Cap => 5.0,
            Garment::Bag | Garment::Backpack | Garment::Beanie | Garment::Socks => 9.0,
            Garment::Coat | Garment::Blazer | Garment::Jacket | Garment::Jeans => 11.0,
            _ => 13.0,
        };
        Self {
            picture: *picture,
            shades: Shades::of(picture.colour),
            defs: String::new(),
            body: String::new(),
            placement: String::new(),
            next_id: 0,
            tiles: Vec::new(),
            knitted,
            creases,
        }
    }

    /// The second colour.
    pub(super) fn accent(&self) -> Colour {
        self.picture.accent
    }

    pub(super) fn pattern(&self) -> Pattern {
        self.picture.pattern
    }

    /// Fits what lies between `top` and `bottom` and within `half_width` of the axis into the picture.
    pub(super) fn frame(&mut self, top: f64, bottom: f64, half_width: f64) {
        let scale = (632.0 / (bottom - top)).min(270.0 / half_width).min(1.12);
        let y = 375.0 - scale * (top + bottom) / 2.0;
        self.placement = format!("translate(300 {}) scale({:.3})", short(y), scale);
    }

    /// Sews on a panel.
    pub(super) fn panel(&mut self, panel: &Panel) {
        let id = self.id();
        let shades = match panel.cloth {
            Cloth::Main | Cloth::Plain | Cloth::Rib => self.shades,
            Cloth::Inside => Shades::of(self.shades.base.lighter(-0.09)),
            Cloth::Of(colour) => Shades::of(colour),
        };
        let _ = write!(
            self.defs,
            r##"<path id="p{id}" d="{}"/><clipPath id="c{id}"><use href="#p{id}"/></clipPath>"##,
            panel.outline
        );
        if panel.lifted {
            let _ = write!(
                self.body,
                r##"<use href="#p{id}" y="4" stroke="#{}" stroke-width="6" opacity=".34" filter="url(#b)"/>"##,
                self.shades.base.lighter(-0.4)
            );
        }
        let _ = write!(
            self.body,
            r##"<use href="#p{id}" fill="#{}" stroke="#{}" stroke-width="1.6"/><g clip-path="url(#c{id})">"##,
            shades.base, shades.line
        );
        self.weave(panel, id);
        // Where two colours meet, folds take the darker shade of both.
        let two_coloured = self.picture.pattern == Pattern::Colourblock && !panel.block.is_empty();
        let deep =
            if two_coloured { Shades::of(self.picture.accent.mixed(shades.base, 0.35)).deep } else { shades.deep };
        let volume = short(panel.volume);
        if panel.dark.is_empty() && panel.light.is_empty() {
            let _ = write!(
                self.body,
                r##"<use href="#p{id}" filter="url(#b)" stroke="#{deep}" stroke-width="{volume}" opacity=".4"/></g>"##
            );
            return;
        }
        let _ = write!(
            self.body,
            r##"<g filter="url(#b)" stroke-width="11" stroke="#{deep}"><use href="#p{id}" stroke-width="{volume}" opacity=".4"/>"##
        );
        if !panel.dark.is_empty() {
            let _ = write!(self.body, r#"<path d="{}" opacity=".45"/>"#, panel.dark);
        }
        if !panel.light.is_empty() && !two_coloured {
            let _ = write!(self.body, r##"<path d="{}" stroke="#{}" opacity=".7"/>"##, panel.light, shades.light);
        }
        self.body.push_str("</g></g>");
    }

    /// Fills the clipped panel `id` with its pattern and texture.
    fn weave(&mut self, panel: &Panel, id: u32) {
        let turn = panel.turn.round() as i64;
        let fill = |canvas: &mut Self, tile: &str| {
            let _ = write!(canvas.body, r##"<use href="#p{id}" fill="url(#{tile})"/>"##);
        };
        if panel.cloth == Cloth::Main {
            if self.picture.pattern == Pattern::Colourblock {
                if !panel.block.is_empty() {
                    let _ = write!(self.body, r##"<path d="{}" fill="#{}"/>"##, panel.block, self.picture.accent);
                }
            } else if fabric::is_tiled(self.picture.pattern) {
                let tile = self.tile('w', turn);
                fill(self, &tile);
            }
        }
        match panel.cloth {
            Cloth::Rib => {
                let tile = self.tile('r', turn);
                fill(self, &tile);
            }
            Cloth::Main | Cloth::Plain if self.knitted => {
                let tile = self.tile('k', turn);
                fill(self, &tile);
            }
            _ => {}
        }
    }

    /// The id of a fabric tile turned by so many degrees; each is defined once, and drawn once for all its turns.
    fn tile(&mut self, kind: char, turn: i64) -> String {
        if let Some(index) = self.tiles.iter().position(|&known| known == (kind, turn)) {
            return format!("{kind}{index}");
        }
        let first = self.tiles.iter().position(|&(known, _)| known == kind);
        let id = format!("{kind}{}", self.tiles.len());
        self.tiles.push((kind, turn));
        if let Some(first) = first {
            let _ =
                write!(self.defs, r##"<pattern id="{id}" href="#{kind}{first}" patternTransform="rotate({turn})"/>"##);
            return id;
        }
        let tile = match kind {
            'w' => fabric::tile(self.picture.pattern, self.shades, self.picture.accent),
            'k' => fabric::stitches(self.shades),
            _ => fabric::ribs(self.shades),
        };
        let _ = write!(
            self.defs,
            r#"<pattern id="{id}" patternUnits="userSpaceOnUse" width="{}" height="{}" patternTransform="rotate({turn})">{}</pattern>"#,
            tile.width, tile.height, tile.drawing
        );
        id
    }

    /// Draws on the right-hand side, then mirrors it to the left.
    pub(super) fn both_sides(&mut self, draw: impl FnOnce(&mut Self)) {
        let id = self.id();
        let _ = write!(self.body, r#"<g id="m{id}">"#);
        draw(self);
        let _ = write!(self.body, r##"</g><use href="#m{id}" transform="scale(-1 1)"/>"##);
    }

    /// An id for a group that is drawn later but shown before.
    pub(super) fn reserve(&mut self) -> u32 {
        self.id()
    }

    /// Shows a reserved group, transformed.
    pub(super) fn refer(&mut self, group: u32, transform: &str) {
        let _ = write!(self.body, r##"<use href="#m{group}" transform="{transform}"/>"##);
    }

    /// Draws a reserved group and shows it, transformed, above what lies there.
    pub(super) fn reserved_group(&mut self, group: u32, transform: &str, draw: impl FnOnce(&mut Self)) {
        let _ = write!(self.body, r#"<g transform="{transform}"><g id="m{group}">"#);
        draw(self);
        self.body.push_str("</g></g>");
    }

    /// A seam: a thin dark line.
    pub(super) fn seam(&mut self, path: &str) {
        let line = self.shades.line;
        let _ = write!(self.body, r##"<path d="{path}" stroke="#{line}" stroke-width="1.6"/>"##);
    }

    /// Topstitching: dashes, in the accent colour on denim.
    pub(super) fn stitch(&mut self, path: &str) {
        let (colour, opacity) = match self.picture.pattern {
            Pattern::Denim => (Colour::new(0xd9, 0x9a, 0x52), ".95"),
            _ if self.shades.base.lightness() < 0.45 => (self.shades.base.lighter(0.2), ".8"),
            _ => (self.shades.line, ".75"),
        };
        let _ = write!(
            self.body,
            r##"<path d="{path}" stroke="#{colour}" stroke-width="1.5" stroke-dasharray="5 3" opacity="{opacity}"/>"##
        );
    }

    /// A drawn line of any colour and width.
    pub(super) fn stroke(&mut self, path: &str, colour: Colour, width: f64) {
        let _ = write!(
            self.body,
            r##"<path d="{path}" stroke="#{colour}" stroke-width="{}" stroke-linecap="round"/>"##,
            short(width)
        );
    }

    /// A band along a path (neck bands, straps, handles): an outlined stroke of cloth. Gives the path's id.
    pub(super) fn band(&mut self, path: &str, width: f64, colour: Colour) -> u32 {
        let Shades { line, light, .. } = Shades::of(colour);
        let id = self.id();
        let _ = write!(self.defs, r#"<path id="p{id}" d="{path}"/>"#);
        let _ = write!(
            self.body,
            r##"<use href="#p{id}" stroke="#{line}" stroke-width="{}"/><use href="#p{id}" stroke="#{colour}" stroke-width="{}"/><use href="#p{id}" stroke="#{light}" stroke-width="{}" opacity=".3"/>"##,
            short(width + 2.4),
            short(width),
            short(width * 0.4)
        );
        id
    }

    /// A knitted band along a path: cross-hatched with fine ribs.
    pub(super) fn ribbed_band(&mut self, path: &str, width: f64, colour: Colour) {
        let id = self.band(path, width, colour);
        let _ = write!(
            self.body,
            r##"<use href="#p{id}" stroke="#{}" stroke-width="{}" stroke-dasharray="1.6 3.4" opacity=".55"/>"##,
            Shades::of(colour).line,
            short(width)
        );
    }

    /// A filled shape without shading.
    pub(super) fn shape(&mut self, path: &str, colour: Colour) {
        let _ = write!(self.body, r##"<path d="{path}" fill="#{colour}"/>"##);
    }

    /// Buttons of one size, each with its shadow, rim and thread.
    pub(super) fn buttons(&mut self, places: &[(f64, f64)], radius: f64, colour: Colour) {
        let Shades { line, light, deep, .. } = Shades::of(colour);
        let id = self.id();
        let r = short(radius);
        let _ = write!(
            self.defs,
            r##"<g id="o{id}"><circle cx="1" cy="2" r="{r}" fill="#000" opacity=".3"/><circle r="{r}" fill="#{colour}" stroke="#{line}"/><circle r="{}" stroke="#{light}" stroke-width="1.3"/><path d="M-1.6-1.4h.1m3 0h.1M-1.6 1.4h.1m3 0h.1" stroke="#{deep}" stroke-width="1.7" stroke-linecap="round"/></g>"##,
            short(radius * 0.72)
        );
        for &(x, y) in places {
            let _ = write!(self.body, r##"<use href="#o{id}" x="{}" y="{}"/>"##, short(x), short(y));
        }
    }

    fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    /// A number that differs from picture to picture, so that no two pieces crease alike.
    fn crease_seed(&self) -> u32 {
        let key = self.picture.to_string();
        key.bytes().fold(2_166_136_261u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619)) % 97
    }

    /// The document.
    pub(super) fn finish(self) -> String {
        let seed = self.crease_seed();
        let colour = self.picture.colour;
        let lightness = colour.lightness();
        // Pale garments lie on a deeper ground, all others on a pale one; never white on white.
        let ground = 0.93 - 0.13 * ((lightness - 0.62) / 0.3).clamp(0.0, 1.0);
        let chroma = if lightness > 0.78 { 0.032 } else { 0.02 };
        let near = colour.tint(ground + 0.025, chroma * 0.75);
        let far = colour.tint(ground - 0.055, chroma * 1.2);
        let shadow = colour.tint(0.3, 0.03);
        // The palest cloth shows every shade, so its creases are shallower.
        let creases = short(if lightness > 0.88 { self.creases * 0.65 } else { self.creases });
        format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 600 750" width="600" height="750"><defs><radialGradient id="g" cx=".32" cy=".2" r="1"><stop stop-color="#{near}"/><stop offset="1" stop-color="#{far}"/></radialGradient><filter id="b" x="-30%" y="-30%" width="160%" height="160%"><feGaussianBlur stdDeviation="5"/></filter><filter id="s" filterUnits="userSpaceOnUse" x="0" y="0" width="600" height="750" color-interpolation-filters="sRGB"><feDropShadow dx="2" dy="3" stdDeviation="2.5" flood-color="#{shadow}" flood-opacity=".38"/><feDropShadow dx="9" dy="17" stdDeviation="15" flood-color="#{shadow}" flood-opacity=".34"/></filter><filter id="f" x="0" y="0" width="600" height="750" filterUnits="userSpaceOnUse" color-interpolation-filters="sRGB"><feTurbulence type="fractalNoise" baseFrequency=".011 .007" numOctaves="3" seed="{seed}"/><feDiffuseLighting surfaceScale="{creases}" diffuseConstant=".62" result="l"><feDistantLight azimuth="225" elevation="54"/></feDiffuseLighting><feComposite in="SourceGraphic" in2="l" operator="arithmetic" k1=".75" k2=".55" k3=".2" k4="-.08"/><feComposite in2="SourceGraphic" operator="in"/></filter>{defs}</defs><rect width="600" height="750" fill="url(#g)"/><g filter="url(#s)"><g filter="url(#f)"><g transform="{placement}" fill="none" stroke-linejoin="round">{body}</g></g></g></svg>"##,
            defs = self.defs,
            placement = self.placement,
            body = self.body,
        )
    }
}
