//! The zoo: the faithful gateway does nothing wrong, and each other does one thing wrong.

use tollgate_simulator::zoo::{Animal, Cage};
use tollgate_simulator::{Config, Ending, Simulator};

use crate::client::{Client, End, STREAM, post, within};

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_with_it() {
    let simulator = Simulator::start(Config::default()).await.unwrap();
    for (directives, mark) in [("stall; at=1", Some("message_start")), ("first_byte_ms=60000", None)] {
        simulator.record().clear();
        let cage = Cage::start(Animal::named("faithful").unwrap(), simulator.addr()).await.unwrap();
        let mut client = Client::connect_to(cage.addr()).await;
        let token = format!("X-Api-Key: {}", cage.client_token());
        client.send(&post("/v1/messages", &[&token, &format!("X-Simulator: {directives}")], STREAM)).await;
        if let Some(mark) = mark {
            client.read_until(mark).await;
        }
        within(simulator.record().until(|served| served.open == 1)).await;
        drop(client);
        let seen = within(simulator.record().ended(1)).await;
        assert_eq!(seen[0].answer.ending, Ending::Aborted);
        within(cage.stop()).await;
    }
}

#[tokio::test]
async fn a_cut_stays_a_cut() {
    let simulator = Simulator::start(Config::default()).await.unwrap();
    let cage = Cage::start(Animal::named("faithful").unwrap(), simulator.addr()).await.unwrap();
    for directives in ["cut", "reset", "cut_mid_event=3", "bad_chunk"] {
        let mut client = Client::connect_to(cage.addr()).await;
        let token = format!("Authorization: Bearer {}", cage.client_token());
        let request = post("/v1/messages", &[&token, &format!("X-Simulator: {directives}")], STREAM);
        let answer = client.ask(&request).await;
        assert_eq!((answer.status, answer.end), (200, End::Fin), "{directives}");
        assert!(!answer.body.is_empty());
    }
}
