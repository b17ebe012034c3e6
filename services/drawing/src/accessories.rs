//! Accessories: scarf, beanie, cap, belt and socks.

use std::fmt::Write as _;

use super::{
    Colour, Cut, Pattern,
    canvas::{Canvas, Cloth, Panel, Shades},
    silhouette::{Outline, short},
};

/// A fringe between two points, as a path of short threads.
fn fringe(from: (f64, f64), to: (f64, f64), drop: f64) -> String {
    let mut path = String::new();
    for place in 0..12 {
        let share = f64::from(place) / 11.0;
        let (x, y) = (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
        let sway = [3.0, -4.0, 1.0, -1.0][place as usize % 4];
        let _ = write!(path, "M{} {}l{} {}", short(x), short(y), short(sway), short(drop + sway));
    }
    path
}

pub(super) fn scarf(canvas: &mut Canvas, cut: Cut) {
    let low = if cut == Cut::Long { 700.0 } else { 620.0 };
    canvas.frame(80.0, low + 50.0, 200.0);
    let base = canvas.shades.base;
    let threads = if canvas.pattern() == Pattern::Plain { base } else { canvas.accent().mixed(base, 0.4) };
    let ends =
        [fringe((-118.0, low - 62.0), (-26.0, low - 48.0), 38.0), fringe((12.0, low - 2.0), (112.0, low - 8.0), 40.0)]
            .concat();
    canvas.stroke(&ends, threads.lighter(-0.2), 6.0);
    canvas.stroke(&ends, threads, 4.0);
    // Left end, right end, then the loop over both.
    let left = format!(
        "M-104 250C-112 360-124 470-122 {0}Q-70 {1}-22 {2}C-16 460-2 360 16 260Z",
        short(low - 64.0),
        short(low - 44.0),
        short(low - 48.0)
    );
    canvas.panel(
        &Panel::new(left)
            .turned(3.0)
            .folds(
                format!("M-66 {0}C-76 460-40 380-50 290M-96 440Q-92 380-84 320", short(low - 54.0)),
                format!("M-98 {0}C-100 470-80 380-78 300M-40 {0}Q-34 460-16 360", short(low - 60.0)),
            )
            .block("M-300 470H300V900H-300Z"),
    );
    let right = format!(
        "M-40 270C-14 380 6 480 8 {0}Q62 {1} 116 {2}C116 500 108 380 96 250Z",
        short(low),
        short(low + 12.0),
        short(low - 8.0)
    );
    canvas.panel(
        &Panel::new(right)
            .turned(-4.0)
            .lifted()
            .folds(
                format!("M56 {0}C56 520 30 400 20 320M92 520Q90 430 70 330", short(low)),
                format!("M30 {0}C30 520 10 420-4 340M86 {0}Q82 520 62 400", short(low)),
            )
            .block("M-300 520H300V900H-300Z"),
    );
    let ring = "M-146 196C-150 118-80 92 0 92C84 92 152 122 148 200C146 276 70 318 0 318C-76 318-144 274-146 196Z";
    canvas.panel(
        &Panel::new(ring)
            .turned(84.0)
            .lifted()
            .folds(
                "M-130 220C-100 290 60 310 120 240M-136 170C-100 250 70 280 136 190M-110 130C-60 100 60 98 112 136",
                "M-140 196C-96 272 66 294 132 214M-120 246C-80 300 40 316 100 270M-80 112C-30 98 40 98 80 112",
            )
            .volume(30.0),
    );
    let hole = "M-62 168C-52 132 52 130 66 168C72 196 44 214 0 214C-46 214-70 196-62 168Z";
    canvas.panel(&Panel::new(hole).cloth(Cloth::Of(base.lighter(-0.13))).volume(34.0));
    canvas.panel(
        &Panel::new("M-96 150C-60 214 60 222 104 152C118 196 80 236 4 238C-70 236-112 200-96 150Z")
            .turned(88.0)
            .lifted()
            .folds("M-84 176C-40 222 50 226 92 180", "M-80 192C-40 230 50 234 84 200")
            .volume(14.0),
    );
}

pub(super) fn beanie(canvas: &mut Canvas, cut: Cut) {
    let tall = match cut {
        Cut::Relaxed | Cut::Long => 60.0,
        Cut::Cropped => 170.0,
        _ => 110.0,
    };
    canvas.frame(tall - 60.0, 540.0, 224.0);
    let crown = Outline::from(0.0, tall).curve((90.0, tall), (150.0, tall + 90.0), (166.0, 400.0)).line(0.0, 420.0);
    let middle = short(tall + 8.0);
    canvas.panel(&Panel::new(crown.mirrored()).folds(format!("M0 {middle}C40 220 60 300 64 400M0 {middle}C-40 220-62 300-66 400M0 {middle}C84 190 120 300 128 400M0 {middle}C-84 190-120 300-128 400"), format!("M0 {middle}C10 220 10 320 12 400M-2 {middle}C-66 210-92 300-98 400M4 {middle}C60 210 92 300 100 400")).volume(36.0));
    canvas.both_sides(|canvas| {
        canvas.seam(&format!("M2 {middle}C44 220 62 300 66 384M2 {middle}C84 190 122 300 130 384"));
    });
    let fold =
        "M-174 366C-100 382 100 382 174 366C184 400 184 460 176 492C100 512-100 512-176 492C-184 460-184 400-174 366Z";
    let cloth = if canvas.pattern() == Pattern::Colourblock { Cloth::Of(canvas.accent()) } else { Cloth::Main };
    canvas.panel(&Panel::new(fold).cloth(cloth).lifted().volume(24.0));
    let shades = if let Cloth::Of(colour) = cloth { Shades::of(colour) } else { canvas.shades };
    let ribs: String = (-11..=11)
        .map(|place| {
            let x = f64::from(place) * 15.2;
            format!(
                "M{} {}Q{} 440 {} {}",
                short(x),
                short(378.0 - x.abs() * 0.04),
                short(x * 1.03),
                short(x * 1.01),
                short(504.0 - x.abs() * 0.06)
            )
        })
        .collect();
    canvas.stroke(&ribs, shades.line.mixed(shades.base, 0.4), 3.2);
    canvas
        .panel(&Panel::new("M60 420H116V456H60Z").cloth(Cloth::Of(Colour::new(0xe9, 0xdd, 0xc8))).lifted().volume(4.0));
    canvas.stroke("M74 433H102M80 443H96", Colour::new(0x6b, 0x5a, 0x48), 2.0);
    if cut == Cut::Regular {
        // A pompon of yarn: spokes of thread in two shades.
        let thread = canvas.accent();
        let spokes = |turn: f64, length: f64| -> String {
            (0..26)
                .map(|place| {
                    let (sin, cos) = (f64::from(place) * std::f64::consts::TAU / 26.0 + turn).sin_cos();
                    format!("M0 {}L{} {}", short(tall - 8.0), short(length * cos), short(tall - 8.0 + length * sin))
                })
                .collect()
        };
        canvas.stroke(&spokes(0.0, 46.0), thread.lighter(-0.12), 9.0);
        canvas.stroke(&spokes(0.12, 36.0), thread, 6.0);
    }
}

pub(super) fn cap(canvas: &mut Canvas) {
    canvas.frame(60.0, 530.0, 236.0);
    let crown = Outline::from(0.0, 120.0).curve((96.0, 120.0), (158.0, 196.0), (164.0, 356.0)).curve(
        (100.0, 330.0),
        (50.0, 324.0),
        (0.0, 324.0),
    );
    canvas.panel(
        &Panel::new(crown.mirrored())
            .folds("M-130 340Q-126 220-60 150M132 340Q126 220 66 150", "M-60 320Q-60 210-20 140M70 320Q70 220 30 140")
            .volume(34.0),
    );
    canvas.both_sides(|canvas| {
        canvas.seam("M2 122C48 170 70 240 76 328");
        canvas.stitch("M8 122C54 168 77 240 83 328M-4 124C42 172 63 240 69 327");
        canvas.buttons(&[(84.0, 210.0), (30.0, 200.0)], 4.4, canvas.shades.base.lighter(-0.12));
    });
    canvas.stroke("M0 126V322", canvas.shades.line, 1.5);
    let brim = Outline::from(0.0, 322.0)
        .curve((60.0, 322.0), (120.0, 332.0), (166.0, 358.0))
        .curve((186.0, 384.0), (200.0, 414.0), (194.0, 444.0))
        .curve((140.0, 416.0), (70.0, 408.0), (0.0, 408.0));
    let accent = canvas.accent();
    let cloth = if matches!(canvas.pattern(), Pattern::Colourblock) { Cloth::Of(accent) } else { Cloth::Main };
    canvas.panel(
        &Panel::new(brim.mirrored())
            .cloth(cloth)
            .lifted()
            .folds("M-150 372Q0 330 150 372", "M-170 420Q0 366 170 420")
            .volume(20.0),
    );
    for step in [16.0, 32.0, 48.0, 64.0] {
        canvas.stitch(&format!(
            "M-{0} {1}Q0 {2} {0} {1}",
            short(168.0 + step * 0.36),
            short(368.0 + step * 0.9),
            short(300.0 + step * 0.98)
        ));
    }
    canvas.panel(&Panel::new("M-16 116Q0 104 16 116Q16 126 0 128Q-16 126-16 116Z").volume(5.0));
    let mark = if matches!(canvas.pattern(), Pattern::Plain | Pattern::Denim) {
        accent
    } else {
        Colour::new(0xf1, 0xea, 0xdc)
    };
    // A small embroidered wave.
    canvas.stroke("M-32 256Q-24 240-16 256T0 256T16 256T32 256M-22 270Q-16 258-10 270T2 270T14 270T26 270", mark, 4.0);
}

pub(super) fn belt(canvas: &mut Canvas) {
    canvas.frame(96.0, 584.0, 230.0);
    let base = canvas.shades.base;
    let brass = Colour::new(0xc7, 0xa2, 0x66);
    // A coil seen from above: the strap's edge, turn after turn, drawn from the outermost.
    let spiral = "M-186 338C-186 238-104 160 4 160C112 160 190 236 190 332C190 428 110 496 10 496C-84 496-152 428-152 338C-152 258-84 194 4 194C90 194 156 254 156 332C156 408 92 462 12 462C-62 462-118 406-118 338C-118 276-66 228 2 228C70 228 122 274 122 334C122 390 74 428 14 428C-40 428-84 388-84 338";
    canvas.stroke(spiral, base.lighter(-0.24), 33.0);
    canvas.stroke(spiral, base.lighter(-0.09), 29.0);
    canvas.stroke(spiral, base, 21.0);
    canvas.stroke(spiral, canvas.shades.light, 3.0);
    let tongue = Outline::from(-202.0, 330.0)
        .line(-170.0, 326.0)
        .curve((-166.0, 420.0), (-130.0, 500.0), (-20.0, 520.0))
        .line(148.0, 522.0)
        .curve((166.0, 524.0), (176.0, 536.0), (176.0, 548.0))
        .curve((176.0, 562.0), (164.0, 572.0), (146.0, 573.0))
        .line(-30.0, 571.0)
        .curve((-150.0, 556.0), (-206.0, 450.0), (-202.0, 330.0));
    canvas.panel(
        &Panel::new(tongue.closed())
            .turned(80.0)
            .lifted()
            .folds("M-180 400Q-150 520-20 548", "M-192 380Q-170 500-60 540")
            .volume(12.0),
    );
    canvas.stitch("M-196 340C-196 450-144 548-28 564H146Q168 562 169 548Q168 532 146 529H-22C-128 510-160 420-176 336");
    for x in [40.0, 72.0, 104.0, 136.0] {
        canvas.shape(&format!("M{} 543a5 4 0 1 0 10 0a5 4 0 1 0-10 0", short(x - 5.0)), base.lighter(-0.3));
    }
    // The buckle's frame and prong.
    let frame = "M-74 508H-22Q-10 508-10 520V574Q-10 586-22 586H-74Q-86 586-86 574V520Q-86 508-74 508Z";
    canvas.stroke(frame, brass.lighter(-0.24), 13.0);
    canvas.stroke(frame, brass, 10.0);
    canvas.stroke("M-82 520Q-82 512-74 511H-24", brass.lighter(0.16), 3.0);
    canvas.stroke("M-84 546H-8", brass.lighter(-0.2), 9.0);
    canvas.stroke("M-84 545H-8", brass, 6.5);
    canvas.panel(&Panel::new("M6 515H22V579H6Z").cloth(Cloth::Plain).lifted().volume(5.0));
}

pub(super) fn socks(canvas: &mut Canvas, cut: Cut) {
    let top = match cut {
        Cut::Cropped => 300.0,
        Cut::Long => 60.0,
        _ => 160.0,
    };
    canvas.frame(top - 70.0, 640.0, 210.0);
    let accent = canvas.accent();
    let plain = canvas.pattern() == Pattern::Plain;
    let tip = if plain { canvas.shades.base.lighter(-0.1) } else { accent };
    let mark = canvas.reserve();
    canvas.refer(mark, "translate(66 -52) rotate(-9)");
    canvas.reserved_group(mark, "translate(-14 10)", |canvas| {
        let body = format!("M-6 {0}H96C94 330 88 390 92 440C100 500 92 548 40 566C-20 584-80 612-136 616C-190 616-204 566-168 540C-110 504-34 470-22 410C-12 350-8 300-6 {0}Z", short(top));
        let t = short(top + 60.0);
        canvas.panel(&Panel::new(body).folds(format!("M-20 420Q20 450 60 440M-14 444Q10 470 40 468M80 400Q60 380 30 380M60 {t}Q66 300 60 360"), format!("M20 {t}Q24 300 14 390M-120 570Q-60 556-10 520")).block("M-300 360H300V900H-300Z").volume(30.0));
        canvas.panel(&Panel::new("M91 430C104 500 92 552 40 566C20 520 44 456 91 430Z").cloth(Cloth::Of(tip)).volume(18.0));
        canvas.panel(&Panel::new("M-136 616C-190 616-204 566-168 540L-140 522C-112 540-98 572-104 611Q-120 615-136 616Z").cloth(Cloth::Of(tip)).volume(18.0));
        let cuff = format!("M-9 {0}Q44 {1} 99 {0}L97 {2}Q44 {3}-8 {2}Z", short(top - 4.0), short(top - 12.0), short(top + 54.0), short(top + 62.0));
        canvas.panel(&Panel::new(cuff).cloth(Cloth::Rib).lifted().volume(14.0));
        if plain {
            canvas.stroke(&format!("M-6 {0}Q44 {1} 96 {0}M-6 {2}Q44 {3} 96 {2}", short(top + 16.0), short(top + 22.0), short(top + 28.0), short(top + 34.0)), accent, 4.5);
        }
    });
}
