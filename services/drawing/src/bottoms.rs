//! Trousers, jeans and shorts.

use super::{
    Colour, Cut, Pattern,
    canvas::{Canvas, Cloth, Panel},
    silhouette::{Outline, short},
};

/// The measures of a pair of legs.
struct Legs {
    waist: f64,
    hip: f64,
    /// Where the legs part.
    crotch: f64,
    knee: (f64, f64),
    /// The outer and the inner end of the leg's opening.
    outer: f64,
    inner: f64,
    bottom: f64,
}

impl Legs {
    fn of(cut: Cut) -> Self {
        let (hip, knee, outer, inner, bottom) = match cut {
            Cut::Regular => (138.0, (148.0, 24.0), 146.0, 34.0, 716.0),
            Cut::Relaxed => (148.0, (176.0, 16.0), 188.0, 14.0, 720.0),
            Cut::Slim => (130.0, (130.0, 30.0), 118.0, 44.0, 706.0),
            Cut::Cropped => (144.0, (158.0, 22.0), 160.0, 28.0, 606.0),
            Cut::Long => (138.0, (146.0, 24.0), 180.0, 16.0, 736.0),
        };
        Self { waist: 110.0, hip, crotch: 296.0, knee, outer, inner, bottom }
    }

    /// The right leg, from the waistband down.
    fn leg(&self, top: f64) -> Outline {
        let middle = (self.crotch + self.bottom) / 2.0;
        let knee = self.knee;
        Outline::from(0.0, top)
            .line(self.waist, top)
            .curve((self.waist + 6.0, top + 40.0), (self.hip, top + 70.0), (self.hip + 2.0, self.crotch - 50.0))
            .curve((self.hip + 6.0, self.crotch + 40.0), (knee.0, middle - 60.0), (knee.0, middle))
            .curve((knee.0, middle + 70.0), (self.outer, self.bottom - 110.0), (self.outer, self.bottom))
            .curve(
                (self.outer - 26.0, self.bottom + 7.0),
                (self.inner + 26.0, self.bottom + 7.0),
                (self.inner, self.bottom - 2.0),
            )
            .curve((self.inner, self.bottom - 110.0), (knee.1, middle + 40.0), (knee.1 - 4.0, middle))
            .curve((knee.1 - 10.0, middle - 60.0), (3.0, self.crotch + 60.0), (0.0, self.crotch))
    }

    fn folds(&self) -> (String, String) {
        let [crotch, middle, bottom] = [self.crotch, (self.crotch + self.bottom) / 2.0, self.bottom];
        let hip = self.hip;
        (
            format!(
                "M4 {}Q{} {} {} {}M6 {}Q40 {} 62 {}M{} {}Q{} {} {} {}M{} {}Q{} {} {} {}",
                short(crotch - 6.0),
                short(hip * 0.4),
                short(crotch - 22.0),
                short(hip * 0.8),
                short(crotch - 62.0),
                short(crotch + 16.0),
                short(crotch + 22.0),
                short(crotch + 8.0),
                short(self.knee.1 + 2.0),
                short(middle),
                short(self.knee.1 + 30.0),
                short(middle - 4.0),
                short(self.knee.0 - 34.0),
                short(middle - 26.0),
                short(self.inner + 8.0),
                short(bottom - 40.0),
                short(self.inner + 26.0),
                short(bottom - 56.0),
                short(self.outer - 30.0),
                short(bottom - 62.0),
            ),
            format!(
                "M{} {}Q{} {} {} {}M12 {}Q50 {} 84 {}",
                short((self.outer + self.inner) / 2.0 + 6.0),
                short(bottom - 20.0),
                short((self.knee.0 + self.knee.1) / 2.0),
                short(middle),
                short(hip * 0.62),
                short(crotch - 20.0),
                short(crotch + 4.0),
                short(crotch - 8.0),
                short(crotch - 36.0),
            ),
        )
    }
}

const TOP: f64 = 106.0;

