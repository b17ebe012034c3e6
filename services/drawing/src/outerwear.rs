//! Outerwear: hoodie, work jacket, blazer and coat.

use super::{
    Colour, Cut, Pattern,
    canvas::{Canvas, Cloth, Panel},
    silhouette::{Neckline, Outline, Torso, short},
    tops::{assemble, button_colour, collar, label, welt},
};

pub(super) fn hoodie(canvas: &mut Canvas, cut: Cut) {
    let torso = Torso { neckline: Neckline::Round(196.0), neck: (60.0, 134.0), ..Torso::of(cut) };
    let torso = Torso { hem: (torso.hem.0 + 3.0, torso.hem.1 - 34.0), dip: 4.0, cuff: torso.cuff + 6.0, ..torso };
    let sleeve = torso.long_sleeve(10.0);
    canvas.frame(46.0, (torso.hem.1 + 44.0).max(592.0), sleeve.reach());
    let block = canvas.pattern() == Pattern::Colourblock;
    // The hood lies spread behind the neck.
    let hood = Outline::from(0.0, 62.0)
        .curve((58.0, 60.0), (104.0, 82.0), (110.0, 126.0))
        .curve((112.0, 152.0), (98.0, 172.0), (74.0, 186.0))
        .line(0.0, 200.0);
    let outer = if block { Cloth::Of(canvas.accent()) } else { Cloth::Main };
    canvas.panel(
        &Panel::new(hood.mirrored())
            .cloth(outer)
            .folds("M-92 118Q-66 92-40 84M88 110Q70 88 46 82", "M-70 80Q0 56 70 80")
            .volume(26.0),
    );
    assemble(canvas, &torso, &sleeve, |canvas| {
        canvas.panel(&Panel::new(sleeve.cuff(40.0, 9.0)).cloth(Cloth::Rib).turned(sleeve.degrees).volume(12.0));
    });
    welt(canvas, &torso);
    let opening = Outline::from(0.0, 92.0).curve((38.0, 92.0), (66.0, 108.0), (66.0, 134.0)).curve(
        (64.0, 164.0),
        (32.0, 184.0),
        (0.0, 202.0),
    );
    canvas.panel(&Panel::new(opening.mirrored()).cloth(Cloth::Inside).volume(34.0));
    label(canvas, 112.0);
    canvas.both_sides(|canvas| {
        let side = Outline::from(0.0, 206.0)
            .curve((20.0, 190.0), (62.0, 166.0), (62.0, 130.0))
            .curve((62.0, 112.0), (46.0, 96.0), (20.0, 90.0))
            .curve((62.0, 84.0), (104.0, 104.0), (102.0, 142.0))
            .curve((96.0, 184.0), (40.0, 214.0), (0.0, 234.0));
        canvas.panel(
            &Panel::new(side.closed())
                .cloth(outer)
                .turned(24.0)
                .lifted()
                .folds("M92 150Q70 186 26 206", "M80 130Q74 168 34 194")
                .volume(12.0),
        );
        canvas.stitch("M3 212C24 198 70 172 69 132C68 112 56 100 40 95");
    });
    let cord = if canvas.shades.base.lightness() > 0.8 { canvas.shades.line } else { Colour::new(0xf1, 0xeb, 0xdf) };
    canvas.stroke("M-14 208C-22 240-16 266-20 306M15 206C24 236 17 262 22 294", cord.lighter(-0.25), 6.4);
    canvas.stroke("M-14 208C-22 240-16 266-20 306M15 206C24 236 17 262 22 294", cord, 4.4);
    canvas.stroke("M-20 304v12M22 292v12", cord.lighter(-0.3), 5.6);
    let y = torso.hem.1;
    let pocket = format!("M-52 {0}H52L92 {1}V{2}H-92V{1}Z", short(y - 122.0), short(y - 66.0), short(y + 3.0));
    canvas.panel(
        &Panel::new(pocket)
            .lifted()
            .folds(format!("M-60 {0}Q0 {1} 62 {0}", short(y - 30.0), short(y - 18.0)), "")
            .block("M-300 0H300V900H-300Z")
            .volume(10.0),
    );
    canvas.stitch(&format!("M-50 {0}H50M-56 {0}L-86 {1}M56 {0}L86 {1}", short(y - 115.0), short(y - 66.0)));
}

