//! The browser of the console's tests, driven against a page of our own on loopback: what it must notice, it notices.

use roridula_lab::browser::{Browser, Complaint, Look};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; form-action 'self'";

/// Serves a few pages until the process ends.
fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    let mut line = String::new();
    let _ = reader.read_line(&mut first);
    while matches!(reader.read_line(&mut line), Ok(3..)) {
        line.clear();
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    let (status, kind, more, body) = match path {
        "/" => ("200 OK", "text/html", "", include_str!("browser_pages/index.html")),
        "/page.js" => ("200 OK", "text/javascript", "", include_str!("browser_pages/page.js")),
        "/next?name=Wendel%3Cb%3E" => ("200 OK", "text/html", "", "<title>next</title><p id=there>there</p>"),
        "/bad" => ("200 OK", "text/html", "", include_str!("browser_pages/bad.html")),
        "/bad.js" => ("200 OK", "text/javascript", "", include_str!("browser_pages/bad.js")),
        "/file" => {
            ("200 OK", "application/zip", "Content-Disposition: attachment; filename=\"a.zip\"\r\n", "inert")
        }
        "/favicon.ico" => ("204 No Content", "text/plain", "", ""),
        _ => ("404 Not Found", "text/plain", "", "nothing here"),
    };
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Security-Policy: {POLICY}\r\n{more}\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
}

#[test]
fn a_good_page_is_read_clicked_typed_into_and_pictured() {
    let origin = format!("http://{}", serve());
    let browser = Browser::start().unwrap();
    let page = browser.page().unwrap();
    page.goto(&format!("{origin}/")).unwrap();
    assert_eq!(page.text("h1").unwrap(), "Sundew");
    assert_eq!(page.eval("6 * 7").unwrap(), 42);
    assert!(page.eval("nothing.at.all").is_err());
    // The button's answer comes a while after the click, by a script.
    page.click("#ask").unwrap();
    page.wait_for("document.querySelector('#told').textContent === 'told'").unwrap();
    let (name, path) = page.download("#file").unwrap();
    assert_eq!((name.as_str(), std::fs::read(path).unwrap().as_slice()), ("a.zip", b"inert".as_slice()));
    page.fill("#name", "Wendel<b>").unwrap();
    page.press_and_follow("Enter").unwrap();
    assert_eq!(page.text("#there").unwrap(), "there");
    page.goto(&format!("{origin}/")).unwrap();
    page.follow("#next").unwrap();
    assert!(page.url().unwrap().ends_with("Wendel%3Cb%3E"));
    let folder = tempfile::tempdir().unwrap();
    let (light, phone) = (folder.path().join("light.png"), folder.path().join("phone.png"));
    page.goto(&format!("{origin}/")).unwrap();
    page.screenshot(&light).unwrap();
    page.look(Look::PHONE.dark()).unwrap();
    assert_eq!(
        page.eval("[innerWidth, matchMedia('(prefers-color-scheme: dark)').matches]").unwrap()[1],
        true
    );
    page.screenshot(&phone).unwrap();
    let width = |file| u32::from_be_bytes(std::fs::read(file).unwrap()[16..20].try_into().unwrap());
    assert_eq!((width(&light), width(&phone)), (Look::SCREEN.width, Look::PHONE.width));
    assert_eq!(page.complaints(), []);
    assert_eq!(page.requests_off(&origin), [""; 0]);
    assert!(page.requests().contains(&format!("{origin}/page.js")));
}

#[test]
fn a_bad_page_is_caught_at_everything_it_does() {
    let origin = format!("http://{}", serve());
    let browser = Browser::start().unwrap();
    let page = browser.page().unwrap();
    page.goto(&format!("{origin}/bad")).unwrap();
    page.wait_for("document.querySelector('#done')").unwrap();
    let complaints = page.complaints();
    let has = |fits: &dyn Fn(&Complaint) -> bool| assert!(complaints.iter().any(fits), "{complaints:#?}");
    has(&|complaint| *complaint == Complaint::Console("something 7".into()));
    has(&|complaint| matches!(complaint, Complaint::Exception(text) if text.contains("nobody catches")));
    has(
        &|complaint| matches!(complaint, Complaint::Policy(text) if text.starts_with("script-src-elem blocks inline")),
    );
    has(&|complaint| matches!(complaint, Complaint::Policy(text) if text.starts_with("img-src blocks")));
    has(&|complaint| *complaint == Complaint::Dialog("ran".into()));
    has(&|complaint| matches!(complaint, Complaint::Console(text) if text.contains("404")));
    assert!(page.requests_off(&origin).iter().all(|url| !url.starts_with(&origin)));
    assert_eq!(page.take_complaints(), complaints);
    assert_eq!(page.complaints(), []);
    // What is on no page of ours is told, too: it is asked for and goes nowhere.
    page.without_script(true).unwrap();
    page.goto(&format!("{origin}/bad")).unwrap();
    let html = page.html().unwrap();
    assert!(html.contains("Butterwort") && !html.contains("id=\"done\""), "{html}");
}
