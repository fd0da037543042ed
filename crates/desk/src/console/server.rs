//! Serves a router to many at a time: HTTP/1.1, with or without TLS, every visitor within bounds.

use super::ConsoleSettings;
use super::share::Shares;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// Bytes of a request's head, and of what is read ahead.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Headers of one request.
const HEADERS_MAX: usize = 64;
/// Time for a handshake and for a request's head, at most: whoever means it sends them at once.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
/// After a failed accept: the machine is out of something.
const PAUSE: Duration = Duration::from_millis(100);
/// How long open connections may go on once it is to end: an answer, but no live feed.
const FAREWELL: Duration = Duration::from_secs(2);

/// Both ends of a request's connection: its extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Who asks.
    pub remote: SocketAddr,
    /// The address of ours that he called.
    pub local: SocketAddr,
    /// Whether TLS is between us.
    pub tls: bool,
}

impl Default for Peer {
    fn default() -> Self {
        let here = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        Self { remote: here, local: here, tls: false }
    }
}

/// The bounds of all connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Open at once; others wait to be accepted.
    pub connections_max: u32,
    /// Time for a request's body, and for a visitor to take what he was sent; [`HEAD_TIME_MAX`] at most for a
    /// handshake, for a request's head, and between two requests.
    pub idle: Duration,
}

impl From<&ConsoleSettings> for Bounds {
    fn from(settings: &ConsoleSettings) -> Self {
        Self { connections_max: settings.connections_max, idle: Duration::from_secs(settings.idle_secs) }
    }
}

impl Bounds {
    fn head(self) -> Duration {
        self.idle.min(HEAD_TIME_MAX)
    }
}

/// Serves until `stop` is ready, then ends open connections gently, and after [`FAREWELL`] not.
pub async fn serve(
    router: Router,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    bounds: Bounds,
    stop: impl Future<Output = ()>,
) {
    let count =
        usize::try_from(bounds.connections_max).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS);
    let (places, shares) = (Arc::new(Semaphore::new(count)), Shares::of(count));
    let acceptor = tls.map(TlsAcceptor::from);
    let (end, ending) = watch::channel(false);
    let mut visits = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        // A place first: who finds none waits in the kernel's queue and costs us nothing.
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
            let (stream, remote) = listener.accept().await?;
            Ok::<_, io::Error>((place, stream, remote))
        };
        tokio::select! {
            () = &mut stop => break,
            Some(_) = visits.join_next(), if !visits.is_empty() => {}
            next = next => match next {
                Ok((place, stream, remote)) => {
                    // Who holds his share is sent away, so that there is room for others.
                    let Some(share) = shares.take(remote.ip()) else { continue };
                    let (router, acceptor, ending) = (router.clone(), acceptor.clone(), ending.clone());
                    visits.spawn(async move {
                        // Whoever breaks off or sends no HTTP has ended his visit, and nothing else.
                        let _ = visit(stream, remote, router, acceptor, bounds, ending).await;
                        drop((share, place));
                    });
                }
                Err(_) => sleep(PAUSE).await,
            },
        }
    }
    drop(listener);
    // There may be no visitor.
    let _ = end.send(true);
    let _ = timeout(FAREWELL, async { while visits.join_next().await.is_some() {} }).await;
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

async fn visit(
    stream: TcpStream,
    remote: SocketAddr,
    router: Router,
    acceptor: Option<TlsAcceptor>,
    bounds: Bounds,
    ending: watch::Receiver<bool>,
) -> Result<(), Fault> {
    stream.set_nodelay(true)?;
    let peer = Peer { remote, local: stream.local_addr()?, tls: acceptor.is_some() };
    let stream = Patient { stream, patience: bounds.idle, stalled: None };
    match acceptor {
        Some(_) if timeout(bounds.head(), is_plain(&stream.stream)).await?? => refuse_plain(stream).await,
        Some(acceptor) => {
            let stream = timeout(bounds.head(), acceptor.accept(stream)).await??;
            talk(stream, peer, router, bounds, ending).await
        }
        None => talk(stream, peer, router, bounds, ending).await,
    }
}

/// Whether a visitor speaks HTTP where TLS is spoken: that begins with a byte that is no letter.
async fn is_plain(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    let read = stream.peek(&mut first).await?;
    Ok(read > 0 && first.iter().all(u8::is_ascii_uppercase))
}

/// Says so, and hangs up.
async fn refuse_plain(mut stream: Patient) -> Result<(), Fault> {
    const WHY: &str = "This port speaks TLS: the address begins with https://.\n";
    let head = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close";
    let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{WHY}", WHY.len());
    // What he sent is read, else the system would reset the connection and he see nothing of the answer.
    let mut asked = vec![0; HEAD_BYTES_MAX];
    let _ = stream.read(&mut asked).await?;
    stream.write_all(answer.as_bytes()).await?;
    Ok(stream.shutdown().await?)
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: Peer,
    router: Router,
    bounds: Bounds,
    mut ending: watch::Receiver<bool>,
) -> Result<(), Fault> {
    let inner = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        inner.call(request.map(Body::new))
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(bounds.head())
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        done = connection.as_mut() => return Ok(done?),
        // A sender that is gone means the end, too.
        _ = ending.wait_for(|ending| *ending) => {}
    }
    connection.as_mut().graceful_shutdown();
    Ok(connection.await?)
}

/// A stream whose writes fail when nothing of them goes out for too long: who asks for much and reads nothing
/// does not keep his place.
#[derive(Debug)]
struct Patient {
    stream: TcpStream,
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn bounded<T>(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.stalled = None;
            return done;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        match stalled.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.bounded(cx, done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.bounded(cx, done)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