pub(super) fn jacket(canvas: &mut Canvas, cut: Cut) {
    let torso = Torso { neckline: Neckline::Vee(190.0), ..Torso::of(cut) };
    let torso = Torso { hem: (torso.hem.0 + 4.0, torso.hem.1 - 22.0), dip: 5.0, cuff: torso.cuff + 5.0, ..torso };
    let sleeve = torso.long_sleeve(4.0);
    canvas.frame(104.0, (torso.hem.1 + 10.0).max(596.0), sleeve.reach());
    let denim = canvas.pattern() == Pattern::Denim;
    let buttons = if denim { Colour::new(0xb5, 0x8a, 0x55) } else { button_colour(canvas) };
    assemble(canvas, &torso, &sleeve, |canvas| {
        canvas.panel(
            &Panel::new(sleeve.cuff(34.0, 1.0)).turned(sleeve.degrees).lifted().block("M0 0H400V900H0Z").volume(9.0),
        );
        canvas.stitch(&(sleeve.across(3.5) + &sleeve.across(29.0)));
        canvas.buttons(&[sleeve.at(17.0, 16.0)], 4.6, buttons);
    });
    let (hx, hy) = torso.hem;
    let (sx, sy) = torso.shoulder;
    let block = canvas.pattern() == Pattern::Colourblock;
    canvas.both_sides(|canvas| {
        canvas.stitch(
            &Outline::from(sx - 6.0, sy + 4.0)
                .curve(
                    (sx - 12.0, sy + 50.0),
                    (torso.armpit.0 - 34.0, torso.armpit.1 - 44.0),
                    (torso.armpit.0 - 9.0, torso.armpit.1 - 3.0),
                )
                .open(),
        );
        if denim {
            canvas.seam(&format!("M16 236H{}", short(sx - 12.0)));
            canvas.seam(&format!("M88 240L66 {0}M34 240L28 {0}", short(hy - 30.0)));
            canvas.stitch(&format!("M16 231H{0}M93 240L71 {1}M39 240L33 {1}", short(sx - 12.0), short(hy - 30.0)));
        } else {
            let (left, right) = (30.0, hx - 18.0);
            let top = hy - 140.0;
            let pocket = |x0: f64, y0: f64, x1: f64, y1: f64| {
                format!(
                    "M{0} {1}H{2}V{3}Q{2} {4} {5} {4}H{6}Q{0} {4} {0} {3}Z",
                    short(x0),
                    short(y0),
                    short(x1),
                    short(y1 - 12.0),
                    short(y1),
                    short(x1 - 12.0),
                    short(x0 + 12.0)
                )
            };
            canvas.panel(
                &Panel::new(pocket(left, top, right, hy - 24.0))
                    .lifted()
                    .block(if block { "M0 0H400V900H0Z" } else { "" })
                    .volume(10.0),
            );
            canvas.stitch(
                &(pocket(left + 4.5, top + 16.0, right - 4.5, hy - 29.0)
                    + &format!("M{0} {2}H{1}", short(left + 4.0), short(right - 4.0), short(top + 5.0))),
            );
        }
    });
    if !denim {
        canvas.panel(&Panel::new("M38 258H100V318Q100 328 90 328H48Q38 328 38 318Z").lifted().volume(8.0));
        canvas.stitch("M42 264H96M42 272V317Q43 323 49 324H89Q95 323 96 317V272");
    } else {
        canvas.both_sides(|canvas| {
            canvas.panel(&Panel::new("M42 240H104V262L73 276L42 262Z").lifted().volume(7.0));
            canvas.buttons(&[(73.0, 262.0)], 4.4, buttons);
        });
        let band = format!("M{0} {1}H{2}V{3}H{0}Z", short(-hx), short(hy - 26.0), short(hx), short(hy + 6.0));
        canvas.panel(&Panel::new(band).turned(90.0).volume(8.0));
        canvas.stitch(&format!(
            "M{0} {1}H{2}M{0} {3}H{2}",
            short(3.0 - hx),
            short(hy - 21.0),
            short(hx - 3.0),
            short(hy + 1.0)
        ));
    }
    let front = format!("M-15 178H15V{0}H-15Z", short(hy + 6.0));
    canvas.panel(&Panel::new(front).lifted().block("").volume(7.0));
    canvas.stitch(&format!("M10 182V{0}M-10 182V{0}", short(hy + 1.0)));
    if !denim {
        canvas.stitch(&format!("M{0} {1}H{2}", short(3.0 - hx), short(hy - 12.0), short(hx - 3.0)));
    }
    let places: Vec<_> = (0..5).map(|place| (0.0, 222.0 + (hy - 14.0 - 222.0) / 4.0 * f64::from(place))).collect();
    canvas.buttons(&places, 6.6, buttons);
    let trim = if block { Cloth::Of(canvas.accent()) } else { Cloth::Main };
    collar(canvas, 116.0, 56.0, trim);
}

