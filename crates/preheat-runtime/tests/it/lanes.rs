//! Connections on threads of their own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use preheat_runtime::upstream::{Place, Upstream};
use preheat_runtime::{Drain, EdgeConfig, Lanes, Shell, Tasks, bind, cpu, lanes, serve};
use tokio::net::TcpStream;

use crate::support::{Raw, Server, Service, echo_path, service};

/// Serves on lanes; where.
fn on_lanes(tasks: &Tasks, drain: &Drain, service: Service) -> String {
    let listener = bind("127.0.0.1:0").unwrap();
    let address = listener.address().to_string();
    let shell = Shell::new(tasks.clone(), drain.draining()).on(Lanes::start().unwrap());
    tasks.spawn("edge", async move {
        serve(listener, service, EdgeConfig::default(), shell)
            .await
            .unwrap();
    });
    address
}

async fn connect(address: &str) -> Raw<TcpStream> {
    Raw(TcpStream::connect(address).await.unwrap())
}

#[tokio::test]
async fn a_connection_stays_on_its_lane_and_all_lanes_have_some() {
    let (tasks, drain) = (Tasks::new(), Drain::new());
    let lane = || async {
        let lane = lanes::here().map_or("none".into(), |lane| lane.to_string());
        Response::new(Full::new(Bytes::from(lane)))
    };
    let address = on_lanes(&tasks, &drain, service(move |_| lane()));
    let (mut connections, mut seen) = (Vec::new(), BTreeSet::new());
    for _ in 0..2 * cpu::usable().get() {
        let mut client = connect(&address).await;
        let lane = client.get("/").await.unwrap().body;
        seen.insert(lane.clone());
        connections.push((client, lane));
    }
    for (client, lane) in &mut connections {
        assert_eq!(client.get("/").await.unwrap().body, *lane);
    }
    let all: BTreeSet<_> = (0..cpu::usable().get()).map(|n| n.to_string()).collect();
    assert_eq!(seen, all);
}

#[tokio::test]
async fn a_lane_takes_another_ones_connection_rather_than_opening_one_more() {
    let (tasks, drain) = (Tasks::new(), Drain::new());
    let behind = bind("127.0.0.1:0").unwrap();
    let place = Place::At(behind.address().clone());
    let behind = Server::start(behind, echo_path(), EdgeConfig::default());
    let upstream = Upstream::<Full<Bytes>>::new(place.clone(), place, tasks.child());
    let upstream = Arc::new(upstream);
    let proxy = service(move |request: Request<_>| {
        let upstream = Arc::clone(&upstream);
        async move {
            let onward = Request::get(request.uri().path())
                .header("host", "behind")
                .body(Full::default())
                .unwrap();
            let answer = upstream.send(onward).await.unwrap();
            let body = answer.into_body().collect().await.unwrap();
            Response::new(Full::new(body.to_bytes()))
        }
    });
    let address = on_lanes(&tasks, &drain, proxy);
    for number in 0..4 * cpu::usable().get() {
        let path = format!("/{number}");
        let answer = connect(&address).await.get(&path).await.unwrap();
        assert_eq!((answer.status, answer.body), (200, path));
    }
    assert_eq!(behind.connections.accepted.load(Ordering::Relaxed), 1);
}
