//! Dresses and skirts.

use super::{
    Cut, Pattern,
    canvas::{Canvas, Cloth, Panel},
    silhouette::{Neckline, Outline, Torso, short},
    tops::label,
};

/// A skirt hanging from a waist.
struct Flare {
    waist: (f64, f64),
    hem: (f64, f64),
    /// How far the sides bow out over the hip.
    hip: f64,
    /// Pleats a side.
    pleats: u32,
}

impl Flare {
    fn outline(&self) -> String {
        let ((wx, wy), (hx, hy)) = (self.waist, self.hem);
        let length = hy - wy;
        Outline::from(0.0, wy)
            .line(wx, wy)
            .curve((wx + self.hip, wy + length * 0.2), (hx - 14.0, wy + length * 0.6), (hx, hy - 8.0))
            .curve((hx * 0.7, hy + 16.0), (hx * 0.3, hy + 18.0), (0.0, hy + 14.0))
            .mirrored()
    }

    /// Folds that fan out from the waist: dark, light.
    fn folds(&self) -> (String, String) {
        let ((wx, wy), (hx, hy)) = (self.waist, self.hem);
        let fan = |shift: f64, from: f64| -> String {
            let count = i32::try_from(self.pleats).unwrap_or(0);
            (-count..=count)
                .map(|place| {
                    let share = (f64::from(place) + shift) / (f64::from(count) + 0.6);
                    let start = wy + (hy - wy) * (from + 0.09 * f64::from(place.rem_euclid(3)));
                    let top = wx + (hx - wx) * (start - wy) / (hy - wy) * 0.8;
                    Outline::from(share * top, start)
                        .curve(
                            (share * (top + 6.0), start + 60.0),
                            (share * hx * 0.94, hy - 130.0),
                            (share * hx * 0.97, hy + 8.0),
                        )
                        .open()
                })
                .collect()
        };
        (fan(0.0, 0.04), fan(0.42, 0.12))
    }

    fn draw(&self, canvas: &mut Canvas, lifted: bool) {
        let (dark, light) = self.folds();
        let split = self.waist.1 + (self.hem.1 - self.waist.1) * 0.55;
        let panel =
            Panel::new(self.outline()).folds(dark, light).block(format!("M-300 {}H300V999H-300Z", short(split)));
        canvas.panel(&if lifted { panel.lifted() } else { panel });
        let ((_, _), (hx, hy)) = (self.waist, self.hem);
        let line = Outline::from(4.0 - hx, hy - 22.0)
            .curve((-hx * 0.7, hy + 1.0), (-hx * 0.3, hy + 3.0), (0.0, hy))
            .curve((hx * 0.3, hy + 3.0), (hx * 0.7, hy + 1.0), (hx - 4.0, hy - 22.0));
        canvas.stitch(&line.open());
    }

    /// Small gathers just below the waist.
    fn gathers(&self, canvas: &mut Canvas) {
        let (wx, wy) = self.waist;
        let lines: String = [0.12, 0.27, 0.4, 0.55, 0.68, 0.83, 0.94]
            .iter()
            .enumerate()
            .map(|(place, share)| {
                let length = [26.0, 44.0, 20.0][place % 3];
                format!(
                    "M{} {}L{} {}",
                    short(wx * share),
                    short(wy + 5.0),
                    short(wx * share * 1.12),
                    short(wy + length)
                )
            })
            .collect();
        canvas.both_sides(|canvas| canvas.seam(&lines));
    }
}

pub(super) fn dress(canvas: &mut Canvas, cut: Cut) {
    match cut {
        Cut::Slim => slip(canvas),
        Cut::Relaxed => tiered(canvas),
        Cut::Regular => waisted(canvas, 690.0, 176.0, false),
        Cut::Cropped => waisted(canvas, 560.0, 164.0, false),
        Cut::Long => waisted(canvas, 800.0, 196.0, true),
    }
}

