//! What a page takes in a small shop and in a large one.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use selvage_tests::http::Client;
use selvage_tests::process::binary;
use selvage_tests::shop::OneProcess;

use super::{is_release, mib};

const SMALL: usize = 1_000;
/// How often each page is asked for in each shop, by turns.
const TIMES: usize = 60;
/// How many times as long the median page may take in the large shop.
const MOST_GROWTH: f64 = 3.0;
/// How many times as much memory the large shop may hold, once it has been started on what it has; the index's files aside, which the kernel
/// maps.
const MOST_MEMORY: f64 = 1.5;
/// The longest that any page may take: far above what it does, for a machine that does something else at that moment.
const MOST: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(60);

/// Pages that are never answered from memory: each time with another bound of the price.
const PAGES: [&str; 7] = [
    "/search?q=linen&max=",
    "/search?q=s&max=",
    "/search?q=linen+shirt&max=",
    "/search?q=trosers&max=",
    "/c/shirts?max=",
    "/c/shirts?size=M&colour=Black&max=",
    "/c/shirts?size=M&colour=Ink&stock=1&sort=price-up&max=",
];

/// A shop of so many products, started twice: the second time with an index on the disk.
fn shop(folder: &Path, products: usize) -> OneProcess {
    let seed = ["seed", "--products", &products.to_string(), "--data"];
    let planted = Command::new(binary("selvage")).args(seed).arg(folder).output().expect("it runs");
    assert!(planted.status.success(), "{}", String::from_utf8_lossy(&planted.stderr));
    println!("{}", String::from_utf8_lossy(&planted.stdout).lines().last().unwrap_or_default());
    let first = listed(folder);
    assert!(first.process.terminate().success());
    listed(folder)
}

/// Starts it, and waits for its listings.
fn listed(folder: &Path) -> OneProcess {
    let began = Instant::now();
    let shop = OneProcess::start(folder, &[]);
    let mut visitor = Client::new(&shop.url);
    while !visitor.get("/c/shirts").text().contains("class=\"card\"") {
        assert!(began.elapsed() < LONG, "nothing is listed");
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("  start to the first listing: {:.2} s", began.elapsed().as_secs_f64());
    shop
}

fn timed(visitor: &mut Client, path: &str) -> Duration {
    let began = Instant::now();
    let answer = visitor.get(path);
    let took = began.elapsed();
    assert_eq!(answer.status, 200, "{path}");
    assert!(answer.text().contains("class=\"card\"") || path.contains("Black"), "{path} shows nothing");
    took
}

#[test]
fn a_page_of_a_large_shop_takes_little_longer_than_one_of_a_small_shop() {
    if !is_release() {
        return;
    }
    let large = if std::env::var("SELVAGE_TESTS").as_deref() == Ok("full") { 100_000 } else { 10_000 };
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let shops = [shop(folders[0].path(), SMALL), shop(folders[1].path(), large)];
    let mut visitors = shops.each_ref().map(|shop| Client::new(&shop.url));
    println!("\nms a page, over HTTP: the median and the longest{SMALL:>25} products{large:>16} products");
    for page in PAGES {
        let mut took = [Vec::new(), Vec::new()];
        for time in 0..TIMES {
            for (visitor, took) in visitors.iter_mut().zip(&mut took) {
                took.push(timed(visitor, &format!("{page}{}", 500 + time)));
            }
        }
        took.iter_mut().for_each(|took| took.sort());
        let ms = |took: &Duration| took.as_secs_f64() * 1e3;
        let [small, large] = took.each_ref().map(|took| (ms(&took[TIMES / 2]), ms(&took[TIMES - 1])));
        println!(
            "{:<62}{:>6.1} {:>6.1}{:>18.1} {:>6.1}   × {:.1}",
            page.trim_end_matches("max=").trim_end_matches(['&', '?']),
            small.0,
            small.1,
            large.0,
            large.1,
            large.0 / small.0
        );
        assert!(large.0 <= MOST_GROWTH * small.0, "{page} takes {:.1} times as long", large.0 / small.0);
        assert!(took.iter().flatten().all(|took| *took < MOST), "{page}: {took:?}");
    }
    // The program is as large in both; the rest of what is mapped is the index, which the kernel takes back when it needs to.
    let [(small, own), (large, its_own)] =
        shops.each_ref().map(|shop| (shop.process.memory_kib().0, shop.process.own_memory_kib()));
    let growth = (small + its_own.saturating_sub(own)) as f64 / small as f64;
    println!(
        "memory: {:.1} MiB, of which {:.1} its own; {:.1} MiB, of which {:.1} its own: × {growth:.2}, and {:.1} MiB of mapped files",
        mib(small),
        mib(own),
        mib(large),
        mib(its_own),
        mib((large - its_own).saturating_sub(small - own))
    );
    assert!(growth <= MOST_MEMORY, "{small} and {large} KiB, of which {own} and {its_own} their own");
}
