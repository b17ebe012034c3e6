use super::*;

fn every_picture() -> impl Iterator<Item = Picture> {
    let colours = [Colour::new(0x2f, 0x4b, 0x6e), Colour::new(0xf7, 0xf4, 0xec), Colour::new(0x14, 0x14, 0x16)];
    Garment::ALL.iter().flat_map(move |&garment| {
        Cut::ALL.iter().flat_map(move |&cut| {
            Pattern::ALL.iter().flat_map(move |&pattern| {
                let accent = Colour::new(0xf2, 0xed, 0xe4);
                colours.map(|colour| Picture { garment, cut, pattern, colour, accent })
            })
        })
    })
}

#[test]
fn a_key_is_parsed_back_into_its_picture() {
    for picture in every_picture() {
        let key = picture.to_string();
        assert!(key.len() <= MAX_KEY_BYTES, "{key}");
        assert_eq!(key.parse(), Ok(picture));
    }
    assert_eq!(
        "shirt.relaxed.stripe.2f4b6e.f2ede4".parse::<Picture>().map(|picture| picture.garment),
        Ok(Garment::Shirt)
    );
}

#[test]
fn anything_else_is_refused_with_its_reason() {
    let refused = |key: &str| key.parse::<Picture>().expect_err(key);
    assert_eq!(refused(""), KeyError::Word { field: "garment" });
    assert_eq!(refused("shirt"), KeyError::Parts);
    assert_eq!(refused("Shirt.slim.plain.000000.ffffff"), KeyError::Word { field: "garment" });
    assert_eq!(refused("shirt.huge.plain.000000.ffffff"), KeyError::Word { field: "cut" });
    assert_eq!(refused("shirt.slim.<script>.000000.ffffff"), KeyError::Word { field: "pattern" });
    assert_eq!(refused("shirt.slim.plain.#00000.ffffff"), KeyError::Colour);
    assert_eq!(refused("shirt.slim.plain.000000.FFFFFF"), KeyError::Colour);
    assert_eq!(refused("shirt.slim.plain.000000.ffffff."), KeyError::Parts);
    assert_eq!(refused(&"a".repeat(1 << 16)), KeyError::Length);
    assert!(refused("shirt").to_string().contains("five parts"));
}

/// The document's element names, checked to be balanced.
fn elements(svg: &str, key: &Picture) -> Vec<String> {
    let (mut names, mut open) = (Vec::new(), Vec::<String>::new());
    for tag in svg.split('<').skip(1) {
        let tag = tag.split('>').next().expect("split yields a first part");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "{key}");
            continue;
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{key}: {tag}");
        let name: String = tag.chars().take_while(char::is_ascii_alphanumeric).collect();
        if !tag.ends_with('/') {
            open.push(name.clone());
        }
        names.push(name);
    }
    assert!(open.is_empty(), "{key}: {open:?} left open");
    names
}

#[test]
fn every_picture_is_a_small_safe_document() {
    let mut longest = (0, String::new());
    for picture in every_picture() {
        let svg = draw(&picture);
        for forbidden in ["style", "http:", "https:", "script", "NaN", "inf", "data:", " on"] {
            let text = svg.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains(forbidden), "{picture} holds {forbidden}");
        }
        let allowed = [
            "svg",
            "defs",
            "g",
            "use",
            "path",
            "rect",
            "circle",
            "ellipse",
            "clipPath",
            "pattern",
            "linearGradient",
            "radialGradient",
            "stop",
            "filter",
            "feTurbulence",
            "feDiffuseLighting",
            "feDistantLight",
            "feComposite",
            "feDisplacementMap",
            "feGaussianBlur",
            "feDropShadow",
        ];
        for name in elements(&svg, &picture) {
            assert!(allowed.contains(&name.as_str()), "{picture} holds <{name}>");
        }
        if svg.len() > longest.0 {
            longest = (svg.len(), picture.to_string());
        }
    }
    assert!(longest.0 <= 8 * 1024, "{longest:?}");
}

#[test]
fn every_reference_has_its_target() {
    for picture in every_picture() {
        let svg = draw(&picture);
        for start in ["href=\"#", "url(#"] {
            for reference in svg.split(start).skip(1) {
                let id: String = reference.chars().take_while(char::is_ascii_alphanumeric).collect();
                assert_eq!(svg.matches(&format!("id=\"{id}\"")).count(), 1, "{picture}: #{id}");
            }
        }
    }
}

#[test]
fn each_part_of_the_key_changes_the_picture() {
    let picture = Picture {
        garment: Garment::Shirt,
        cut: Cut::Regular,
        pattern: Pattern::Stripe,
        colour: Colour::new(0x2f, 0x4b, 0x6e),
        accent: Colour::new(0xf2, 0xed, 0xe4),
    };
    let drawn = draw(&picture);
    assert_eq!(drawn, draw(&picture));
    for other in [
        Picture { garment: Garment::Polo, ..picture },
        Picture { cut: Cut::Slim, ..picture },
        Picture { pattern: Pattern::Check, ..picture },
        Picture { colour: picture.accent, ..picture },
        Picture { accent: picture.colour, ..picture },
    ] {
        assert_ne!(drawn, draw(&other), "{other}");
    }
}
