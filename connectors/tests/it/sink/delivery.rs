//! Receivers that fail in the ways that receivers fail.

use super::receiver::{Receiver, Step};
use super::{finding, open};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tarn_connectors::sink::Outbox;
use tarn_connectors::sink::outbox::{Status, Which};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

fn webhook(receiver: &Receiver, more: &str) -> String {
    format!(
        r#"
        [sinks.hook]
        kind = "webhook"
        url = "http://{}/hook"
        plain_http = true
        allow_networks = ["127.0.0.0/8"]
        secret = "env:WEBHOOK_SECRET"
        retry_base = "20ms"
        retry_max = "100ms"
        {more}
        [[routes]]
        name = "all"
        sinks = ["hook"]
        "#,
        receiver.address
    )
}

/// Delivers in the background.
struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn run(outbox: &Arc<Outbox>) -> Running {
    let stop = CancellationToken::new();
    Running { task: tokio::spawn(Arc::clone(outbox).deliver(stop.clone())), stop }
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

async fn until(outbox: &Outbox, holds: impl Fn(&Status) -> bool) -> Status {
    for _ in 0..2_000 {
        let status = outbox.status().unwrap();
        if holds(&status) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come to that: {:?}", outbox.status().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_tried_again_under_one_key() {
    let script = [
        Step::Answer(500, ""),
        Step::Refuse,
        Step::Break,
        Step::Answer(408, ""),
        Step::Answer(429, "retry-after: 1\r\n"),
        Step::Answer(200, ""),
    ];
    let receiver = Receiver::start(script).await;
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path(), &webhook(&receiver, ""));
    let running = run(&outbox);
    outbox.offer(1, &[finding("f1")]).unwrap();
    let status = until(&outbox, |status| status.sinks["hook"].delivered == 1).await;
    running.stop().await;
    let requests = receiver.requests();
    assert_eq!(requests.len(), 5);
    let keys: BTreeSet<_> = requests.iter().map(|r| r.header("webhook-id")).collect();
    assert_eq!(keys, [Some("f1")].into());
    let bodies: BTreeSet<_> = requests.iter().map(|r| r.body.as_str()).collect();
    assert_eq!(bodies.len(), 1);
    assert!(requests[4].at - requests[3].at >= Duration::from_secs(1), "Retry-After was not heeded");
    assert_eq!((status.sinks["hook"].retried, status.sinks["hook"].dead, status.entries), (5, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_takes_no_longer_than_the_timeout() {
    let receiver = Receiver::start([Step::Hang]).await;
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path(), &webhook(&receiver, "timeout = \"200ms\""));
    let running = run(&outbox);
    outbox.offer(1, &[finding("f1")]).unwrap();
    until(&outbox, |status| status.sinks["hook"].delivered == 1).await;
    running.stop().await;
    let requests = receiver.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests[1].at - requests[0].at < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_is_a_dead_letter_and_can_be_tried_again() {
    let receiver = Receiver::start([Step::Answer(400, ""), Step::Answer(302, "location: http://127.0.0.1/\r\n")]).await;
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path(), &webhook(&receiver, "concurrency = 1"));
    let running = run(&outbox);
    outbox.offer(1, &[finding("f1"), finding("f2"), finding("f3")]).unwrap();
    until(&outbox, |status| status.sinks["hook"].dead == 2 && status.sinks["hook"].delivered == 1).await;
    let dead = outbox.dead(0, 10).unwrap();
    assert_eq!(dead.iter().map(|d| d.reason.as_str()).collect::<Vec<_>>(), ["HTTP 400: said", "HTTP 302: said"]);
    assert_eq!(outbox.retry_dead(Which::All).unwrap(), 2);
    until(&outbox, |status| status.sinks["hook"].dead == 0 && status.sinks["hook"].delivered == 3).await;
    running.stop().await;
    let keys: Vec<_> = receiver.requests().iter().map(|r| r.header("webhook-id").unwrap().to_owned()).collect();
    assert_eq!(keys, ["f1", "f2", "f3", "f1", "f2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_is_asked_no_more() {
    let receiver = Receiver::start([Step::Answer(410, "")]).await;
    let folder = tempfile::tempdir().unwrap();
    let text = webhook(&receiver, "concurrency = 1");
    let outbox = open(folder.path(), &text);
    let running = run(&outbox);
    outbox.offer(1, &[finding("f1"), finding("f2")]).unwrap();
    let status = until(&outbox, |status| status.sinks["hook"].dead == 2).await;
    assert!(status.sinks["hook"].gone);
    assert_eq!(receiver.requests().len(), 1);
    outbox.reconfigure(&super::config(&text), &super::environment).unwrap();
    outbox.retry_dead(Which::All).unwrap();
    let status = until(&outbox, |status| status.sinks["hook"].delivered == 2).await;
    assert!(!status.sinks["hook"].gone);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_where_it_was() {
    let receiver = Receiver::start([]).await;
    let folder = tempfile::tempdir().unwrap();
    let text = webhook(&receiver, "");
    let outbox = open(folder.path(), &text);
    outbox.offer(7, &[finding("f1"), finding("f2")]).unwrap();
    // Never closed: what is on disk now is what a killed process leaves.
    let left = tempfile::tempdir().unwrap();
    std::fs::copy(folder.path().join("outbox.redb"), left.path().join("outbox.redb")).unwrap();
    drop(outbox);
    let outbox = open(left.path(), &text);
    assert_eq!(outbox.taken().unwrap(), 7);
    outbox.offer(7, &[finding("f1"), finding("f2")]).unwrap();
    let running = run(&outbox);
    until(&outbox, |status| status.sinks["hook"].delivered == 2).await;
    outbox.offer(8, &[finding("f3")]).unwrap();
    until(&outbox, |status| status.sinks["hook"].delivered == 3).await;
    running.stop().await;
    let keys: BTreeSet<_> = receiver.requests().iter().map(|r| r.header("webhook-id").unwrap().to_owned()).collect();
    assert_eq!((receiver.requests().len(), keys), (3, ["f1", "f2", "f3"].map(str::to_owned).into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_where_alerts_go() {
    let (first, second) = (Receiver::start([]).await, Receiver::start([]).await);
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path(), &webhook(&first, ""));
    let running = run(&outbox);
    outbox.offer(1, &[finding("f1")]).unwrap();
    first.wait(1).await;
    until(&outbox, |status| status.sinks["hook"].delivered == 1).await;
    outbox.reconfigure(&super::config(&webhook(&second, "")), &super::environment).unwrap();
    outbox.offer(2, &[finding("f2")]).unwrap();
    second.wait(1).await;
    running.stop().await;
    assert_eq!((first.requests().len(), second.requests().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_holds_up_no_other() {
    let (bad, good) = (Receiver::start(std::iter::repeat_n(Step::Hang, 20)).await, Receiver::start([]).await);
    let folder = tempfile::tempdir().unwrap();
    let sink = |name: &str, receiver: &Receiver| {
        format!(
            "[sinks.{name}]\nkind = \"webhook\"\nurl = \"http://{}/\"\nplain_http = true\n\
             allow_networks = [\"127.0.0.1/32\"]\ntimeout = \"1s\"\n",
            receiver.address
        )
    };
    let routes = "[[routes]]\nname = \"all\"\nsinks = [\"bad\", \"good\"]\n";
    let outbox = open(folder.path(), &format!("{}{}{routes}", sink("bad", &bad), sink("good", &good)));
    let running = run(&outbox);
    let findings: Vec<_> = (0..50).map(|i| finding(&format!("f{i}"))).collect();
    outbox.offer(1, &findings).unwrap();
    let status = until(&outbox, |status| status.sinks["good"].delivered == 50).await;
    assert_eq!(status.sinks["bad"].delivered, 0);
    running.stop().await;
}
