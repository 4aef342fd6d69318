//! Files that grow and rotate, and restarts: nothing is lost, and nothing is repeated that was remembered.

use crate::receiving::{Taken, gzip, overloaded};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use tarn_connectors::intake::Refused;
use tarn_connectors::source::tail::{From, Options, Tail, TailError};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Folder {
    folder: TempDir,
    taken: Taken,
    options: Options,
}

struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), TailError>>,
}

impl Running {
    async fn stop(self) -> Result<(), TailError> {
        self.stop.cancel();
        self.task.await.unwrap()
    }
}

impl Folder {
    fn new(pattern: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            paths: vec![folder.path().join(pattern).display().to_string()],
            source: None,
            from: From::Beginning,
            poll_ms: 20,
            piece_bytes: 4096,
            line_bytes_max: 1024,
            files_max: 16,
            gone_seconds: 0,
        };
        Self { folder, taken: Taken::default(), options }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        let file = fs::OpenOptions::new().create(true).append(true).open(self.path(name));
        file.unwrap().write_all(text.as_ref()).unwrap();
    }

    fn run(&self) -> Running {
        let (options, intake) = (self.options.clone(), self.taken.intake());
        let tail = Tail { options, intake, positions: self.path("positions.json") };
        let stop = CancellationToken::new();
        Running { task: tokio::spawn(tail.run(stop.clone())), stop }
    }

    /// The numbers in `{"n":…}` so far.
    fn numbers(&self) -> Vec<u64> {
        self.taken.json().iter().map(|record| record["n"].as_u64().unwrap()).collect()
    }
}

fn lines(numbers: std::ops::Range<u64>) -> String {
    numbers.map(|n| format!("{{\"n\":{n}}}\n")).collect()
}

/// Long enough for some looks at the files.
async fn looks() {
    tokio::time::sleep(Duration::from_millis(200)).await;
}

#[tokio::test]
async fn what_is_appended_comes_once_through_restarts() {
    let folder = Folder::new("*.log");
    folder.append("a.log", lines(0..2000));
    let running = folder.run();
    folder.taken.until(2000).await;
    folder.append("a.log", "{\"n\":2000}\n{\"n\":");
    folder.taken.until(2001).await;
    looks().await;
    assert_eq!(folder.taken.records().len(), 2001);
    running.stop().await.unwrap();
    folder.append("a.log", "2001}\n");
    folder.append("b.log", lines(2002..2003));
    let running = folder.run();
    folder.taken.until(2003).await;
    looks().await;
    running.stop().await.unwrap();
    let mut numbers = folder.numbers();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..2003).collect::<Vec<_>>());
}

#[tokio::test]
async fn renamed_files_are_read_to_their_end() {
    let mut folder = Folder::new("app.log");
    folder.options.gone_seconds = 1;
    folder.append("app.log", lines(0..10));
    let running = folder.run();
    folder.taken.until(10).await;
    fs::rename(folder.path("app.log"), folder.path("app.log.1")).unwrap();
    looks().await;
    // The writer has not noticed yet.
    folder.append("app.log.1", lines(10..12));
    folder.append("app.log", lines(12..14));
    folder.taken.until(14).await;
    looks().await;
    running.stop().await.unwrap();
    // While nobody looks, it is renamed to what no pattern names.
    folder.append("app.log", lines(14..16));
    fs::rename(folder.path("app.log"), folder.path("app.log.2")).unwrap();
    folder.append("app.log", lines(16..17));
    let running = folder.run();
    folder.taken.until(17).await;
    looks().await;
    running.stop().await.unwrap();
    let mut numbers = folder.numbers();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..17).collect::<Vec<_>>());
}

