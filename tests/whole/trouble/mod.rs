//! What goes wrong around the shop is said in a sentence, and nothing is lost by it.

mod day;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use selvage_testkit::eventually;
use selvage_tests::buyer::{Buyer, Clients};
use selvage_tests::ledger::Ledger;
use selvage_tests::process::{Process, binary};
use selvage_tests::shop::OneProcess;
use tonic::Code;

const LONG: Duration = Duration::from_secs(60);

fn serve(data: &Path, listen: &str) -> Output {
    Command::new(binary("selvage")).arg("--data").arg(data).args(["--listen", listen]).output().expect("it runs")
}

/// The one sentence that a command ends with.
fn sentence(output: &Output) -> String {
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked"), "{said}");
    said.lines().last().expect("it says why").to_owned()
}

#[test]
fn a_taken_port_is_named_before_anything_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let data = folder.path().join("data");
    let said = sentence(&serve(&data, &address.to_string()));
    assert!(said.contains(&format!("port {} is taken", address.port())) && said.contains("--listen"), "{said}");
    assert!(!data.exists(), "nothing was made");
}

#[test]
fn a_data_folder_that_is_none_is_named_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    let said = sentence(&serve(&file.join("data"), "127.0.0.1:0"));
    assert!(said.contains(&*file.to_string_lossy()) && said.contains("--data"), "{said}");
}

#[test]
fn a_damaged_database_is_named_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let shop = OneProcess::start(folder.path(), &[]);
    assert!(shop.process.terminate().success());
    let left = |end: &str| folder.path().join(format!("catalogue.db{end}"));
    assert!(!left("-wal").exists() && !left("-shm").exists(), "an orderly end leaves one file");
    let path = left("");
    let damaged = b"this was a database once ".repeat(400);
    fs::write(&path, &damaged).unwrap();
    let said = sentence(&serve(folder.path(), "127.0.0.1:0"));
    assert!(said.contains("damaged") && said.contains("backup"), "{said}");
    assert!(fs::read(&path).unwrap() == damaged, "it was written to");
}

#[test]
fn a_feed_that_is_none_is_refused_and_a_bad_row_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let import = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let data = folder.path().join("data");
        Command::new(binary("selvage")).arg("import").arg(path).arg("--data").arg(data).output().expect("it runs")
    };
    let said = sentence(&import("feed.xml", "<products/>"));
    assert!(said.contains("neither Shopify's product CSV (.csv) nor JSON Lines"), "{said}");

    let good = "Handle,Title,Variant Price\nplain-tee,Plain tee,19.95\n";
    let mixed = import("feed.csv", &format!("{good}broken-tee,Broken tee,a lot\n"));
    let (said, complaint) = (String::from_utf8_lossy(&mixed.stdout), String::from_utf8_lossy(&mixed.stderr));
    assert!(mixed.status.success() && said.contains("1 new, 1 left out"), "{said}{complaint}");
    assert!(complaint.contains("line 3") && complaint.contains("Variant Price"), "{complaint}");

    let said = sentence(&import("bad.csv", "Handle,Title,Variant Price\nbroken-tee,Broken tee,a lot\n"));
    assert!(said.contains("none of the feed's products"), "{said}");
}

