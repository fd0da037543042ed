//! Who may come in: the console's guard and server, asked over loopback by a visitor who keeps no rules.

// Tests meet processes, sockets and clocks.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod house;

use house::{Answer, BIG_BYTES, House, PASSWORD, PATIENCE, filled};
use roridula_desk::console::guard::{Guard, add_token, remove_token, set_password};
use roridula_desk::console::{ConsoleSettings, Tls};
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::Arc;

/// Every answer has these, whatever it is.
fn is_guarded(answer: &Answer) {
    let policy = answer.header("content-security-policy");
    for part in ["default-src 'none'", "script-src 'self'", "form-action 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{}", answer.head);
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-embedder-policy", "require-corp"),
    ] {
        assert_eq!(answer.headers(name), [value], "{}", answer.head);
    }
    assert!(answer.header("permissions-policy").contains("camera=()"));
    assert_eq!(answer.headers("cache-control").len(), 1, "{}", answer.head);
}

#[test]
fn it_does_not_open_to_others_without_a_password_and_says_how_to_set_one() {
    let dir = tempfile::tempdir().unwrap();
    let open = |listen: &str, hosts: &[&str]| {
        let hosts = hosts.iter().map(|&host| host.to_owned()).collect();
        let settings =
            ConsoleSettings { listen: listen.parse().unwrap(), hosts, ..ConsoleSettings::default() };
        Guard::open(&settings, dir.path()).map(|guard| guard.asks()).map_err(|error| error.to_string())
    };
    for (listen, hosts) in [("0.0.0.0:8445", &[][..]), ("[::]:8445", &[]), ("127.0.0.1:8445", &["a.example"])]
    {
        let error = open(listen, hosts).unwrap_err();
        for way in ["roridula console password", "roridula console token", "ssh -L"] {
            assert!(error.contains(way), "{error}");
        }
    }
    assert_eq!(open("127.0.0.1:8445", &[]), Ok(false));
    add_token(dir.path(), "x").unwrap();
    assert_eq!(open("0.0.0.0:8445", &[]), Ok(true));
    remove_token(dir.path(), "x").unwrap();
    set_password(dir.path(), PASSWORD).unwrap();
    assert_eq!(open("0.0.0.0:8445", &[]), Ok(true));
    assert_eq!(open("127.0.0.1:8445", &[]), Ok(true), "who sets a password is asked for it");
}