/// A lapel on the right-hand side, down to `low`, with its notch and the collar above it.
fn lapel(canvas: &mut Canvas, low: f64, width: f64) {
    let cloth = if canvas.pattern() == Pattern::Colourblock { Cloth::Of(canvas.accent()) } else { Cloth::Main };
    let tip = 52.0 + width;
    let leaf = Outline::from(0.0, low)
        .curve((16.0, low - 60.0), (38.0, 200.0), (50.0, 148.0))
        .line(66.0, 172.0)
        .line(tip, 206.0)
        .curve((tip - 10.0, 250.0), (34.0, low - 50.0), (0.0, low));
    canvas.panel(
        &Panel::new(leaf.closed())
            .cloth(cloth)
            .turned(16.0)
            .lifted()
            .folds("", format!("M8 {}Q34 250 50 190", short(low - 26.0)))
            .volume(9.0),
    );
    let fall = Outline::from(40.0, 118.0)
        .curve((52.0, 118.0), (64.0, 126.0), (70.0, 138.0))
        .curve((74.0, 150.0), (84.0, 168.0), (tip - 14.0, 182.0))
        .line(66.0, 206.0)
        .curve((52.0, 180.0), (46.0, 152.0), (40.0, 118.0));
    canvas.panel(&Panel::new(fall.closed()).cloth(cloth).turned(-24.0).lifted().volume(8.0));
}

fn tailored_back(canvas: &mut Canvas, low: f64) {
    let lining = if canvas.shades.base.lightness() > 0.6 {
        canvas.shades.base.lighter(-0.16)
    } else {
        canvas.accent().mixed(canvas.shades.base, 0.55)
    };
    let outline = Outline::from(0.0, 122.0)
        .curve((20.0, 122.0), (40.0, 120.0), (50.0, 116.0))
        .line(60.0, 150.0)
        .line(0.0, low + 14.0);
    canvas.panel(&Panel::new(outline.mirrored()).cloth(Cloth::Of(lining)).volume(30.0));
    canvas.band("M-49 122Q0 134 49 122", 16.0, canvas.shades.base.lighter(-0.05));
    label(canvas, 142.0);
}

pub(super) fn blazer(canvas: &mut Canvas, cut: Cut) {
    let torso = Torso { neckline: Neckline::Vee(372.0), neck: (52.0, 124.0), ..Torso::of(cut) };
    let torso = Torso { hem: (torso.hem.0 + 6.0, torso.hem.1 + 4.0), dip: 2.0, cuff: torso.cuff + 2.0, ..torso };
    let sleeve = torso.long_sleeve(0.0);
    let (hx, hy) = torso.hem;
    canvas.frame(104.0, hy.max(578.0) + 8.0, sleeve.reach());
    let horn = Colour::new(0x3e, 0x2f, 0x26);
    let buttons =
        if canvas.shades.base.lightness() < 0.4 { horn.mixed(Colour::new(0xb0, 0x96, 0x78), 0.35) } else { horn };
    canvas.both_sides(|canvas| {
        let (dark, light) = sleeve.folds();
        canvas.panel(&Panel::new(&sleeve.outline).turned(sleeve.degrees).folds(dark, light));
        let cuffs = [-22.0, -34.0, -46.0].map(|along| sleeve.at(along, -sleeve_edge(&torso)));
        canvas.buttons(&cuffs, 3.6, buttons);
    });
    tailored_back(canvas, 372.0);
    // The left front lies below, the right front over it, each rounded at the hem.
    let side = |sign: f64, over: f64| {
        let x = |value: f64| sign * value;
        let ((nx, ny), (sx, sy), (ax, ay)) = (torso.neck, torso.shoulder, torso.armpit);
        Outline::from(x(-over), 372.0)
            .curve((x(8.0), 320.0), (x(nx * 0.9), ny + 60.0), (x(nx), ny))
            .curve((x(nx + 25.0), ny + 6.0), (x(sx - 30.0), sy - 16.0), (x(sx + 2.0), sy - 4.0))
            .curve((x(sx - 4.0), sy + 44.0), (x(ax - 26.0), ay - 40.0), (x(ax), ay))
            .curve((x(ax - 16.0), ay + 90.0), (x(ax - 10.0), hy - 150.0), (x(hx), hy - 4.0))
            .curve((x(hx * 0.7), hy + 4.0), (x(70.0), hy + 6.0), (x(44.0), hy + 4.0))
            .curve((x(12.0), hy), (x(-over), hy - 60.0), (x(-over - 2.0), 440.0))
            .closed()
    };
    let folds = |sign: f64| {
        let x = |value: f64| short(sign * value);
        (
            format!(
                "M{} 330Q{} 380 {} 400M{} 560Q{} 500 {} 450",
                x(torso.armpit.0 - 6.0),
                x(96.0),
                x(40.0),
                x(100.0),
                x(90.0),
                x(104.0)
            ),
            format!(
                "M{} 352Q{} 400 {} 420M{} 300Q{} 260 {} 220",
                x(torso.armpit.0 - 10.0),
                x(100.0),
                x(56.0),
                x(84.0),
                x(96.0),
                x(90.0)
            ),
        )
    };
    for (sign, over) in [(1.0, 6.0), (-1.0, 12.0)] {
        let (dark, light) = folds(sign);
        canvas.panel(&Panel::new(side(sign, over)).lifted().folds(dark, light).volume(18.0));
    }
    let low = hy - 118.0;
    canvas.both_sides(|canvas| {
        canvas.seam(&format!("M72 300Q66 380 70 {}", short(low)));
        let flap = format!(
            "M42 {0}H{1}V{2}Q{1} {3} {4} {3}H50Q42 {3} 42 {2}Z",
            short(low),
            short(hx - 26.0),
            short(low + 22.0),
            short(low + 30.0),
            short(hx - 34.0)
        );
        canvas.panel(&Panel::new(flap).lifted().volume(7.0));
        lapel(canvas, 374.0, 52.0);
    });
    canvas.panel(&Panel::new("M62 288L104 280V293L62 301Z").turned(-10.0).lifted().volume(5.0));
    canvas.buttons(&[(2.0, 388.0), (2.0, 446.0)], 7.4, buttons);
}

