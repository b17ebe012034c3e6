//! Tops: T-shirt, shirt, blouse, polo, jumper and cardigan.

use super::{
    Colour, Cut, Pattern,
    canvas::{Canvas, Cloth, Panel},
    silhouette::{Neckline, Outline, Sleeve, Torso, short},
};

/// Creases of a front lying flat: from the armpits inwards, and long soft ones above the hem.
pub(super) fn front_folds(torso: &Torso) -> (String, String) {
    let ((ax, ay), (_, hy)) = (torso.armpit, torso.hem);
    let y = |share: f64| short(ay + (hy - ay) * share);
    let x = |share: f64| short(ax * share);
    let dark = format!(
        "M{} {}Q{} {} {} {}M{} {}Q{} {} {} {}M{} {}Q{} {} {} {}M{} {}Q{} {} {} {}",
        x(0.97),
        y(0.02),
        x(0.7),
        y(0.16),
        x(0.34),
        y(0.2),
        x(-0.97),
        y(0.03),
        x(-0.66),
        y(0.2),
        x(-0.42),
        y(0.34),
        x(0.62),
        y(1.0),
        x(0.5),
        y(0.75),
        x(0.66),
        y(0.42),
        x(-0.4),
        y(1.0),
        x(-0.52),
        y(0.82),
        x(-0.44),
        y(0.6),
    );
    let light = format!(
        "M{} {}Q{} {} {} {}M{} {}Q{} {} {} {}M{} {}Q{} {} {} {}",
        x(0.95),
        y(0.1),
        x(0.66),
        y(0.26),
        x(0.36),
        y(0.3),
        x(0.44),
        y(1.0),
        x(0.34),
        y(0.72),
        x(0.5),
        y(0.44),
        x(-0.64),
        y(1.0),
        x(-0.72),
        y(0.7),
        x(-0.6),
        y(0.4),
    );
    (dark, light)
}

/// The lower part of a front, which colour-block paints in the accent colour.
pub(super) fn lower_half(torso: &Torso) -> String {
    format!("M-300 {0}H300V900H-300Z", short(torso.armpit.1 + 44.0))
}

/// Both sleeves, the body's back, and the front, in the order in which they lie.
pub(super) fn assemble(canvas: &mut Canvas, torso: &Torso, sleeve: &Sleeve, finish: impl FnOnce(&mut Canvas)) {
    let (dark, light) = if sleeve.degrees > -25.0 { sleeve.folds() } else { (String::new(), String::new()) };
    canvas.both_sides(|canvas| {
        canvas.panel(&Panel::new(&sleeve.outline).turned(sleeve.degrees).folds(dark, light).block("M0 0H400V900H0Z"));
        finish(canvas);
    });
    canvas.panel(&Panel::new(torso.inside()).cloth(Cloth::Inside).volume(26.0));
    let (dark, light) = front_folds(torso);
    canvas.panel(&Panel::new(torso.body()).lifted().folds(dark, light).block(lower_half(torso)));
}

/// The woven label inside the back of the neck.
pub(super) fn label(canvas: &mut Canvas, y: f64) {
    let cream = Colour::new(0xf4, 0xee, 0xe2);
    canvas.shape(&format!("M-15 {0}H15V{1}H-15Z", short(y), short(y + 15.0)), cream);
    canvas.stroke(&format!("M-8 {0}H8", short(y + 7.0)), Colour::new(0x7d, 0x74, 0x68), 1.4);
}

/// The colour of buttons: shell on pale cloth, horn on dark.
pub(super) fn button_colour(canvas: &Canvas) -> Colour {
    let pale = Colour::new(0xf3, 0xec, 0xdf);
    let horn = Colour::new(0x4a, 0x38, 0x2b);
    if canvas.shades.base.lightness() > 0.84 { horn.mixed(pale, 0.45) } else { pale }
}

pub(super) fn tshirt(canvas: &mut Canvas, cut: Cut) {
    let torso = Torso { neckline: Neckline::Round(182.0), ..Torso::of(cut) };
    let sleeve = torso.short_sleeve();
    canvas.frame(112.0, torso.hem.1 + 10.0, sleeve.reach());
    assemble(canvas, &torso, &sleeve, |canvas| canvas.stitch(&sleeve.across(-9.0)));
    let (hx, hy) = torso.hem;
    canvas.stitch(&format!(
        "M{} {}Q0 {} {} {}",
        short(1.5 - hx),
        short(hy - 13.0),
        short(hy + 2.0),
        short(hx - 1.5),
        short(hy - 13.0)
    ));
    // On stripes and blocks the neck is bound in the plain ground.
    let base = canvas.shades.base;
    canvas.ribbed_band(&torso.back_neck(), 10.0, base.lighter(-0.05));
    label(canvas, 146.0);
    canvas.ribbed_band(&torso.front_neck(), 13.0, base);
}