/// The shop on a disk of its own of 24 MiB, in a mount namespace that goes with it, after `first`, a command of a shell.
fn on_a_small_disk(folder: &Path, first: &str) -> Option<Command> {
    let may = |command: &mut Command| command.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !may(Command::new("unshare").args(["--mount", "true"])) {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI=true, and this user may not make a mount namespace");
        eprintln!("!! SKIPPED: the test of a full disk. To run it: be root, and have unshare (util-linux)");
        return None;
    }
    let serve = r#"exec "$0" serve --listen 127.0.0.1:0 --grpc 127.0.0.1:0 --data "$1""#;
    let script = format!(r#"mount -t tmpfs -o size=24m tmpfs "$1" && {first}; {serve}"#);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]).arg(binary("selvage")).arg(folder);
    Some(command)
}

/// An empty file finds room on it.
#[test]
fn a_disk_that_is_full_at_the_start_is_called_so() {
    let folder = tempfile::tempdir().unwrap();
    // 20 KiB are left: some of what is tried finds room, and stays behind nowhere.
    let fill = r#"head -c 32m /dev/zero > "$1/filler" 2>/dev/null; truncate -s -20K "$1/filler"
        "$0" serve --listen 127.0.0.1:0 --grpc 127.0.0.1:0 --data "$1" >/dev/null 2>&1
        if [ -e "$1/.writable" ]; then echo "the probe is left" >&2; exit 1; fi"#;
    let Some(mut command) = on_a_small_disk(folder.path(), fill) else { return };
    let said = sentence(&command.output().expect("it runs"));
    assert!(said.contains("free some space") && said.contains("No space left on device"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_orders_and_keeps_those_that_were_placed() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut command) = on_a_small_disk(folder.path(), "true") else { return };
    let shop = OneProcess::of(Process::start(&mut command), folder.path());
    let channel = shop.channel();
    let clients = Clients::new(|_| channel.clone());
    // The keys are on that disk, and seen through the process that has it.
    let inside = Path::new("/proc").join(shop.process.id().to_string()).join("root");
    let inside = inside.join(folder.path().strip_prefix("/").unwrap());
    let tokens = selvage_tests::shop::Tokens::of_folder(&inside.join("keys"));
    // SQLite would follow the way into the other namespace to its end, and open a file of that name out here: it gets copies.
    let ledger = async || {
        let copies = tempfile::tempdir().unwrap();
        let url = |service: &str| {
            for end in ["", "-wal"] {
                let name = format!("{service}.db{end}");
                fs::copy(inside.join(&name), copies.path().join(&name)).unwrap();
            }
            format!("sqlite://{}", copies.path().join(format!("{service}.db")).display())
        };
        let ledger = Ledger::open(&url("catalogue"), &url("checkout"), &url("delivery")).await;
        (ledger, copies)
    };
    let settled =
        async || eventually(LONG, "every order is settled", async || ledger().await.0.is_settled().await).await;
    clients.stock(&tokens, "SCARCE", 100).await;
    let intent = async |key: &str| {
        let buyer = Buyer::new(&clients, &tokens);
        buyer.add("SCARCE", 1).await.expect("the bag takes it");
        let intent = buyer.intent(key, "tok_succeeds").await.expect("a preview");
        (buyer, intent)
    };
    let (early, first) = intent("before-the-disk-is-full").await;
    let placed = early.place(first).await.expect("placed");
    settled().await;

    // Bags are packed while there is room; then there is none.
    let (late, second) = intent("while-the-disk-is-full").await;
    let filler = inside.join("filler");
    let mut left = 24 << 20;
    while left > 0 {
        let grown = fs::OpenOptions::new().create(true).append(true).open(&filler).and_then(|mut file| {
            use std::io::Write as _;
            file.write_all(&vec![0; left.min(64 << 10)])
        });
        match grown {
            Ok(()) => left = left.saturating_sub(64 << 10),
            Err(_) => break,
        }
    }
    eventually(LONG, "an order is refused for want of room", async || match late.place(second.clone()).await {
        Ok(order) => panic!("{order:?} was placed on a full disk"),
        Err(status) => {
            assert!(matches!(status.code(), Code::Unavailable | Code::Internal | Code::Aborted), "{status:?}");
            shop.process.output().contains("the disk is full")
        }
    })
    .await;
    assert_eq!(early.order(&placed.order_id).await.expect("still there").order_id, placed.order_id);

    fs::remove_file(&filler).unwrap();
    eventually(LONG, "with room again the same order is placed", async || late.place(second.clone()).await.is_ok())
        .await;
    settled().await;
    let (ledger, _copies) = ledger().await;
    assert_eq!((ledger.orders("confirmed").await, ledger.stock("SCARCE").await), (2, (98, 0)));
    ledger.check().await;
}