#[tokio::test]
async fn rotation_within_the_pattern_repeats_nothing() {
    let folder = Folder::new("app.log*");
    folder.append("app.log", lines(0..5));
    let running = folder.run();
    folder.taken.until(5).await;
    fs::rename(folder.path("app.log"), folder.path("app.log.1")).unwrap();
    folder.append("app.log", lines(5..8));
    fs::write(folder.path("app.log.2.gz"), gzip(lines(90..99).as_bytes())).unwrap();
    fs::write(folder.path("app.log.3"), gzip(lines(90..99).as_bytes())).unwrap();
    folder.taken.until(8).await;
    looks().await;
    running.stop().await.unwrap();
    assert_eq!(folder.numbers(), (0..8).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_truncated_file_is_read_from_its_start() {
    let folder = Folder::new("app.log");
    folder.append("app.log", lines(0..3));
    let running = folder.run();
    folder.taken.until(3).await;
    looks().await;
    fs::write(folder.path("app.log"), lines(3..4)).unwrap();
    folder.taken.until(4).await;
    looks().await;
    // Longer than before at once: it begins otherwise.
    fs::write(folder.path("app.log"), lines(4..9)).unwrap();
    folder.taken.until(9).await;
    running.stop().await.unwrap();
    // And while nobody looks.
    fs::write(folder.path("app.log"), lines(9..20)).unwrap();
    let running = folder.run();
    folder.taken.until(20).await;
    looks().await;
    running.stop().await.unwrap();
    assert_eq!(folder.numbers(), (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_inode_that_is_used_again_is_another_file() {
    let folder = Folder::new("app.log");
    folder.append("app.log", lines(0..3));
    let running = folder.run();
    folder.taken.until(3).await;
    looks().await;
    running.stop().await.unwrap();
    let remembered = fs::read_to_string(folder.path("positions.json")).unwrap();
    let (before, rest) = remembered.split_once("\"head_sha256\":\"").unwrap();
    let other = format!("{before}\"head_sha256\":\"{}{}", "0".repeat(64), &rest[64..]);
    fs::write(folder.path("positions.json"), other).unwrap();
    let running = folder.run();
    folder.taken.until(6).await;
    running.stop().await.unwrap();
    assert_eq!(folder.numbers(), [0, 1, 2, 0, 1, 2]);
}

#[tokio::test]
async fn a_deleted_file_s_last_line_needs_no_end() {
    let folder = Folder::new("*.log");
    folder.append("a.log", "{\"n\":0}\n{\"n\":1}");
    let running = folder.run();
    folder.taken.until(1).await;
    looks().await;
    assert_eq!(folder.numbers(), [0]);
    fs::remove_file(folder.path("a.log")).unwrap();
    folder.taken.until(2).await;
    looks().await;
    running.stop().await.unwrap();
    assert_eq!(folder.numbers(), [0, 1]);
    assert!(!fs::read_to_string(folder.path("positions.json")).unwrap().contains("a.log"));
}

#[tokio::test]
async fn nothing_is_remembered_that_was_not_taken() {
    let folder = Folder::new("*.log");
    folder.taken.refuse(overloaded());
    folder.append("a.log", lines(0..1000));
    let running = folder.run();
    looks().await;
    running.stop().await.unwrap();
    folder.taken.refuse(Refused::Overloaded { retry_after: Duration::from_millis(20) });
    let running = folder.run();
    looks().await;
    folder.taken.refuse(None);
    folder.taken.until(1000).await;
    running.stop().await.unwrap();
    assert_eq!(folder.numbers(), (0..1000).collect::<Vec<_>>());
    // What will never be taken ends it.
    folder.taken.refuse(Refused::UnknownSource { name: "x".into() });
    folder.append("a.log", lines(0..1));
    let ended = tokio::time::timeout(Duration::from_secs(5), folder.run().task).await.unwrap().unwrap();
    assert!(matches!(ended, Err(TailError::Refused(_))));
}

#[tokio::test]
async fn hostile_lines_cost_themselves() {
    let folder = Folder::new("*.log");
    let long = "x".repeat(100_000);
    folder.append("a.log", format!("{{\"n\":0}}\n{long}\n{{\"n\":1}}\n"));
    folder.append("a.log", b"\xff\xfe\n{broken\n{\"n\":2}\n");
    folder.append("a.log", format!("{}1{}\n{{\"n\":3}}\n", "{\"a\":".repeat(200), "}".repeat(200)));
    let running = folder.run();
    folder.taken.until(8).await;
    looks().await;
    running.stop().await.unwrap();
    assert_eq!((folder.numbers(), folder.taken.dead()), (vec![0, 1, 2, 3], 4));
}

#[tokio::test]
async fn lines_of_an_audit_event_wait_for_each_other() {
    let mut folder = Folder::new("audit.log");
    folder.options.poll_ms = 100;
    let line = |kind: &str, id: u32| format!("type={kind} msg=audit(1.0:{id}): pid=1 cwd=\"/\"\n");
    folder.append("audit.log", line("SYSCALL", 1) + &line("CWD", 1) + &line("SYSCALL", 2));
    let running = folder.run();
    tokio::time::sleep(Duration::from_millis(50)).await;
    folder.append("audit.log", line("CWD", 2));
    folder.taken.until(2).await;
    running.stop().await.unwrap();
    let originals = folder.taken.originals();
    assert!(originals.iter().all(|o| o.contains("SYSCALL") && o.contains("CWD")), "{originals:?}");
}

#[tokio::test]
async fn a_log_s_first_line_names_the_fields_of_every_piece() {
    // Also one that is longer than what tells files from each other, and one before the place where reading begins.
    for (from, more) in [(From::Beginning, 0), (From::Beginning, 60), (From::End, 60)] {
        let header = "interface-id srcaddr dstaddr action".to_owned() + &" tgw-src-vpc-account-id".repeat(more) + "\n";
        let flow = |n: u64| format!("eni-1 192.0.2.{} 198.51.100.9 ACCEPT{}\n", n % 200, " -".repeat(more));
        let mut folder = Folder::new("*.log");
        folder.options.from = from;
        folder.options.line_bytes_max = 2048;
        let before = if from == From::End { 0 } else { 100 };
        folder.append("flow.log", header + &(0..100).map(flow).collect::<String>());
        let running = folder.run();
        folder.taken.until(before).await;
        looks().await;
        folder.append("flow.log", (100..200).map(flow).collect::<String>());
        folder.taken.until(before + 100).await;
        running.stop().await.unwrap();
        folder.append("flow.log", flow(200));
        let running = folder.run();
        folder.taken.until(before + 101).await;
        running.stop().await.unwrap();
        let records = folder.taken.json();
        assert_eq!(records.len(), before + 101);
        assert!(records.iter().all(|record| record["dstaddr"] == "198.51.100.9" && record["action"] == "ACCEPT"));
        assert_eq!(records[before + 100]["srcaddr"], "192.0.2.0");
        assert_eq!(folder.taken.dead(), 0);
    }
}

#[tokio::test]
async fn reading_can_begin_at_the_end() {
    let mut folder = Folder::new("*.log");
    folder.options.from = From::End;
    folder.append("a.log", lines(0..3));
    let running = folder.run();
    looks().await;
    folder.append("a.log", lines(3..4));
    folder.taken.until(1).await;
    folder.append("b.log", lines(4..5));
    folder.taken.until(2).await;
    running.stop().await.unwrap();
    assert_eq!(folder.numbers(), [3, 4]);
}

#[tokio::test]
async fn wrong_configuration_is_told() {
    let folder = Folder::new("*.log");
    fs::write(folder.path("positions.json"), "{\"version\":2,\"files\":[]}").unwrap();
    assert!(matches!(folder.run().task.await.unwrap(), Err(TailError::Version { .. })));
    let folder = Folder::new("[");
    assert!(matches!(folder.run().task.await.unwrap(), Err(TailError::Pattern { .. })));
    let parsed: Options = toml::from_str("paths = ['/var/log/*.log']\nfrom = 'end'").unwrap();
    assert_eq!((parsed.from, parsed.poll_ms), (From::End, 250));
    assert!(toml::from_str::<Options>("paths = []\npoll = 1").is_err());
}

/// Numbers from a seed, for histories that can be run again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Growth, cut lines, rotation, overload, stops and kills at random: what was read since the last kill is all there once.
async fn history(seed: u64, kills: bool) {
    let mut folder = Folder::new("app.log*");
    folder.options.gone_seconds = 1;
    let mut random = Random(seed);
    let (mut written, mut rotations) = (0, 0);
    let mut running = folder.run();
    for _ in 0..40 {
        match random.below(8) {
            0..4 => {
                let text = lines(written..written + 1 + random.below(200));
                written += text.lines().count() as u64;
                let cut = random.below(text.len() as u64) as usize;
                folder.append("app.log", &text[..cut]);
                tokio::time::sleep(Duration::from_millis(random.below(30))).await;
                folder.append("app.log", &text[cut..]);
            }
            4 if folder.path("app.log").exists() => {
                rotations += 1;
                fs::rename(folder.path("app.log"), folder.path(&format!("app.log.{rotations}"))).unwrap();
            }
            5 => folder.taken.refuse(Refused::Overloaded { retry_after: Duration::from_millis(10) }),
            6 => folder.taken.refuse(None),
            7 if kills && random.below(2) == 0 => {
                running.task.abort();
                let _ = running.task.await;
                running = folder.run();
            }
            7 => {
                running.stop().await.unwrap();
                running = folder.run();
            }
            _ => tokio::time::sleep(Duration::from_millis(random.below(50))).await,
        }
    }
    folder.taken.refuse(None);
    folder.taken.until(written as usize).await;
    looks().await;
    running.stop().await.unwrap();
    let mut numbers = folder.numbers();
    numbers.sort_unstable();
    if kills {
        numbers.dedup();
    }
    assert_eq!(numbers, (0..written).collect::<Vec<_>>(), "seed {seed}");
    assert_eq!(folder.taken.dead(), 0, "seed {seed}");
}

#[tokio::test]
async fn any_history_is_read_once() {
    for seed in 0..8 {
        history(seed, false).await;
    }
}

#[tokio::test]
async fn any_history_with_kills_is_read_at_least_once() {
    for seed in 100..108 {
        history(seed, true).await;
    }
}