/// The inside of the back above the front's waistband, and the waistband.
fn waistband(canvas: &mut Canvas, waist: f64, height: f64, loops: bool) {
    let (top, w) = (TOP, waist);
    let back = format!(
        "M{0} {1}Q0 {2} {3} {1}L{3} {4}H{0}Z",
        short(-w + 2.0),
        short(top - height),
        short(top - height - 13.0),
        short(w - 2.0),
        short(top - 10.0)
    );
    canvas.panel(&Panel::new(back).cloth(Cloth::Inside).volume(14.0));
    super::tops::label(canvas, top - height + 1.0);
    let front = format!(
        "M{0} {1}Q0 {2} {3} {1}L{4} {5}Q0 {6} {7} {5}Z",
        short(-w + 2.0),
        short(top - height),
        short(top - height + 30.0),
        short(w - 2.0),
        short(w + 1.0),
        short(top + 4.0),
        short(top + 30.0),
        short(-w - 1.0)
    );
    canvas.panel(&Panel::new(front).turned(90.0).lifted().volume(8.0));
    if loops {
        canvas.both_sides(|canvas| {
            canvas.panel(
                &Panel::new(format!("M48 {0}h11v{1}h-11Z", short(top - height + 8.0), short(height + 17.0)))
                    .lifted()
                    .volume(4.0),
            );
        });
    }
}

pub(super) fn trousers(canvas: &mut Canvas, cut: Cut) {
    let legs = Legs::of(cut);
    canvas.frame(66.0, legs.bottom + 8.0, 205.0);
    let (dark, light) = legs.folds();
    canvas.both_sides(|canvas| {
        canvas.panel(&Panel::new(legs.leg(TOP).closed()).turned(-1.0).folds(dark, light).block("M0 440H300V900H0Z"));
        // Pressed crease, pleat and slanted pocket.
        let middle = (legs.outer + legs.inner) / 2.0;
        canvas.seam(&format!(
            "M52 {} L56 190M56 260Q{} 460 {} {}",
            short(TOP + 20.0),
            short((legs.knee.0 + legs.knee.1) / 2.0),
            short(middle),
            short(legs.bottom - 4.0)
        ));
        canvas.seam(&format!("M70 {0}Q84 160 {1} 212", short(TOP + 14.0), short(legs.hip)));
        canvas.stitch(&format!("M64 {0}Q78 160 {1} 218", short(TOP + 16.0), short(legs.hip - 5.0)));
        canvas.stitch(&format!(
            "M{} {}H{}",
            short(legs.inner + 1.0),
            short(legs.bottom - 26.0),
            short(legs.outer - 1.0)
        ));
    });
    canvas.seam(&format!("M0 {}V{}M0 236Q22 232 24 204V{}", short(TOP + 20.0), short(legs.crotch), short(TOP + 20.0)));
    waistband(canvas, legs.waist, 32.0, true);
    canvas.buttons(&[(0.0, TOP + 4.0)], 5.0, super::tops::button_colour(canvas));
}

pub(super) fn jeans(canvas: &mut Canvas, cut: Cut) {
    let legs = Legs::of(cut);
    canvas.frame(66.0, legs.bottom + 8.0, 205.0);
    let (dark, light) = legs.folds();
    let faded = canvas.shades.light;
    canvas.both_sides(|canvas| {
        canvas.panel(
            &Panel::new(legs.leg(TOP).closed())
                .turned(-1.0)
                .folds(dark, light.clone() + &light)
                .block("M0 440H300V900H0Z"),
        );
        // Wear on the thigh, rivets, the coin pocket's stitching and the outer seam.
        canvas.stroke(
            &format!(
                "M{0} 330Q{1} 380 {0} 440M{2} 300Q{3} 380 {2} 430",
                short(legs.hip * 0.56),
                short(legs.hip * 0.6),
                short(legs.hip * 0.44),
                short(legs.hip * 0.5)
            ),
            faded,
            0.8,
        );
        canvas.seam(&format!("M34 {0}C38 160 66 176 {1} 178", short(TOP + 18.0), short(legs.hip - 4.0)));
        canvas.stitch(&format!(
            "M29 {0}C34 165 64 182 {1} 184M24 {0}C29 170 62 188 {1} 190",
            short(TOP + 19.0),
            short(legs.hip)
        ));
        canvas.stitch(&format!(
            "M{0} {1}H{2}M{0} {3}H{2}",
            short(legs.inner + 1.0),
            short(legs.bottom - 16.0),
            short(legs.outer - 1.0),
            short(legs.bottom - 3.0)
        ));
        let middle = (legs.crotch + legs.bottom) / 2.0;
        canvas.stitch(&format!(
            "M8 {}C14 {} {} {} {} {}V{}",
            short(legs.crotch + 30.0),
            short(legs.crotch + 90.0),
            short(legs.knee.1 - 2.0),
            short(middle - 40.0),
            short(legs.knee.1 + 4.0),
            short(middle),
            short(middle + 90.0)
        ));
        canvas.buttons(&[(36.0, TOP + 26.0), (legs.hip - 14.0, 171.0)], 2.6, Colour::new(0xb8, 0x7a, 0x4a));
    });
    canvas.seam(&format!("M0 {}V{}", short(TOP + 20.0), short(legs.crotch)));
    canvas.stitch(&format!(
        "M6 236Q24 228 26 200V{0}M6 230Q19 224 21 200V{0}M5 240V{1}",
        short(TOP + 20.0),
        short(legs.crotch - 4.0)
    ));
    waistband(canvas, legs.waist, 32.0, true);
    canvas.stitch(&format!(
        "M{0} {1}Q0 {2} {3} {1}M{0} {4}Q0 {5} {3} {4}",
        short(4.0 - legs.waist),
        short(TOP - 25.0),
        short(TOP + 4.0),
        short(legs.waist - 4.0),
        short(TOP),
        short(TOP + 26.0)
    ));
    canvas.buttons(&[(0.0, TOP)], 7.4, Colour::new(0xb0, 0x80, 0x4e));
}

