//! Footwear, each a pair seen from its side, one shoe behind the other. The toe points left.

use super::{
    Colour, Cut,
    canvas::{Canvas, Cloth, Panel, Shades},
};

/// Two of the same shoe: the far one higher and turned a little, the near one in front.
fn pair(canvas: &mut Canvas, shoe: impl FnOnce(&mut Canvas)) {
    // The far shoe must lie below, so it refers forward to the near one.
    let mark = canvas.reserve();
    canvas.refer(mark, "translate(46 -118) rotate(-6)");
    canvas.reserved_group(mark, "translate(-22 70)", shoe);
}

pub(super) fn sneakers(canvas: &mut Canvas, cut: Cut) {
    let high = cut == Cut::Long;
    canvas.frame(if high { -275.0 } else { -215.0 }, 205.0, 268.0);
    let rubber = Colour::new(0xf1, 0xec, 0xe1);
    let accent = canvas.accent();
    pair(canvas, |canvas| {
        let collar = if high { -112.0 } else { -34.0 };
        let inside = format!(
            "M58 {0}Q110 {1} 172 {2}Q150 {3} 70 {3}Z",
            collar - 6.0,
            collar - 18.0,
            collar - 18.0,
            collar + 46.0
        );
        canvas.panel(&Panel::new(inside).cloth(Cloth::Inside).volume(14.0));
        // The tongue stands above the laces.
        let (tx, ty) = if high { (40.0, -132.0) } else { (22.0, -64.0) };
        let tongue =
            format!("M-46 34L{} {}Q{} {} {} {}L62 10Z", tx, ty + 10.0, tx + 16.0, ty - 10.0, tx + 40.0, ty + 4.0);
        canvas.panel(&Panel::new(tongue).cloth(Cloth::Plain).volume(10.0));
        let heel = if high {
            "C176 -150 196 -120 192 -60C190 0 204 50 202 100"
        } else {
            "C178 -70 198 -50 196 -14C194 20 206 60 202 100"
        };
        let upper = format!(
            "M-222 100C-230 68-202 48-156 38C-110 28-74 8-44 -14L62 {0}C92 {1} 130 {2} 170 {3}{heel}Z",
            collar - 4.0,
            collar + 22.0,
            collar + 20.0,
            collar - 22.0
        );
        canvas.panel(
            &Panel::new(upper)
                .lifted()
                .folds(
                    "M-120 96Q-104 60-74 34M-92 98Q-70 64-44 40M120 90Q96 40 100 0",
                    "M-140 44Q-100 30-60 10M-196 74Q-170 52-130 46",
                )
                .block("M60 -200H260V120H90Q96 20 60 -60Z")
                .volume(22.0),
        );
        // Toe cap, eyestay, side stripe and heel tab.
        canvas.seam("M-148 37C-124 48-114 74-116 100");
        canvas.stitch("M-141 36C-118 48-108 74-110 100");
        let top = if high {
            "M-62 2C-44 24-34 34-24 38L92 -58L62 -114Z"
        } else {
            "M-60 -2C-46 18-38 28-28 32C12 24 52 6 82 -14L62 -36Z"
        };
        canvas.panel(&Panel::new(top).cloth(Cloth::Plain).lifted().volume(7.0));
        canvas.panel(
            &Panel::new("M-4 100C24 76 40 48 44 26L74 17C70 52 58 80 40 100Z").cloth(Cloth::Of(accent)).volume(7.0),
        );
        canvas.panel(
            &Panel::new("M58 100C84 76 98 44 100 10L128 6C128 50 114 80 96 100Z").cloth(Cloth::Of(accent)).volume(7.0),
        );
        let tab = if high {
            "M150 -108Q170 -130 176 -128Q192 -110 190 -40L160 -34Q152 -70 150 -108Z"
        } else {
            "M152 -40Q170 -60 176 -58Q192 -44 193 4L164 10Q154 -10 152 -40Z"
        };
        canvas.panel(&Panel::new(tab).cloth(Cloth::Of(accent)).volume(7.0));
        let lace = if accent.lightness() > 0.75 { accent } else { rubber };
        let rows: &[(f64, f64)] = if high {
            &[(-40.0, 20.0), (-18.0, 4.0), (4.0, -16.0), (22.0, -42.0), (38.0, -68.0), (52.0, -92.0)]
        } else {
            &[(-40.0, 20.0), (-17.0, 8.0), (7.0, -4.0), (31.0, -16.0), (53.0, -26.0)]
        };
        let laces: String = rows
            .iter()
            .map(|(x, y)| format!("M{} {}Q{} {} {} {}", x - 24.0, y - 22.0, x - 8.0, y - 24.0, x, y))
            .collect();
        canvas.stroke(&laces, lace.lighter(-0.22), 9.5);
        canvas.stroke(&laces, lace, 7.5);
        let sole =
            "M-226 96C-233 112-230 126-214 129C-120 135 60 135 196 129C210 127 212 108 206 92C120 104-120 108-226 96Z";
        canvas.panel(&Panel::new(sole).cloth(Cloth::Of(rubber)).lifted().volume(10.0));
        canvas.stroke("M-225 115C-120 123 90 123 206 113", accent.mixed(rubber, 0.25), 3.0);
        canvas.stroke("M-216 128C-120 134 60 134 198 128", rubber.lighter(-0.3), 3.5);
        canvas.stitch("M-220 106C-120 115 110 113 202 101");
    });
}

