//! A disk whose flushes take long: what a server on a network's disk waits for, on any machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Stands in for the C library's own two functions. What is written goes into the machine's memory all the same: only a power cut
/// would tell.
const SOURCE: &str = "
#include <errno.h>
#include <time.h>
static int flush(void) {
    struct timespec left = {0, FLUSH_NS};
    int before = errno;
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
    errno = before;
    return 0;
}
int fsync(int file) { (void)file; return flush(); }
int fdatasync(int file) { (void)file; return flush(); }
";

/// Makes a library in `folder` that a program is to be started with (`LD_PRELOAD`), so that each flush takes `flush`, less than a
/// second; `None` if there is no compiler of C.
pub(crate) fn library(folder: &Path, flush: Duration) -> Option<PathBuf> {
    let (source, library) = (folder.join("slow_disk.c"), folder.join("slow_disk.so"));
    std::fs::write(&source, SOURCE).expect("the folder takes files");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1"])
        .arg(format!("-DFLUSH_NS={}L", flush.subsec_nanos()))
        .arg("-o")
        .args([&library, &source])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    compiled.is_ok_and(|status| status.success()).then_some(library)
}