/// A bodice with short or long sleeves over a flared skirt.
fn waisted(canvas: &mut Canvas, bottom: f64, flare: f64, long: bool) {
    let torso = Torso {
        neckline: Neckline::Vee(if long { 236.0 } else { 222.0 }),
        neck: (58.0, 130.0),
        shoulder: (112.0, 156.0),
        armpit: (116.0, 272.0),
        hem: (88.0, 384.0),
        dip: 4.0,
        cuff: 22.0,
    };
    let sleeve = if long { torso.long_sleeve(22.0) } else { torso.short_sleeve() };
    canvas.frame(110.0, bottom + 14.0, flare.max(sleeve.reach()) + 8.0);
    let skirt = Flare { waist: (88.0, 380.0), hem: (flare, bottom), hip: 34.0, pleats: 4 };
    canvas.both_sides(|canvas| {
        let (dark, light) = if long { sleeve.folds() } else { (String::new(), String::new()) };
        canvas.panel(&Panel::new(&sleeve.outline).turned(sleeve.degrees).folds(dark, light));
        if long {
            canvas.panel(&Panel::new(sleeve.cuff(24.0, 1.0)).turned(sleeve.degrees).lifted().volume(7.0));
        } else {
            canvas.stitch(&sleeve.across(-8.0));
        }
    });
    skirt.draw(canvas, false);
    skirt.gathers(canvas);
    canvas.panel(&Panel::new(torso.inside()).cloth(Cloth::Inside).volume(26.0));
    canvas.panel(&Panel::new(torso.body()).lifted().folds(
        "M110 280Q80 306 44 312M-110 282Q-74 310-38 322M30 380Q28 340 50 310M-34 380Q-38 350-24 330",
        "M104 296Q80 320 50 326M-100 300Q-70 326-44 336",
    ));
    canvas.band(&torso.back_neck(), 7.0, canvas.shades.base.lighter(-0.06));
    label(canvas, 146.0);
    canvas.stitch(&torso.front_neck());
    // A wrapped front and a tied waist.
    let (Neckline::Vee(low) | Neckline::Round(low)) = torso.neckline;
    canvas.seam(&format!("M0 {}Q36 320 80 376", short(low)));
    let trim =
        if canvas.pattern() == Pattern::Colourblock { canvas.accent() } else { canvas.shades.base.lighter(-0.045) };
    let belt = "M-89 370Q0 380 89 370L90 390Q0 402-90 390Z";
    canvas.panel(
        &Panel::new("M52 384C60 430 56 470 66 520L84 514C78 470 76 430 66 384Z")
            .cloth(Cloth::Of(trim))
            .lifted()
            .volume(6.0),
    );
    canvas.panel(
        &Panel::new("M58 384C74 420 84 450 104 486L118 474C100 440 90 420 74 382Z")
            .cloth(Cloth::Of(trim))
            .lifted()
            .volume(6.0),
    );
    canvas.panel(&Panel::new(belt).cloth(Cloth::Of(trim)).lifted().volume(7.0));
    canvas.panel(
        &Panel::new("M54 372Q64 368 74 371Q77 382 73 393Q63 397 54 394Q51 383 54 372Z")
            .cloth(Cloth::Of(trim))
            .lifted()
            .volume(5.0),
    );
}

/// A bias-cut slip on thin straps.
fn slip(canvas: &mut Canvas) {
    canvas.frame(84.0, 748.0, 210.0);
    let base = canvas.shades.base;
    canvas.both_sides(|canvas| {
        canvas.band("M62 196C60 150 58 120 53 100C48 92 44 96 44 106C44 150 46 190 50 232", 4.2, base.lighter(-0.07));
    });
    let back =
        Outline::from(0.0, 226.0).curve((30.0, 226.0), (60.0, 220.0), (88.0, 236.0)).line(80.0, 280.0).line(0.0, 290.0);
    canvas.panel(&Panel::new(back.mirrored()).cloth(Cloth::Inside).volume(20.0));
    label(canvas, 232.0);
    let body = Outline::from(0.0, 236.0)
        .curve((20.0, 238.0), (44.0, 214.0), (62.0, 190.0))
        .curve((68.0, 212.0), (78.0, 232.0), (94.0, 250.0))
        .curve((94.0, 300.0), (78.0, 340.0), (80.0, 378.0))
        .curve((86.0, 450.0), (122.0, 480.0), (136.0, 734.0))
        .curve((90.0, 752.0), (40.0, 754.0), (0.0, 752.0));
    canvas.panel(
        &Panel::new(body.mirrored())
            .turned(-6.0)
            .lifted()
            .folds(
                "M60 200Q40 236 6 246M-60 204Q-44 240-10 252M84 300Q40 350-40 372M-80 330Q-30 396 50 420M70 740Q60 600 20 500M-84 742Q-70 620-58 520M6 748Q10 680-6 600",
                "M70 290Q30 336-50 350M-70 352Q-20 420 56 440M100 742Q92 620 58 500M-36 746Q-40 640-24 540",
            )
            .block("M-300 470L300 540V999H-300Z"),
    );
    canvas.stitch("M-60 196C-42 222-20 244 0 242C20 244 42 222 60 196M-133 724Q0 750 133 724");
    canvas.seam("M-93 252C-80 262-60 270-44 262M93 252C80 262 60 270 44 262");
}

