//! What a thousand processes cost.

use std::time::Duration;

use selvage_operator::broker::Offer;
use selvage_proto::pool::v1::attach_request::Message;
use selvage_proto::pool::v1::attach_response::Message as Answer;
use selvage_proto::pool::v1::pool_broker_client::PoolBrokerClient;
use selvage_proto::pool::v1::{AttachRequest, AttachResponse, Hello, Pool, PoolReport, Report, Use};
use selvage_testkit::eventually;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Request, Streaming};

use super::fixture::Script;

const PROCESSES: usize = 1000;
/// So many share a connection, each of which is two files of the test.
const PER_CONNECTION: usize = 25;
const SECONDS: u32 = 3;

fn boot_id(process: usize) -> String {
    format!("{process:08x}")
}

fn hello(process: usize) -> Message {
    let pool = |name: &str| Pool { name: name.into(), floor: 2, ceiling: 8 };
    Message::Hello(Hello {
        namespace: "shop".into(),
        pod: format!("pod-{process}"),
        pod_uid: format!("uid-{process}"),
        boot_id: boot_id(process),
        budget: "main".into(),
        pools: vec![pool("main"), pool("relay")],
    })
}

/// As a service with twenty operations makes it.
fn report() -> Message {
    let used = |number: usize| Use { operation: format!("operation_{number}"), count: 4711, time: None };
    let pool =
        |name: &str| PoolReport { name: name.into(), uses: (0..10).map(used).collect(), ..PoolReport::default() };
    Message::Report(Report { limit: 8, open: 4, pools: vec![pool("main"), pool("relay")], ..Report::default() })
}

struct Attached {
    requests: mpsc::Sender<AttachRequest>,
    answers: Streaming<AttachResponse>,
}

impl Attached {
    async fn to(channel: Channel, process: usize) -> Self {
        let (requests, receiver) = mpsc::channel(4);
        requests.send(AttachRequest { message: Some(hello(process)) }).await.unwrap();
        let mut request = Request::new(tokio_stream::wrappers::ReceiverStream::new(receiver));
        let token = format!("Bearer shop/pod-{process}/uid-{process}");
        request.metadata_mut().insert("authorization", token.parse().unwrap());
        let answers = PoolBrokerClient::new(channel).attach(request).await.unwrap().into_inner();
        Self { requests, answers }
    }
}

/// What this process has computed so far, in steps of 10 ms.
fn computed() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u32>().unwrap());
    Duration::from_millis(10) * ticks.sum::<u32>()
}

#[tokio::test]
async fn a_thousand_processes_report_each_second_and_all_are_granted() {
    let script = Script::start().await;
    let mut processes = Vec::new();
    let mut channel = None;
    for process in 0..PROCESSES {
        if process % PER_CONNECTION == 0 {
            let endpoint = selvage_rpc::endpoint(format!("http://{}", script.address)).unwrap();
            channel = Some(endpoint.connect().await.unwrap());
        }
        processes.push(Attached::to(channel.clone().unwrap(), process).await);
    }
    let (before, began) = (computed(), Instant::now());
    for second in 1..=SECONDS {
        for (process, attached) in processes.iter().enumerate() {
            // Spread over the second, as they are when nobody has started them together.
            if process % 50 == 0 {
                let share = f64::from(second - 1) + f64::from(u32::try_from(process / 50).unwrap()) / 20.0;
                tokio::time::sleep_until(began + Duration::from_secs_f64(share)).await;
            }
            attached.requests.send(AttachRequest { message: Some(report()) }).await.unwrap();
        }
    }
    let heard = |process: usize| script.with(&boot_id(process), |known| known.reports).unwrap_or_default();
    let all = async || (0..PROCESSES).all(|process| heard(process) == SECONDS);
    eventually(Duration::from_secs(60), "every report is heard", all).await;
    let took = computed() - before;

    let began = Instant::now();
    for process in 0..PROCESSES {
        script.offer(&boot_id(process), Offer::Grant { id: (1, 1), connections: 8 });
    }
    for attached in &mut processes {
        loop {
            let answer = attached.answers.message().await.unwrap().expect("the stream goes on").message;
            if matches!(answer, Some(Answer::Grant(grant)) if grant.connections == 8) {
                break;
            }
        }
    }
    let reports = PROCESSES * usize::try_from(SECONDS).unwrap();
    println!(
        "{PROCESSES} processes, both sides in one program{}: {reports} reports took {took:?} of computing, \
         {} µs each; a grant for each of them was there after {:?}",
        if cfg!(debug_assertions) { " without optimisation" } else { "" },
        took.as_micros() / u128::try_from(reports).unwrap(),
        began.elapsed()
    );
}