/// How far from the sleeve's axis its buttons sit.
fn sleeve_edge(torso: &Torso) -> f64 {
    torso.cuff - 8.0
}

pub(super) fn coat(canvas: &mut Canvas, cut: Cut) {
    let torso = Torso::of(cut);
    let long = match cut {
        Cut::Cropped => 640.0,
        Cut::Long => 850.0,
        _ => 770.0,
    };
    let torso = Torso {
        neckline: Neckline::Vee(340.0),
        neck: (54.0, 124.0),
        hem: (torso.hem.0 + 26.0, long),
        dip: 6.0,
        cuff: torso.cuff + 7.0,
        ..torso
    };
    let sleeve = torso.long_sleeve(2.0);
    let hy = torso.hem.1;
    canvas.frame(104.0, hy + 10.0, sleeve.reach());
    let buttons = if canvas.shades.base.lightness() < 0.4 {
        Colour::new(0x8a, 0x6c, 0x4e)
    } else {
        Colour::new(0x46, 0x35, 0x2a)
    };
    canvas.both_sides(|canvas| {
        let (dark, light) = sleeve.folds();
        canvas.panel(&Panel::new(&sleeve.outline).turned(sleeve.degrees).folds(dark, light).block(""));
        canvas.panel(
            &Panel::new(sleeve.cuff(22.0, 0.0)).turned(sleeve.degrees).lifted().block("M0 0H400V999H0Z").volume(8.0),
        );
    });
    tailored_back(canvas, 330.0);
    let (dark, light) = super::tops::front_folds(&torso);
    canvas.panel(
        &Panel::new(torso.body())
            .lifted()
            .folds(dark, light)
            .block(format!("M-300 {}H300V999H-300Z", short(hy - 190.0))),
    );
    // The right front's edge runs left of the axis, under a double row of buttons.
    canvas.seam(&format!("M0 340Q-44 356-46 400V{}", short(hy + 4.0)));
    canvas.stitch(&format!("M-39 402V{}", short(hy + 4.0)));
    let places: Vec<_> = [372.0, 442.0, 512.0].into_iter().flat_map(|y| [(-26.0, y), (48.0, y)]).collect();
    canvas.buttons(&places, 9.4, buttons);
    canvas.both_sides(|canvas| {
        canvas.panel(&Panel::new("M78 500L98 494L116 590L96 594Z").turned(-10.0).lifted().volume(7.0));
        lapel(canvas, 342.0, 64.0);
    });
}