#[test]
fn a_foreign_name_is_answered_with_nothing() {
    let house = House::open(false, |_| {});
    assert_eq!(house.get("/", &[]).status, 200);
    let named =
        |host: &str| house.raw(&format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
    for host in [
        "evil.example",
        "127.0.0.1.evil.example:8445",
        "127.0.0.1:8951.evil",
        "127.0.0.1:99999",
        "[::1]evil.com",
        "localhost:evil",
        "localhost@evil.example",
        "a\"><script>",
    ] {
        let answer = named(host);
        assert!(matches!(answer.status, 400 | 421), "{host}: {}", answer.head);
        assert!(!answer.text.contains("evil") && !answer.text.contains("script>"), "{}", answer.text);
        if answer.status == 421 {
            is_guarded(&answer);
        }
    }
    assert_eq!(named("localhost").status, 200);
    let rest = "Connection: close\r\n\r\n";
    for request in [
        format!("GET / HTTP/1.1\r\n{rest}"),
        format!("GET / HTTP/1.0\r\n{rest}"),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n{rest}"),
        format!("GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n{rest}"),
        format!("GET / HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: localhost\r\n{rest}"),
    ] {
        assert!(matches!(house.raw(&request).status, 400 | 421), "{request}");
    }
    let named = House::open(true, |settings| settings.hosts = vec!["console.example.org".to_owned()]);
    let answer = named.raw("GET /login HTTP/1.1\r\nHost: console.example.org\r\nConnection: close\r\n\r\n");
    assert_eq!(answer.status, 200);
}

#[test]
fn every_answer_says_what_a_browser_may_do_with_it() {
    let house = House::open(true, |_| {});
    let session = house.log_in();
    let long = "x".repeat(70_000);
    let answers = [
        (200, house.get("/", &[&session])),
        (200, house.get("/login", &[])),
        (200, house.get("/assets/console.css", &[])),
        (303, house.get("/", &[])),
        (401, house.get("/api/v1/seen", &[])),
        (404, house.get("/nothing", &[&session])),
        (
            405,
            house.raw(&format!(
                "OPTIONS / HTTP/1.1\r\nHost: {{host}}\r\n{session}\r\nConnection: close\r\n\r\n"
            )),
        ),
        (403, house.post("/change", &[&session], "a=b")),
        (413, house.post("/change", &[&session], &long)),
        (421, house.raw("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")),
    ];
    for (status, answer) in &answers {
        assert_eq!(answer.status, *status, "{}", answer.text);
        is_guarded(answer);
        assert_eq!(answer.headers("strict-transport-security").len(), 0, "without TLS it means nothing");
    }
    assert_eq!(answers[0].1.header("cache-control"), "no-store");
    assert_eq!(answers[2].1.header("cache-control"), "public, max-age=9");
    assert!(answers[2].1.headers("set-cookie").is_empty(), "what is kept for everybody is nobody's");
    assert!(answers[1].1.text.contains("rel=\"icon\""), "a browser asks for /favicon.ico else");
}

#[test]
fn a_page_says_by_which_methods_it_may_be_asked_and_nobody_waits_for_what_is_too_much() {
    let house = House::open(true, |_| {});
    let session = house.log_in();
    let ask = |method: &str, path: &str, headers: &str| {
        house
            .raw(&format!("{method} {path} HTTP/1.1\r\nHost: {{host}}\r\n{headers}Connection: close\r\n\r\n"))
    };
    for (method, path, status, allow) in [
        ("POST", "/", 405, "GET,HEAD"),
        ("DELETE", "/change", 405, "POST"),
        ("PUT", "/login", 405, "GET,HEAD,POST"),
        ("POST", "/nothing", 404, ""),
        ("POST", "/change", 403, ""),
    ] {
        let answer = ask(method, path, &format!("{session}\r\n"));
        assert_eq!(
            (answer.status, answer.headers("allow").concat().as_str()),
            (status, allow),
            "{method} {path}"
        );
        is_guarded(&answer);
    }
    assert_eq!(ask("POST", "/", "").status, 303, "who is not known is asked to log in");
    // None of it ever comes.
    let huge = ask("POST", "/change", &format!("{session}\r\nContent-Length: 99999999999\r\n"));
    assert_eq!(huge.status, 413, "{}", huge.text);
}

#[test]
fn nobody_comes_in_without_the_password_and_is_led_where_he_wanted_after() {
    let house = House::open(true, |_| {});
    let asked = house.get("/samples?range=24h&family=a%26b", &[]);
    assert_eq!((asked.status, asked.body.as_str()), (303, ""));
    assert_eq!(asked.header("location"), "/login?next=/samples%3Frange%3D24h%26family%3Da%2526b");
    let page = house.get(asked.header("location"), &[]);
    assert!(page.body.contains("value=\"/samples?range=24h&amp;family=a%26b\""), "{}", page.body);
    assert!(!page.body.contains("<script"), "it works without");
    let (cookie, token) = (format!("Cookie: {}", page.cookie()), page.token());
    for wrong in ["", "wrong", "correct horse battery stapl", &"x".repeat(5000)] {
        let answer = house.post("/login", &[&cookie], &filled(wrong, &token, "/"));
        assert_eq!(answer.status, 403, "{wrong}");
        assert!(
            answer.body.contains("neither the password nor a token")
                && answer.headers("set-cookie").is_empty()
        );
    }
    let next = "/samples?range=24h%26family=a%2526b";
    let answer = house.post("/login", &[&cookie], &filled(PASSWORD, &token, next));
    assert_eq!((answer.status, answer.header("location")), (303, "/samples?range=24h&family=a%26b"));
    let session = format!("Cookie: {}", answer.cookie());
    assert!(house.get("/", &[&session]).body.starts_with("Person "));
    assert_eq!(house.get("/login?next=/samples", &[&session]).header("location"), "/samples");
    // A program is told in its own way.
    let program = house.get("/api/v1/seen", &[]);
    assert_eq!((program.status, program.header("www-authenticate")), (401, "Bearer realm=\"roridula\""));
    assert!(program.body.starts_with("{\"error\":\"") && program.headers("set-cookie").is_empty());
}

#[test]
fn cookies_are_for_this_console_alone_and_scripts_do_not_see_them() {
    let house = House::open(true, |_| {});
    let port = house.address.port();
    let form = house.get("/login", &[]);
    let flags = form.header("set-cookie");
    assert!(flags.starts_with(&format!("roridula-form-{port}=")), "{flags}");
    assert!(
        flags.contains("; Path=/; HttpOnly; SameSite=Lax; Max-Age=") && !flags.contains("Secure"),
        "{flags}"
    );
    let (cookie, token) = (format!("Cookie: {}", form.cookie()), form.token());
    let answer = house.post("/login", &[&cookie], &filled(PASSWORD, &token, "/"));
    let flags = answer.header("set-cookie");
    assert!(flags.starts_with(&format!("roridula-session-{port}=")), "{flags}");
    assert!(flags.contains("; Path=/; HttpOnly; SameSite=Strict; Max-Age=604800"), "{flags}");
    assert_eq!(answer.cookie().split('=').nth(1).unwrap().len(), 64, "256 bit");
    // The form's cookie stays where it is there.
    assert!(house.get("/login", &[&cookie]).headers("set-cookie").is_empty());
}

#[test]
fn a_planted_session_stays_worth_nothing() {
    let house = House::open(true, |_| {});
    let planted = format!("roridula-session-{}={}", house.address.port(), "ab".repeat(32));
    let line = format!("Cookie: {planted}");
    assert_eq!(house.get("/", &[&line]).status, 303);
    let page = house.get("/login", &[&line]);
    let both = format!("Cookie: {planted}; {}", page.cookie());
    let answer = house.post("/login", &[&both], &filled(PASSWORD, &page.token(), "/"));
    assert_eq!(answer.status, 303);
    assert!(!answer.cookie().contains(&"ab".repeat(32)), "a new one");
    assert_eq!(house.get("/", &[&line]).status, 303, "the planted one is none");
    // An old session ends when its browser logs in again.
    let old = format!("Cookie: {}", answer.cookie());
    let page = house.get("/", &[&old]);
    let token = page.body.split(' ').nth(1).unwrap().to_owned();
    let new = house.post("/login", &[&old], &filled(PASSWORD, &token, "/"));
    assert_eq!(new.status, 303);
    assert_eq!(house.get("/", &[&old]).status, 303);
    assert_eq!(house.get("/", &[&format!("Cookie: {}", new.cookie())]).status, 200);
}

#[test]
fn log_out_and_a_new_password_end_sessions() {
    let house = House::open(true, |_| {});
    let (one, two) = (house.log_in(), house.log_in());
    let page = house.get("/logout", &[&one]);
    assert_eq!(page.status, 200);
    assert_eq!(house.get("/", &[&one]).status, 200, "looking at it ends nothing");
    assert_eq!(house.post("/logout", &[&one], "csrf=0").status, 403);
    let answer = house.post("/logout", &[&one], &format!("csrf={}", page.token()));
    assert_eq!((answer.status, answer.header("location")), (303, "/login"));
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    assert_eq!((house.get("/", &[&one]).status, house.get("/", &[&two]).status), (303, 200));
    set_password(house.data(), "another one that is long enough").unwrap();
    assert_eq!(house.get("/", &[&two]).status, 303);
    let (cookie, token) = house.form();
    assert_eq!(house.post("/login", &[&cookie], &filled(PASSWORD, &token, "/")).status, 403);
}

#[test]
fn a_feed_ends_with_the_right_to_read_it() {
    let house = House::open(true, |_| {});
    let token = add_token(house.data(), "grafana").unwrap();
    let program = format!("Authorization: Bearer {token}");
    let (one, two) = (house.log_in(), house.log_in());
    let mut feeds = [&one, &two, &program].map(|right| {
        let mut stream = house.connect();
        write!(
            stream,
            "GET /feed HTTP/1.1\r\nHost: {}\r\n{right}\r\nConnection: close\r\n\r\n",
            house.address
        )
        .unwrap();
        let mut feed = BufReader::new(stream);
        assert_ne!(next_tick(&mut feed), 0, "it is read");
        feed
    });
    let page = house.get("/logout", &[&one]);
    assert_eq!(house.post("/logout", &[&one], &format!("csrf={}", page.token())).status, 303);
    while next_tick(&mut feeds[0]) > 0 {}
    assert!(next_tick(&mut feeds[1]) > 0 && next_tick(&mut feeds[2]) > 0, "others read on");
    assert!(remove_token(house.data(), "grafana").unwrap());
    while next_tick(&mut feeds[2]) > 0 {}
    while next_tick(&mut feeds[1]) > 0 {}
}

/// Bytes up to the next event; 0 at the end.
fn next_tick(feed: &mut impl BufRead) -> usize {
    let mut bytes = Vec::new();
    loop {
        match feed.read_until(b'\n', &mut bytes).unwrap() {
            0 => return 0,
            _ if bytes.ends_with(b"data: tick\n") => return bytes.len(),
            _ => {}
        }
    }
}

#[test]
fn programs_come_in_by_token() {
    let house = House::open(true, |_| {});
    let token = add_token(house.data(), "grafana").unwrap();
    let line = format!("Authorization: Bearer {token}");
    let answer = house.get("/api/v1/seen", &[&line]);
    assert!(answer.status == 200 && answer.body.starts_with("Program "), "{}", answer.text);
    assert!(answer.headers("set-cookie").is_empty());
    assert_eq!(house.post("/change", &[&line], "x").body, "changed x", "no page can send this header unseen");
    let wrong = [
        format!("Bearer {token}0"),
        "Bearer".to_owned(),
        format!("Basic {token}"),
        "Bearer \u{1}".to_owned(),
    ];
    for wrong in wrong {
        let status = house.get("/api/v1/seen", &[&format!("Authorization: {wrong}")]).status;
        assert!(matches!(status, 400 | 401), "{wrong}: {status}");
    }
    // A person may type it into the form.
    let (cookie, csrf) = house.form();
    assert_eq!(house.post("/login", &[&cookie], &filled(&token, &csrf, "/")).status, 303);
    remove_token(house.data(), "grafana").unwrap();
    assert_eq!(house.get("/api/v1/seen", &[&line]).status, 401);
}

#[test]
fn nothing_changes_without_a_token_of_the_form() {
    for locked in [false, true] {
        let house = House::open(locked, |_| {});
        let (cookie, token) = if locked {
            let session = house.log_in();
            let token = house.get("/", &[&session]).body.split(' ').nth(1).unwrap().to_owned();
            (session, token)
        } else {
            let page = house.get("/", &[]);
            (format!("Cookie: {}", page.cookie()), page.body.split(' ').nth(1).unwrap().to_owned())
        };
        let right = format!("a=b&csrf={token}");
        assert_eq!(house.post("/change", &[&cookie], &right).body, format!("changed {right}"));
        let in_header = format!("X-CSRF-Token: {token}");
        assert_eq!(house.post("/change", &[&cookie, &in_header], "").status, 200);
        // Another browser's token, from its own visit.
        let other = match locked {
            true => house.get("/", &[&house.log_in()]).body.split(' ').nth(1).unwrap().to_owned(),
            false => house.get("/", &[]).body.split(' ').nth(1).unwrap().to_owned(),
        };
        for wrong in ["a=b", "csrf=", "csrf=0", &format!("csrf={other}"), &format!("csrf={}", "0".repeat(64))]
        {
            let answer = house.post("/change", &[&cookie], wrong);
            assert_eq!(answer.status, 403, "{wrong}");
            assert!(!answer.body.contains("changed"));
        }
        assert_eq!(house.post("/change", &[&cookie, "X-CSRF-Token: 0"], &right).status, 403);
        let kind =
            format!("POST /change HTTP/1.1\r\nHost: {{host}}\r\n{cookie}\r\nContent-Type: text/plain\r\n");
        let plain = format!("{kind}Content-Length: {}\r\nConnection: close\r\n\r\n{right}", right.len());
        assert_eq!(house.raw(&plain).status, 403, "no form, no header");
        if !locked {
            assert_eq!(house.post("/change", &[], &right).status, 403, "without the browser's cookie");
        }
        // Everything right, but sent by another site's page.
        for from in ["Origin: http://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site"] {
            assert_eq!(house.post("/change", &[&cookie, from], &right).status, 403, "{from}");
        }
        let own = format!("Origin: http://{}", house.address);
        assert_eq!(
            house.post("/change", &[&cookie, &own, "Sec-Fetch-Site: same-origin"], &right).status,
            200
        );
    }
}

#[test]
fn another_sites_page_may_lead_here_but_take_nothing() {
    let house = House::open(false, |_| {});
    let site = "Sec-Fetch-Site: cross-site";
    assert_eq!(house.get("/", &[site, "Sec-Fetch-Mode: navigate"]).status, 200);
    for mode in ["no-cors", "cors", "websocket"] {
        let answer = house.get("/api/v1/seen", &[site, &format!("Sec-Fetch-Mode: {mode}")]);
        assert_eq!(answer.status, 403, "{mode}");
        assert!(answer.headers("access-control-allow-origin").is_empty());
    }
    // The browser holds the session's cookie back then; from a page of ours it brings it along.
    let house = House::open(true, |_| {});
    let led = house.get("/samples?a=b", &[site, "Sec-Fetch-Mode: navigate"]);
    assert_eq!(led.status, 200);
    assert!(
        led.body.contains("http-equiv=\"refresh\" content=\"0;url=/login?next=/samples%3Fa%3Db\""),
        "{}",
        led.body
    );
}

#[test]
fn what_comes_through_a_proxy_is_not_this_machines() {
    let house = House::open(false, |_| {});
    for line in [
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-Proto: https",
        "Forwarded: for=192.0.2.1",
        "Via: 1.1 proxy",
        "X-Real-IP: 192.0.2.1",
        "CF-Connecting-IP: 192.0.2.1",
        "True-Client-IP: 192.0.2.1",
        "X-Client-IP: 192.0.2.1",
        "X-Original-Host: console.example.org",
    ] {
        let answer = house.get("/", &[line]);
        assert_eq!(answer.status, 403, "{line}");
        assert!(answer.body.contains("roridula console password"));
    }
    let house = House::open(true, |_| {});
    assert_eq!(house.get("/", &["X-Forwarded-For: 192.0.2.1", &house.log_in()]).status, 200);
}

#[test]
fn no_path_leads_elsewhere_and_none_writes_a_header() {
    let house = House::open(true, |_| {});
    for path in [
        "//evil.example/a",
        "/\\evil.example",
        "/%2f%2fevil.example",
        "/a%0d%0aSet-Cookie:%20x=y",
        "/..//evil.example",
    ] {
        let asked = house.get(path, &[]);
        assert_eq!(asked.status, 303, "{path}");
        assert!(asked.header("location").starts_with("/login?next=/"), "{}", asked.head);
        assert_eq!(asked.headers("set-cookie").len(), 0, "{}", asked.head);
    }
    let (cookie, token) = house.form();
    for next in [
        "//evil.example",
        "%2F%2Fevil.example",
        "/%5Cevil.example",
        "https://evil.example",
        "%09//evil.example",
        "/a%0D%0ASet-Cookie:%20x=y",
        "javascript:alert(1)",
        "/%E2%80%AE",
        "/login",
        "",
    ] {
        let answer = house.post("/login", &[&cookie], &filled(PASSWORD, &token, next));
        assert_eq!((answer.status, answer.header("location")), (303, "/"), "{next}: {}", answer.head);
        assert_eq!(answer.headers("set-cookie").len(), 1, "{next}: {}", answer.head);
        let page = house.get(&format!("/login?next={next}"), &[&cookie]);
        assert!(page.body.contains("name=\"next\" value=\"/\""), "{next}: {}", page.body);
    }
    let script = house.get("/login?next=/%22%3E%3Cscript%3E", &[]);
    assert!(
        script.body.contains("&quot;&gt;&lt;script&gt;") && !script.body.contains("<script"),
        "{}",
        script.body
    );
    assert_eq!(house.get("/login?next=/a&next=/b", &[]).status, 200);
}

#[test]
fn ten_thousand_wrong_passwords_are_few_tries() {
    let house = House::open(true, |settings| settings.logins_per_minute = 5);
    let (cookie, token) = house.form();
    let body = filled("wrong", &token, "/");
    let request = format!(
        "POST /login HTTP/1.1\r\nHost: {}\r\n{cookie}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{body}",
        house.address,
        body.len()
    );
    let begun = std::time::Instant::now();
    let mut stream = house.connect();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut tried, mut late) = (0, 0);
    for _ in 0..10_000 {
        stream.write_all(request.as_bytes()).unwrap();
        match answer_of(&mut reader) {
            403 => tried += 1,
            429 => late += 1,
            status => panic!("{status}"),
        }
    }
    let minutes = begun.elapsed().as_secs() / 60 + 2;
    assert!(tried >= 5 && tried <= 5 * minutes && tried + late == 10_000, "{tried} tried, {late} too many");
    // Not even the right one, until the minute is over; whoever is in stays in.
    let answer = house.post("/login", &[&cookie], &filled(PASSWORD, &token, "/"));
    if answer.status != 303 {
        assert_eq!(answer.status, 429);
        assert!((1..=61).contains(&answer.header("retry-after").parse::<u32>().unwrap()), "{}", answer.head);
    }
}