pub(super) fn shorts(canvas: &mut Canvas, cut: Cut) {
    let (outer, bottom) = match cut {
        Cut::Regular => (148.0, 432.0),
        Cut::Relaxed => (166.0, 446.0),
        Cut::Slim => (132.0, 424.0),
        Cut::Cropped => (150.0, 392.0),
        Cut::Long => (146.0, 492.0),
    };
    let legs = Legs { waist: 98.0, hip: 122.0, crotch: 304.0, knee: (outer - 8.0, 8.0), outer, inner: 14.0, bottom };
    canvas.frame(30.0, bottom + 46.0, 176.0);
    let drawn = !matches!(canvas.pattern(), Pattern::Denim);
    canvas.both_sides(|canvas| {
        let leg = Outline::from(0.0, TOP)
            .line(legs.waist, TOP)
            .curve((legs.waist + 8.0, 160.0), (legs.hip, 210.0), (legs.outer, bottom))
            .curve((legs.outer * 0.7, bottom + 12.0), (60.0, bottom + 14.0), (legs.inner, bottom + 4.0))
            .curve((10.0, bottom - 40.0), (2.0, 330.0), (0.0, legs.crotch));
        let dark = format!("M4 300Q50 280 86 230M8 330Q50 330 80 310M60 {0}Q54 380 74 330", short(bottom));
        let light = format!("M10 314Q60 296 96 252M96 {0}Q88 360 84 300", short(bottom));
        canvas.panel(
            &Panel::new(leg.closed())
                .turned(-4.0)
                .folds(dark, light)
                .block(format!("M0 {}H300V900H0Z", short(bottom - 62.0))),
        );
        canvas.seam("M62 122Q80 176 115 208");
        canvas.stitch("M56 124Q74 180 114 215");
        canvas.stitch(&format!(
            "M{0} {1}Q70 {2} {3} {4}",
            short(legs.inner),
            short(bottom - 18.0),
            short(bottom - 8.0),
            short(outer - 4.0),
            short(bottom - 22.0)
        ));
    });
    canvas.seam(&format!("M0 {}V{}", short(TOP + 20.0), short(legs.crotch)));
    if drawn {
        // An elastic waist: gathers and a drawstring.
        waistband(canvas, legs.waist, 36.0, false);
        canvas.both_sides(|canvas| canvas.seam("M14 90v26M28 89v26M42 88v26M56 86v26M70 83v25M84 79v25"));
        let cord = Colour::new(0xf3, 0xec, 0xdf);
        let tie = "M-10 106C-16 130-12 150-18 176M10 106C18 128 10 152 17 168";
        canvas.stroke(tie, cord.lighter(-0.3), 6.0);
        canvas.stroke(tie, cord, 4.0);
    } else {
        waistband(canvas, legs.waist, 32.0, true);
        canvas.stitch("M6 236Q24 228 26 200V126");
        canvas.buttons(&[(0.0, TOP)], 7.0, Colour::new(0xb0, 0x80, 0x4e));
    }
}
