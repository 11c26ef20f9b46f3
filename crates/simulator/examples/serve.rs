//! Runs a simulator on port 4010 until Ctrl-C.
use tollgate_simulator::{Config, Simulator};
#[tokio::main]
async fn main() -> std::io::Result<()> {
    let config = Config { listen: ([127, 0, 0, 1], 4010).into(), ..Config::default() };
    let running = Simulator::start(config).await?;
    println!("{}", running.url());
    std::future::pending::<()>().await;
    Ok(())
}