/// A turned-down collar: its stand behind, and two points that meet at the front.
pub(super) fn collar(canvas: &mut Canvas, y: f64, spread: f64, cloth: Cloth) {
    let inside = format!(
        "M-48 {0}Q0 {1} 48 {0}Q44 {2} 0 {3}Q-44 {2}-48 {0}Z",
        short(y),
        short(y - 10.0),
        short(y + 34.0),
        short(y + 58.0)
    );
    canvas.panel(&Panel::new(inside).cloth(Cloth::Inside).volume(18.0));
    label(canvas, y + 7.0);
    canvas.both_sides(|canvas| {
        let leaf = Outline::from(0.0, y + 58.0)
            .curve((14.0, y + 40.0), (40.0, y + 20.0), (46.0, y - 4.0))
            .curve((56.0, y - 5.0), (66.0, y + 6.0), (68.0, y + 18.0))
            .curve((66.0, y + 44.0), (spread + 12.0, y + 66.0), (spread, y + 88.0))
            .curve((spread - 14.0, y + 82.0), (10.0, y + 72.0), (0.0, y + 58.0))
            .closed();
        canvas.panel(&Panel::new(leaf).cloth(cloth).turned(-38.0).lifted().volume(7.0));
        let stitched = Outline::from(4.0, y + 58.0)
            .curve((14.0, y + 66.0), (spread - 12.0, y + 76.0), (spread - 3.0, y + 81.0))
            .curve((spread + 8.0, y + 62.0), (62.0, y + 42.0), (63.0, y + 18.0))
            .open();
        canvas.stitch(&stitched);
    });
}

fn placket(canvas: &mut Canvas, top: f64, bottom: f64, half: f64) {
    let outline = format!("M{0} {1}H{2}V{3}H{0}Z", short(-half), short(top), short(half), short(bottom));
    canvas.panel(&Panel::new(outline).lifted().volume(6.0));
    let inner = half - 4.0;
    canvas.stitch(&format!(
        "M{0} {1}V{2}M{3} {1}V{2}",
        short(-inner),
        short(top + 4.0),
        short(bottom - 3.0),
        short(inner)
    ));
}

pub(super) fn shirt(canvas: &mut Canvas, cut: Cut) {
    let torso = Torso { neckline: Neckline::Vee(188.0), ..Torso::of(cut) };
    // Shirt-tails: the hem rises at the sides.
    let torso = Torso { hem: (torso.hem.0, torso.hem.1 - 26.0), dip: 44.0, cuff: torso.cuff - 1.0, ..torso };
    let sleeve = torso.long_sleeve(3.0);
    let bottom = torso.hem.1 + 30.0;
    canvas.frame(104.0, bottom.max(588.0), sleeve.reach());
    let buttons = button_colour(canvas);
    assemble(canvas, &torso, &sleeve, |canvas| {
        canvas.panel(&Panel::new(sleeve.cuff(36.0, 3.0)).turned(sleeve.degrees).lifted().volume(8.0));
        canvas.stitch(&sleeve.across(31.0));
        canvas.stitch(&sleeve.across(3.0));
        canvas.buttons(&[sleeve.at(18.0, 14.0)], 3.8, buttons);
    });
    let (sx, sy) = torso.shoulder;
    canvas.both_sides(|canvas| {
        canvas.seam(&format!(
            "M58 158Q{} {} {} {}",
            short(sx * 0.75),
            short(sy + 4.0),
            short(sx - 4.0),
            short(sy + 22.0)
        ));
    });
    let (hx, hy) = torso.hem;
    canvas.stitch(
        &Outline::from(3.0 - hx, hy - 6.0)
            .curve((-hx * 0.6, hy + 36.0), (-hx * 0.3, hy + 37.0), (0.0, hy + 25.0))
            .curve((hx * 0.3, hy + 37.0), (hx * 0.6, hy + 36.0), (hx - 3.0, hy - 6.0))
            .open(),
    );
    placket(canvas, 176.0, hy + 33.0, 13.0);
    let step = (hy - 12.0 - 216.0) / 6.0;
    let places: Vec<_> = (0..7).map(|place| (0.0, 216.0 + step * f64::from(place))).collect();
    canvas.buttons(&places, 4.8, buttons);
    let pocket = "M46 268H104V318Q104 324 98 328L75 340L52 328Q46 324 46 318Z";
    canvas.panel(&Panel::new(pocket).lifted().volume(8.0));
    canvas.stitch("M50 279H100M50 283V319Q51 322 54 324L75 335L96 324Q99 322 100 319V283");
    collar(canvas, 118.0, 42.0, Cloth::Main);
    canvas.buttons(&[(0.0, 183.0)], 4.4, buttons);
}

