//! `proto` alone behind a socket: no evidence, no gate, a thread for each connection. To try a client against
//! the decoy's mind without the rest of the house.

use crate::theatre;
use anyhow::ensure;
use roridula_proto::connection::{Connection, ConnectionId, Ending, Input, Opening, Output, SharedState};
use roridula_proto::event::Transport;
use roridula_proto::time::{Timestamp, WallClock};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Options of `serve`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Where to listen; loopback only.
    #[arg(long, default_value = "127.0.0.1:4445")]
    pub listen: SocketAddr,
}

/// Serves until it is killed; events go to stdout as JSON lines.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    ensure!(args.listen.ip().is_loopback(), "{} is not a loopback address", args.listen);
    let listener = TcpListener::bind(args.listen)?;
    println!("listening on {}", listener.local_addr()?);
    for (number, stream) in listener.incoming().enumerate() {
        let stream = stream?;
        std::thread::spawn(move || {
            if let Err(error) = serve(stream, number as u64) {
                eprintln!("connection {number}: {error}");
            }
        });
    }
    Ok(ExitCode::SUCCESS)
}

fn serve(mut stream: TcpStream, number: u64) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let begun = Instant::now();
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let opening = Opening {
        id: ConnectionId(number),
        at: WallClock(u64::try_from(at).unwrap_or(0)),
        transport: Transport::DirectTcp,
    };
    let mut connection = Connection::new(Arc::new(theatre::decoy()), opening);
    let (mut output, mut buffer) = (Output::default(), vec![0; 1 << 16]);
    let now = || Timestamp(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
    connection.handle(now(), Input::Shared(SharedState::default()), &mut output);
    loop {
        let len = stream.read(&mut buffer).unwrap_or(0);
        let input = if len == 0 { Input::Ended(Ending::Closed) } else { Input::Bytes(&buffer[..len]) };
        connection.handle(now(), input, &mut output);
        for reply in output.replies() {
            stream.write_all(reply)?;
        }
        for (_, event) in &output.events {
            println!("{number} {}", serde_json::to_string(event).unwrap_or_default());
        }
        if len == 0 || output.close.is_some() {
            return Ok(());
        }
        output.clear();
    }
}
