//! Bags: tote and backpack.

use super::{
    Colour, Cut, Pattern,
    canvas::{Canvas, Cloth, Panel},
    silhouette::{Outline, short},
    tops::label,
};

const BRASS: Colour = Colour::new(0xc2, 0x9a, 0x5b);

fn leather(canvas: &Canvas) -> Colour {
    if canvas.pattern() == Pattern::Plain { canvas.shades.base.lighter(-0.06) } else { canvas.accent() }
}

pub(super) fn tote(canvas: &mut Canvas, cut: Cut) {
    let (half, bottom) = match cut {
        Cut::Slim => (128.0, 600.0),
        Cut::Cropped => (160.0, 500.0),
        Cut::Relaxed => (186.0, 590.0),
        Cut::Long => (170.0, 640.0),
        Cut::Regular => (164.0, 580.0),
    };
    canvas.frame(64.0, bottom + 12.0, half + 20.0);
    let strap = leather(canvas);
    canvas.band("M-70 300C-76 170-62 92 4 90C70 92 76 170 66 300", 15.0, strap.lighter(-0.09));
    let back = format!("M-{0} 270Q0 258 {0} 270L{0} 310H-{0}Z", short(half - 6.0));
    canvas.panel(&Panel::new(back).cloth(Cloth::Inside).volume(20.0));
    label(canvas, 270.0);
    let body = Outline::from(0.0, 290.0)
        .curve((50.0, 291.0), (half - 40.0, 286.0), (half - 4.0, 272.0))
        .curve((half + 6.0, 360.0), (half + 14.0, bottom - 90.0), (half + 8.0, bottom - 22.0))
        .curve((half + 6.0, bottom - 2.0), (half - 8.0, bottom + 4.0), (half - 26.0, bottom + 6.0))
        .curve((half * 0.5, bottom + 10.0), (half * 0.25, bottom + 10.0), (0.0, bottom + 10.0));
    let low = bottom - 96.0;
    canvas.panel(
        &Panel::new(body.mirrored())
            .lifted()
            .folds(
                format!(
                    "M-{0} 300Q-{1} 380-90 420M{0} 310Q120 400 60 430M-40 {2}Q0 {3} 70 {2}M{1} {2}Q{1} 440 {0} 400",
                    short(half - 20.0),
                    short(half - 30.0),
                    short(bottom - 40.0),
                    short(bottom - 60.0)
                ),
                format!("M-{0} 330Q-110 420-60 450M100 {1}Q90 440 110 380", short(half - 10.0), short(bottom - 30.0)),
            )
            .block(format!("M-300 {}H300V900H-300Z", short(low)))
            .volume(26.0),
    );
    canvas.stitch(&format!("M-{0} 288Q0 318 {0} 288", short(half - 8.0)));
    if !matches!(canvas.pattern(), Pattern::Colourblock) {
        canvas.seam(&format!("M-{0} {1}Q0 {2} {0} {1}", short(half + 9.0), short(low), short(low + 14.0)));
    }
    let front = "M-78 372V300C-84 200-66 128 0 126C66 128 84 200 78 300V372";
    canvas.band(front, 16.0, strap);
    canvas.stitch("M-78 372V300C-84 200-66 128 0 126C66 128 84 200 78 300V372");
    canvas.buttons(&[(-78.0, 362.0), (78.0, 362.0), (-78.0, 334.0), (78.0, 334.0)], 3.4, BRASS);
    let (top, base) = (bottom - 170.0, canvas.shades.base);
    canvas.panel(
        &Panel::new(format!("M-34 {0}H34V{1}H-34Z", short(top), short(top + 26.0)))
            .cloth(Cloth::Of(strap.mixed(base, 0.2)))
            .lifted()
            .volume(5.0),
    );
    canvas.stroke(&format!("M-20 {0}H20M-12 {1}H12", short(top + 10.0), short(top + 17.0)), BRASS, 1.6);
}

