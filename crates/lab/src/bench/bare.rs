//! The server to measure against: tokio, an accept loop, a task for each connection that reads frames and
//! answers each with the same 39 bytes. Nothing else: no parser, no state, no disk.

use anyhow::ensure;
use std::net::SocketAddr;
use std::process::ExitCode;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

/// Options of `bare`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Where to listen; loopback only.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
}

/// The reply to everything: as long as the implant's.
const REPLY: &[u8; 39] =
    b"\0\0\0\x23\xffSMB2\x02\0\0\xc0\x98\x07\xc0\0\0\0\0\0\0\0\0\0\0\0\0\0\x08\xff\xfe\0\x08\x52\0\0\0\0";

/// Serves until it is killed; its first line says where it listens.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    ensure!(args.listen.ip().is_loopback(), "{} is not a loopback address", args.listen);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(args.listen),
            socket2::Type::STREAM,
            Some(socket2::Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&args.listen.into())?;
        socket.listen(4096)?;
        let listener = TcpListener::from_std(socket.into())?;
        println!("listening on {}", listener.local_addr()?);
        loop {
            // An accept that fails (too many open files) is the bench's own mistake: let it see that.
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(serve(stream));
        }
    })
}

/// Counts frames in a stream without keeping its bytes.
#[derive(Default)]
struct Frames {
    header: [u8; 4],
    header_len: usize,
    missing: usize,
}

impl Frames {
    fn complete(&mut self, mut bytes: &[u8]) -> usize {
        let mut frames = 0;
        while !bytes.is_empty() {
            if self.header_len < 4 {
                let take = bytes.len().min(4 - self.header_len);
                self.header[self.header_len..self.header_len + take].copy_from_slice(&bytes[..take]);
                self.header_len += take;
                bytes = &bytes[take..];
                if self.header_len < 4 {
                    break;
                }
                let [_, a, b, c] = self.header;
                self.missing = u32::from_be_bytes([0, a, b, c]) as usize;
            }
            let take = bytes.len().min(self.missing);
            self.missing -= take;
            bytes = &bytes[take..];
            if self.missing == 0 {
                self.header_len = 0;
                frames += 1;
            }
        }
        frames
    }
}

/// Holds no buffer while nothing comes, as the honeypot.
async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut frames = Frames::default();
    loop {
        stream.readable().await?;
        let complete = {
            let mut buffer = [0; 16 * 1024];
            match stream.try_read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(len) => frames.complete(&buffer[..len]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            }
        };
        for _ in 0..complete {
            stream.write_all(REPLY).await?;
        }
    }
}