pub(super) fn polo(canvas: &mut Canvas, cut: Cut) {
    let torso = Torso { neckline: Neckline::Vee(190.0), ..Torso::of(cut) };
    let sleeve = torso.short_sleeve();
    canvas.frame(104.0, torso.hem.1 + 10.0, sleeve.reach());
    assemble(canvas, &torso, &sleeve, |canvas| {
        canvas.panel(&Panel::new(sleeve.cuff(15.0, 1.5)).cloth(Cloth::Rib).turned(sleeve.degrees).volume(6.0));
    });
    let (hx, hy) = torso.hem;
    canvas.stitch(&format!(
        "M{} {}Q0 {} {} {}",
        short(1.5 - hx),
        short(hy - 12.0),
        short(hy + 3.0),
        short(hx - 1.5),
        short(hy - 12.0)
    ));
    canvas.seam(&format!("M{0} {1}V{2}M{3} {1}V{2}", short(9.0 - hx), short(hy - 42.0), short(hy), short(hx - 9.0)));
    placket(canvas, 176.0, 292.0, 14.0);
    canvas.stitch("M-10 282H10");
    let buttons = button_colour(canvas);
    canvas.buttons(&[(0.0, 204.0), (0.0, 234.0), (0.0, 264.0)], 4.8, buttons);
    let cloth = if canvas.pattern() == Pattern::Colourblock { Cloth::Of(canvas.accent()) } else { Cloth::Rib };
    collar(canvas, 118.0, 50.0, cloth);
}

pub(super) fn blouse(canvas: &mut Canvas, cut: Cut) {
    let torso = Torso { neckline: Neckline::Vee(236.0), neck: (47.0, 126.0), ..Torso::of(cut) };
    let torso = Torso { hem: (torso.hem.0 + 8.0, torso.hem.1 - 16.0), dip: 12.0, cuff: 24.0, ..torso };
    let sleeve = torso.long_sleeve(26.0);
    canvas.frame(112.0, (torso.hem.1 + 10.0).max(580.0), sleeve.reach());
    let buttons = button_colour(canvas);
    assemble(canvas, &torso, &sleeve, |canvas| {
        let gathers: String = [-16.0, -8.0, 1.0, 9.0, 17.0]
            .iter()
            .map(|&out| {
                let (from, to) = (sleeve.at(-2.0, out), sleeve.at(-46.0 - (out * 3.0) % 17.0, out * 1.9));
                Outline::from(from.0, from.1).line(to.0, to.1).open()
            })
            .collect();
        canvas.seam(&gathers);
        canvas.panel(&Panel::new(sleeve.cuff(30.0, 2.0)).turned(sleeve.degrees).lifted().volume(8.0));
        canvas.buttons(&[sleeve.at(10.0, 12.0), sleeve.at(21.0, 12.0)], 3.2, buttons);
    });
    canvas.both_sides(|canvas| {
        canvas.seam("M58 170Q92 182 126 186M64 176l3 30M80 180l2 22M96 184l2 30M110 186l1 20");
    });
    let hem = torso.hem.1;
    canvas.seam(&format!("M0 238V{}", short(hem + 11.0)));
    let places: Vec<_> = (0..5).map(|place| (0.0, 300.0 + (hem - 330.0) / 4.0 * f64::from(place))).collect();
    canvas.buttons(&places, 4.0, buttons);
    // A band round the neck, tied into a bow with hanging ends.
    let base = canvas.shades.base;
    canvas.band(&torso.back_neck(), 13.0, base.lighter(-0.06));
    label(canvas, 144.0);
    canvas.band(&torso.front_neck(), 14.0, base);
    canvas.both_sides(|canvas| {
        let tail = "M-2 236C14 262 26 300 30 352Q46 350 56 340C48 292 30 262 8 232Z";
        canvas.panel(&Panel::new(tail).turned(-14.0).lifted().folds("M12 252Q36 290 44 340", "").volume(8.0));
        let loop_ = "M0 233C18 206 52 194 78 204Q86 222 76 244C52 254 22 250 0 240Z";
        canvas.panel(
            &Panel::new(loop_).turned(80.0).lifted().folds("M6 236Q40 222 66 226", "M10 228Q40 210 70 212").volume(9.0),
        );
    });
    canvas.panel(
        &Panel::new("M-13 224Q0 219 13 224Q16 238 12 250Q0 255-12 250Q-16 238-13 224Z")
            .lifted()
            .folds("M-4 226Q-6 238-3 250M5 226Q7 238 4 250", "")
            .volume(6.0),
    );
}