pub(super) fn backpack(canvas: &mut Canvas, cut: Cut) {
    let (half, bottom) = match cut {
        Cut::Slim => (118.0, 570.0),
        Cut::Cropped => (128.0, 510.0),
        Cut::Long => (134.0, 620.0),
        _ => (138.0, 570.0),
    };
    canvas.frame(74.0, bottom + 12.0, half + 60.0);
    let strap = leather(canvas);
    canvas.band("M-30 150C-34 100-22 88 0 88C22 88 34 100 30 150", 13.0, strap);
    canvas.both_sides(|canvas| {
        let base = canvas.shades.base;
        canvas.band(
            &format!("M70 160C150 190 {} 330 {} {}", short(half + 50.0), short(half + 24.0), short(bottom - 50.0)),
            19.0,
            base.lighter(-0.09),
        );
        let pocket = format!(
            "M{0} {1}Q{2} {3} {2} {4}V{5}Q{2} {6} {0} {6}Z",
            short(half - 14.0),
            short(bottom - 178.0),
            short(half + 27.0),
            short(bottom - 170.0),
            short(bottom - 130.0),
            short(bottom - 44.0),
            short(bottom - 14.0)
        );
        canvas.panel(&Panel::new(pocket).lifted().volume(14.0));
    });
    let body = Outline::from(0.0, 128.0)
        .curve((70.0, 128.0), (half - 8.0, 146.0), (half - 2.0, 220.0))
        .curve((half + 6.0, 320.0), (half + 8.0, bottom - 90.0), (half + 4.0, bottom - 36.0))
        .curve((half, bottom), (half - 20.0, bottom + 6.0), (half - 50.0, bottom + 7.0))
        .line(0.0, bottom + 9.0);
    canvas.panel(
        &Panel::new(body.mirrored())
            .lifted()
            .folds(format!("M-{0} 360Q-60 380-20 376M{0} 340Q80 372 40 380", short(half)), "")
            .volume(30.0),
    );
    // The rolled flap with its straps, and the pocket in front.
    let pocket_top = bottom - 168.0;
    let pocket = Outline::from(0.0, pocket_top)
        .line(half - 34.0, pocket_top)
        .curve((half - 22.0, pocket_top), (half - 18.0, pocket_top + 10.0), (half - 18.0, pocket_top + 24.0))
        .line(half - 18.0, bottom - 40.0)
        .curve((half - 18.0, bottom - 22.0), (half - 30.0, bottom - 16.0), (half - 46.0, bottom - 16.0))
        .line(0.0, bottom - 14.0);
    canvas.panel(
        &Panel::new(pocket.mirrored())
            .lifted()
            .folds("", format!("M-70 {0}Q0 {1} 70 {0}", short(bottom - 60.0), short(bottom - 48.0)))
            .block("M-300 0H300V900H-300Z")
            .volume(16.0),
    );
    canvas.stitch(&format!("M-{0} {1}H{0}", short(half - 34.0), short(pocket_top + 11.0)));
    canvas.stroke(&format!("M-{0} {1}H{0}", short(half - 44.0), short(pocket_top + 24.0)), canvas.shades.line, 5.0);
    canvas.stroke(&format!("M-{0} {1}H{0}", short(half - 44.0), short(pocket_top + 24.0)), BRASS, 1.8);
    canvas.stroke(&format!("M{0} {1}v22", short(half - 46.0), short(pocket_top + 26.0)), strap, 6.0);
    let flap = Outline::from(0.0, 118.0)
        .curve((80.0, 118.0), (half, 136.0), (half + 4.0, 212.0))
        .curve((half + 6.0, 270.0), (half + 2.0, 310.0), (half - 24.0, 318.0))
        .curve((half - 60.0, 326.0), (40.0, 328.0), (0.0, 328.0));
    canvas.panel(
        &Panel::new(flap.mirrored())
            .lifted()
            .folds(
                format!("M-{0} 160Q0 128 {0} 160", short(half - 40.0)),
                format!("M-{0} 190Q0 156 {0} 190", short(half - 30.0)),
            )
            .block("")
            .volume(26.0),
    );
    canvas.stitch(&format!(
        "M-{0} 214C-{0} 262-{0} 300-{1} 308C-60 318 60 318 {1} 308C{0} 300 {0} 262 {0} 214",
        short(half - 5.0),
        short(half - 28.0)
    ));
    canvas.both_sides(|canvas| {
        canvas.panel(&Panel::new("M44 214H66V384L55 396L44 384Z").cloth(Cloth::Of(strap)).lifted().volume(5.0));
        canvas.stitch("M48 218V380M62 218V380");
        canvas.stroke("M39 336H71V362H39Z", BRASS.lighter(-0.2), 5.0);
        canvas.stroke("M39 335H71V361H39ZM55 335V361", BRASS, 3.2);
    });
    canvas.panel(&Panel::new("M-26 232H26V258H-26Z").cloth(Cloth::Of(strap)).lifted().volume(4.0));
    canvas.stroke("M-14 242H14M-8 249H8", BRASS, 1.5);
}