/// A wide smock in tiers with short sleeves.
fn tiered(canvas: &mut Canvas) {
    canvas.frame(110.0, 706.0, 236.0);
    let torso = Torso {
        neckline: Neckline::Round(176.0),
        neck: (56.0, 130.0),
        shoulder: (124.0, 160.0),
        armpit: (128.0, 286.0),
        hem: (136.0, 330.0),
        dip: 2.0,
        cuff: 30.0,
    };
    let sleeve = torso.short_sleeve();
    canvas.both_sides(|canvas| {
        canvas.panel(&Panel::new(&sleeve.outline).turned(sleeve.degrees).block("M0 0H400V900H0Z"));
        canvas.panel(&Panel::new(sleeve.cuff(12.0, 5.0)).turned(sleeve.degrees).volume(6.0));
    });
    let low = Flare { waist: (166.0, 500.0), hem: (206.0, 690.0), hip: 14.0, pleats: 6 };
    let middle = Flare { waist: (134.0, 330.0), hem: (180.0, 514.0), hip: 22.0, pleats: 5 };
    low.draw(canvas, false);
    low.gathers(canvas);
    middle.draw(canvas, true);
    middle.gathers(canvas);
    canvas.panel(&Panel::new(torso.inside()).cloth(Cloth::Inside).volume(26.0));
    canvas.panel(
        &Panel::new(torso.body())
            .lifted()
            .folds("M120 290Q84 304 50 300M-120 290Q-84 306-50 304", "M112 304Q84 316 60 312")
            .block(""),
    );
    let base = canvas.shades.base;
    canvas.band(&torso.back_neck(), 8.0, base.lighter(-0.06));
    label(canvas, 148.0);
    canvas.band(&torso.front_neck(), 10.0, base);
    canvas.seam("M0 180V250");
    canvas.stroke("M0 180C-20 200-28 230-30 262M0 180C16 204 26 230 24 254", base.lighter(-0.2), 3.4);
}

pub(super) fn skirt(canvas: &mut Canvas, cut: Cut) {
    let (waist, hem, bottom, hip, pleats) = match cut {
        Cut::Regular => (84.0, 178.0, 500.0, 40.0, 4),
        Cut::Relaxed => (86.0, 212.0, 520.0, 66.0, 6),
        Cut::Slim => (84.0, 104.0, 490.0, 34.0, 1),
        Cut::Cropped => (86.0, 156.0, 360.0, 36.0, 3),
        Cut::Long => (82.0, 202.0, 640.0, 46.0, 5),
    };
    let top = 100.0;
    canvas.frame(top - 44.0, bottom + 22.0, hem + 8.0);
    let flare = Flare { waist: (waist, top), hem: (hem, bottom), hip, pleats };
    flare.draw(canvas, false);
    let (w, h) = (short(waist + 1.0), short(waist - 1.0));
    canvas.panel(&Panel::new(format!("M-{h} 68Q0 54 {h} 68L{h} 96H-{h}Z")).cloth(Cloth::Inside).volume(14.0));
    label(canvas, 68.0);
    match cut {
        Cut::Slim => {
            canvas.both_sides(|canvas| canvas.seam("M44 106Q46 150 40 186"));
            canvas.seam(&format!("M0 116V{}", short(bottom + 12.0)));
            canvas.panel(
                &Panel::new(format!("M-4 {0}L20 {1}H-4Z", short(bottom - 100.0), short(bottom + 13.0)))
                    .cloth(Cloth::Inside)
                    .volume(10.0),
            );
        }
        Cut::Cropped => {
            canvas.both_sides(|canvas| {
                canvas.seam("M30 112C34 150 60 164 104 168");
                canvas.stitch("M25 114C30 156 58 170 104 174");
            });
            canvas.seam(&format!("M0 116V{}", short(bottom + 12.0)));
        }
        Cut::Regular => {
            canvas.stitch(&format!("M-13 116V{0}M13 116V{0}", short(bottom + 12.0)));
            canvas.seam(&format!("M-17 116V{0}M17 116V{0}", short(bottom + 12.0)));
            let places: Vec<_> = (0..7).map(|place| (0.0, 138.0 + (bottom - 180.0) / 6.0 * f64::from(place))).collect();
            canvas.buttons(&places, 6.6, super::tops::button_colour(canvas));
        }
        Cut::Relaxed | Cut::Long => flare.gathers(canvas),
    }
    canvas.panel(&Panel::new(format!("M-{h} 68Q0 96 {h} 68L{w} 106Q0 134-{w} 106Z")).turned(90.0).lifted().volume(8.0));
    canvas.buttons(
        if matches!(cut, Cut::Regular | Cut::Cropped) { &[(0.0, 104.0)] } else { &[] },
        6.6,
        super::tops::button_colour(canvas),
    );
}