pub(super) fn knit(canvas: &mut Canvas, cut: Cut) {
    let torso = Torso { neckline: Neckline::Round(172.0), ..Torso::of(cut) };
    let torso = Torso {
        hem: (torso.hem.0 + 3.0, torso.hem.1 - 34.0),
        armpit: (torso.armpit.0 + 4.0, torso.armpit.1 + 4.0),
        dip: 4.0,
        cuff: torso.cuff + 5.0,
        ..torso
    };
    let sleeve = torso.long_sleeve(10.0);
    canvas.frame(106.0, (torso.hem.1 + 44.0).max(592.0), sleeve.reach());
    assemble(canvas, &torso, &sleeve, |canvas| {
        canvas.panel(&Panel::new(sleeve.cuff(40.0, 8.0)).cloth(Cloth::Rib).turned(sleeve.degrees).volume(12.0));
    });
    welt(canvas, &torso);
    // Raglan-like fully fashioned marks.
    let (sx, sy) = torso.shoulder;
    canvas.both_sides(|canvas| {
        canvas.seam(
            &Outline::from(sx - 16.0, sy - 3.0)
                .curve((sx - 22.0, sy + 50.0), (sx - 18.0, sy + 80.0), (torso.armpit.0 - 16.0, torso.armpit.1 - 12.0))
                .open(),
        );
    });
    neck_ribs(canvas, &torso, 21.0);
}

/// The ribbed hem below a knitted or sweat body.
pub(super) fn welt(canvas: &mut Canvas, torso: &Torso) {
    let (hx, hy) = torso.hem;
    let outline = Outline::from(0.0, hy + torso.dip - 1.0)
        .curve((hx * 0.4, hy + torso.dip), (hx * 0.8, hy + torso.dip), (hx + 0.5, hy - 1.0))
        .curve((hx + 2.0, hy + 14.0), (hx - 6.0, hy + 26.0), (hx - 8.0, hy + 37.0))
        .curve((hx * 0.6, hy + 41.0), (hx * 0.3, hy + 42.0), (0.0, hy + 42.0))
        .mirrored();
    canvas.panel(&Panel::new(outline).cloth(Cloth::Rib).volume(12.0));
}

fn neck_ribs(canvas: &mut Canvas, torso: &Torso, width: f64) {
    let base = canvas.shades.base;
    canvas.ribbed_band(&torso.back_neck(), width * 0.7, base.lighter(-0.06));
    label(canvas, 150.0);
    canvas.ribbed_band(&torso.front_neck(), width, base);
}

pub(super) fn cardigan(canvas: &mut Canvas, cut: Cut) {
    let torso = Torso { neckline: Neckline::Vee(318.0), neck: (50.0, 126.0), ..Torso::of(cut) };
    let torso = Torso { hem: (torso.hem.0 + 3.0, torso.hem.1 - 30.0), dip: 2.0, cuff: torso.cuff + 5.0, ..torso };
    let sleeve = torso.long_sleeve(10.0);
    canvas.frame(106.0, (torso.hem.1 + 44.0).max(592.0), sleeve.reach());
    assemble(canvas, &torso, &sleeve, |canvas| {
        canvas.panel(&Panel::new(sleeve.cuff(38.0, 7.0)).cloth(Cloth::Rib).turned(sleeve.degrees).volume(12.0));
    });
    welt(canvas, &torso);
    let (hx, hy) = torso.hem;
    if cut != Cut::Cropped {
        let pocket = format!(
            "M{0} {1}H{2}V{3}Q{2} {4} {5} {4}H{6}Q{0} {4} {0} {3}Z",
            short(hx * 0.33),
            short(hy - 98.0),
            short(hx * 0.86),
            short(hy - 20.0),
            short(hy - 10.0),
            short(hx * 0.86 - 9.0),
            short(hx * 0.33 + 9.0)
        );
        canvas.both_sides(|canvas| {
            canvas.panel(&Panel::new(pocket).cloth(Cloth::Plain).lifted().volume(8.0));
            let base = canvas.shades.base;
            canvas.ribbed_band(
                &format!("M{0} {1}H{2}", short(hx * 0.33), short(hy - 94.0), short(hx * 0.86)),
                12.0,
                base,
            );
        });
    }
    let base = canvas.shades.base;
    canvas.ribbed_band(&torso.back_neck(), 16.0, base.lighter(-0.06));
    label(canvas, 148.0);
    let trim = if canvas.pattern() == Pattern::Colourblock { canvas.accent() } else { base };
    canvas.ribbed_band(&format!("{}M0 312V{}", torso.front_neck(), short(hy + 43.0)), 22.0, trim);
    let buttons = button_colour(canvas);
    let places: Vec<_> = (0..5).map(|place| (0.0, 334.0 + (hy + 22.0 - 334.0) / 4.0 * f64::from(place))).collect();
    canvas.buttons(&places, 7.0, buttons);
}