/// Reads one answer of a connection that goes on; its status.
fn answer_of(reader: &mut impl BufRead) -> u16 {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "it ended in the middle: {head}");
    }
    let answer = Answer::of(&head);
    let length = answer.header("content-length").parse().unwrap();
    std::io::copy(&mut reader.take(length), &mut std::io::sink()).unwrap();
    answer.status
}

#[test]
fn heads_and_bodies_have_bounds() {
    let house = House::open(false, |settings| settings.request_bytes_max = 4096);
    let long = format!("X: {}", "a".repeat(100_000));
    assert!(matches!(house.get("/", &[&long]).status, 0 | 431));
    let many: Vec<String> = (0..500).map(|n| format!("X-{n}: a")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(matches!(house.get("/", &many).status, 0 | 431));
    assert!(matches!(house.get(&format!("/{}", "a".repeat(100_000)), &[]).status, 0 | 414 | 431));
    assert_eq!(house.post("/change", &[], &"a".repeat(5000)).status, 413);
    // As large as it likes, if one believes it; and in pieces that do not say how many there will be.
    let claimed =
        "POST /change HTTP/1.1\r\nHost: {host}\r\nContent-Length: 99999999999\r\nConnection: close\r\n\r\n";
    assert_eq!(house.raw(&format!("{claimed}{}", "a".repeat(5000))).status, 413);
    let pieces =
        "POST /change HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    assert_eq!(house.raw(&format!("{pieces}2000\r\n{}", "a".repeat(8192))).status, 413);
    assert_eq!(house.raw("\u{16}\u{3}\u{1}no HTTP at all\r\n\r\n").status, 400);
    assert_eq!(house.get("/", &[]).status, 200);
}

#[test]
fn who_is_slow_does_not_keep_his_place() {
    let house = House::open(false, |settings| (settings.connections_max, settings.idle_secs) = (4, 1));
    // Nothing at all, half a head, half a body, an answer and no further question: all places are taken.
    let change = "POST /change HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\na";
    let begun = [
        "",
        "GET / HTTP/1.1\r\nHost: local",
        change,
        "GET /assets/console.css HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ];
    let mut slow: Vec<_> = begun.iter().map(|_| house.connect()).collect();
    for (stream, begun) in slow.iter_mut().zip(begun) {
        stream.write_all(begun.as_bytes()).unwrap();
    }
    assert_eq!(house.get("/", &[]).status, 200, "a place became free");
    for (stream, status) in slow.iter_mut().zip([&[][..], &[0, 408], &[408], &[200]]) {
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        let answer = Answer::of(&rest);
        assert!(rest.is_empty() || status.contains(&answer.status), "{status:?}: {rest}");
    }
}

#[test]
fn one_address_keeps_nobody_else_out() {
    let house = House::open(false, |settings| settings.connections_max = 16);
    let mut held: Vec<_> = (0..16).map(|_| house.connect()).collect();
    // More than its share is sent away at once; what is left is free for another address.
    let ended = |stream: &mut std::net::TcpStream| matches!(stream.read(&mut [0]), Ok(0));
    assert!(held.split_off(8).iter_mut().all(ended));
    let mut other = from_another_address(house.address);
    other.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    other.read_to_string(&mut answer).unwrap();
    assert_eq!(Answer::of(&answer).status, 200);
}

fn from_another_address(to: std::net::SocketAddr) -> std::net::TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        socket.connect(to).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream
}

#[test]
fn who_takes_nothing_does_not_keep_his_place() {
    let house = House::open(false, |settings| (settings.connections_max, settings.idle_secs) = (4, 1));
    let readers = (0..4).map(|_| house.connect());
    let mut readers: Vec<_> = readers.collect();
    for reader in &mut readers {
        reader.write_all(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    }
    assert_eq!(house.get("/", &[]).status, 200, "a place became free");
    // At least that one was cut off where the kernel's buffers were full.
    let mut sizes = readers.iter_mut().map(|reader| {
        let mut taken = Vec::new();
        let _ = reader.read_to_end(&mut taken);
        taken.len()
    });
    assert!(sizes.any(|size| size < BIG_BYTES));
}

#[test]
fn it_ends_whoever_waits() {
    let house = House::open(false, |_| {});
    let mut stream = house.connect();
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut idle = house.connect();
    assert_eq!(house.get("/", &[]).status, 200);
    let address = house.address;
    house.close();
    for stream in [&mut stream, &mut idle] {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    }
    assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens");
}

#[test]
fn over_tls_with_a_certificate_of_its_own() {
    let house = House::open(true, |settings| settings.tls = Tls::SelfMade);
    let pem = std::fs::read(house.data().join("console/certificate.pem")).unwrap();
    let root = ureq::tls::Certificate::from_pem(&pem).unwrap();
    let tls = ureq::tls::TlsConfig::builder()
        .root_certs(ureq::tls::RootCerts::Specific(Arc::new(vec![root])))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    let config = ureq::Agent::config_builder().tls_config(tls).http_status_as_error(false).max_redirects(0);
    let agent: ureq::Agent = config.timeout_global(Some(PATIENCE)).build().into();
    let page = agent.get(format!("https://{}/login", house.address)).call().unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.headers()["strict-transport-security"].to_str().unwrap().starts_with("max-age="));
    let flags = page.headers()["set-cookie"].to_str().unwrap();
    assert!(flags.starts_with("__Host-roridula-form-") && flags.ends_with("; Secure"), "{flags}");
    assert_eq!(house.fingerprint.as_ref().unwrap().len(), 95);
    // Who speaks no TLS is told to; who begins to and stops gets nothing. Neither stops anybody.
    let plain = house.get("/", &[]);
    assert!(plain.status == 400 && plain.text.contains("https://"), "{}", plain.text);
    let mut half = house.connect();
    half.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
    assert_eq!(agent.get(format!("https://{}/login", house.address)).call().unwrap().status(), 200);
}
