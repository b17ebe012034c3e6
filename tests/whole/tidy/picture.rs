//! The picture of the crates in ARCHITECTURE.md, drawn from what cargo says of them:
//! `SELVAGE_PICTURE=write cargo test -p selvage-tests --test whole -- tidy::picture` draws it anew, and without the variable
//! it is compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use cargo_metadata::{DependencyKind, Package};
use layout::backends::svg::SVGWriter;
use layout::gv::GraphBuilder;
use layout::gv::parser::DotParser;

use super::{metadata, source};

/// Where the picture stands, from the top.
const PATH: &str = "services/pictures/crates.svg";

/// Crates, each with those that it uses.
type Graph<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Our crates, and what their programs are made of: without what only tests and build scripts use.
fn graph<'a>(packages: &[&'a Package]) -> Graph<'a> {
    let ours: BTreeSet<_> = packages.iter().map(|package| package.name.as_str()).collect();
    let used = |package: &&'a Package| {
        let wanted = package.dependencies.iter().filter(|wanted| wanted.kind == DependencyKind::Normal);
        let names = wanted.map(|wanted| wanted.name.as_str()).filter(|name| ours.contains(name));
        (package.name.as_str(), names.collect())
    };
    packages.iter().map(used).collect()
}

/// All that `name` uses, directly or through others.
fn reached<'a>(graph: &Graph<'a>, name: &str) -> BTreeSet<&'a str> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![name.to_owned()]);
    while let Some(name) = open.pop() {
        let new = graph[&*name].iter().filter(|used| reached.insert(**used));
        open.extend(new.map(ToString::to_string));
    }
    reached
}

/// The graph without what follows from the rest: if web uses rpc and rpc uses telemetry, no arrow leads from web to
/// telemetry.
fn reduced<'a>(graph: &Graph<'a>) -> Graph<'a> {
    let below: BTreeMap<_, _> = graph.keys().map(|name| (*name, reached(graph, name))).collect();
    let own = |used: &BTreeSet<&'a str>| {
        let follows = |one: &&'a str| used.iter().any(|other| below[other].contains(one));
        used.iter().copied().filter(|one| !follows(one)).collect()
    };
    graph.iter().map(|(name, used)| (*name, own(used))).collect()
}

/// The colour of a crate: the kit's, the services', the API's, and what puts services together.
fn colour(package: &Package) -> &'static str {
    match metadata::folder(package) {
        folder if folder.starts_with("services/kit/") => "#fffefb",
        "proto" => "#dde8dc",
        "services/selvage" | "tests" => "#e3ddd0",
        _ => "#f3d9cf",
    }
}

/// The graph in Graphviz' language.
fn dot(packages: &[&Package]) -> String {
    let mut dot = "digraph crates {\n".to_owned();
    for package in packages {
        let (name, colour) = (&package.name, colour(package));
        let label = name.strip_prefix("selvage-").unwrap_or(name);
        let style = format!("shape=box, style=filled, fillcolor=\"{colour}\", fontsize=14");
        writeln!(dot, "\"{name}\" [label=\"{label}\", {style}];").expect("a string");
    }
    for (name, used) in reduced(&graph(packages)) {
        for used in used {
            writeln!(dot, "\"{name}\" -> \"{used}\";").expect("a string");
        }
    }
    dot + "}\n"
}

fn drawn(dot: &str) -> String {
    let graph = DotParser::new(dot).process().unwrap_or_else(|error| panic!("{error} in {dot}"));
    let mut builder = GraphBuilder::new();
    builder.visit_graph(&graph);
    let mut svg = SVGWriter::new();
    builder.get().do_it(false, false, false, &mut svg);
    // A background, since black arrows are not to be seen on a dark page, and the fonts of the other pictures.
    let background = "</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#faf7f0\"/>";
    let text = svg.finalize().replacen("</style>", background, 1);
    let text = text.replace("Times, serif", "system-ui, sans-serif");
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[test]
fn the_picture_of_the_crates_shows_them_as_they_are() {
    let mut packages: Vec<_> = metadata::ours().collect();
    packages.sort_by(|left, right| left.name.cmp(&right.name));
    let (path, now) = (source::root().join(PATH), drawn(&dot(&packages)));
    if std::env::var_os("SELVAGE_PICTURE").is_some_and(|wish| wish == "write") {
        fs::write(&path, &now).expect("a picture is written");
    }
    let found = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{PATH}: {error}"));
    let remedy = "SELVAGE_PICTURE=write cargo test -p selvage-tests --test whole -- tidy::picture";
    assert!(found == now, "{PATH} shows other crates or uses: {remedy}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_that_follow_from_others_are_left_out() {
        let of = |names: &[&'static str]| names.iter().copied().collect::<BTreeSet<_>>();
        let graph = Graph::from([
            ("web", of(&["rpc", "telemetry", "proto"])),
            ("rpc", of(&["telemetry"])),
            ("telemetry", of(&["conventions"])),
            ("conventions", of(&[])),
            ("proto", of(&[])),
        ]);
        let reduced = reduced(&graph);
        assert_eq!(reduced["web"], of(&["proto", "rpc"]));
        assert_eq!(reduced["rpc"], of(&["telemetry"]));
        assert!(reduced["conventions"].is_empty());
    }

    #[test]
    fn another_use_is_another_picture() {
        let packages: Vec<_> = metadata::ours().collect();
        let mut changed: Vec<_> = packages.iter().map(|package| (*package).clone()).collect();
        let web = changed.iter_mut().find(|package| package.name.as_str() == "selvage-web").expect("web");
        web.dependencies.retain(|wanted| wanted.name != "selvage-drawing");
        assert_ne!(drawn(&dot(&packages)), drawn(&dot(&changed.iter().collect::<Vec<_>>())));
    }
}