pub(super) fn boots(canvas: &mut Canvas, cut: Cut) {
    let shaft = match cut {
        Cut::Long => -260.0,
        Cut::Cropped => -96.0,
        _ => -150.0,
    };
    canvas.frame(shaft - 150.0, 254.0, 252.0);
    let accent = canvas.accent();
    let sole = Colour::new(0x3a, 0x2d, 0x25);
    let sole = if canvas.shades.base.lightness() < 0.36 { sole.lighter(0.16) } else { sole };
    pair(canvas, |canvas| {
        let opening = format!("M6 {0}Q84 {1} 166 {0}Q90 {2} 6 {0}Z", shaft, shaft - 16.0, shaft + 22.0);
        canvas.panel(&Panel::new(opening).cloth(Cloth::Inside).volume(9.0));
        // Pull tab at the heel.
        canvas.band(&format!("M140 {0}C138 {1} 160 {1} 158 {0}", shaft + 16.0, shaft - 36.0), 9.0, accent);
        let upper = format!(
            "M-206 100C-212 66-186 46-144 36C-80 22-26 8-8 -34C2 -70 0 -100 4 {0}Q84 {1} 168 {0}C164 -90 160 -50 168 0C176 40 184 70 180 100Z",
            shaft,
            shaft + 24.0
        );
        canvas.panel(
            &Panel::new(upper)
                .lifted()
                .folds(
                    "M-130 92Q-110 66-80 44M-4 -30Q30 -8 60 10M0 -52Q30 -40 52 -24M160 -20Q130 0 120 26",
                    "M-170 62Q-110 44-50 30M16 -140Q14 -80 12 -44M-186 76Q-176 58-150 52",
                )
                .block("M-300 -400H300V-30H-300Z")
                .volume(26.0),
        );
        // Elastic gore between quarters.
        let gore = format!(
            "M52 {0}Q84 {1} 118 {0}C110 -70 104 -30 88 12Q80 18 74 10C64 -40 60 -90 52 {0}Z",
            shaft + 10.0,
            shaft + 15.0
        );
        let base = canvas.shades.base;
        canvas.panel(&Panel::new(gore).cloth(Cloth::Rib).volume(9.0));
        canvas.stitch(&format!("M46 {0}C54 -90 60 -30 68 14Q80 26 92 17C112 -30 116 -70 124 {0}", shaft + 12.0));
        canvas.seam("M82 20C70 50 66 76 70 100M-8 -30C20 0 40 30 46 100");
        canvas.stitch("M-14 -22C14 6 34 36 39 100");
        let Shades { light, .. } = Shades::of(base);
        canvas.stroke("M-184 70C-170 56-146 50-116 44", light, 3.0);
        let welt = "M-210 96C-214 106-212 112-204 114H184C190 110 188 100 184 96C60 104-110 104-210 96Z";
        canvas.panel(&Panel::new(welt).cloth(Cloth::Of(sole.lighter(0.12))).lifted().volume(5.0));
        canvas.panel(&Panel::new("M-206 113H184L186 142Q186 148 180 148H92Q86 148 84 140L80 126C20 132-120 134-190 128Q-206 124-206 113Z").cloth(Cloth::Of(sole)).volume(6.0));
        canvas.stroke("M-198 105C-110 110 60 110 178 104", light, 1.2);
    });
}
