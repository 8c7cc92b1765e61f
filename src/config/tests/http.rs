//! `[http]`: listeners and their TLS.

use super::*;

const ROOT: &str = "[[root]]\npath = \"scratch\"\n";

fn with(text: &str) -> Host {
    Host::with(&format!("[http]\n{text}\n{ROOT}"))
}

fn listen(host: &Host) -> Vec<String> {
    let listen = host.good().http.listen;
    listen.iter().map(ToString::to_string).collect()
}

#[test]
fn addresses_of_this_host_need_nothing_else() {
    let addresses = "[\"127.0.0.1:7343\", \"[::1]:7343\", \"127.8.9.10:0\", \"127.8.9.10:0\"]";
    assert_eq!(
        listen(&with(&format!("listen = {addresses}"))),
        ["127.0.0.1:7343", "127.8.9.10:0", "[::1]:7343"]
    );
    for one in [
        "7343",
        "localhost:7343",
        " 127.0.0.1:7343 ",
        "[::ffff:127.0.0.1]:7343",
    ] {
        assert_eq!(
            listen(&with(&format!("listen = \"{one}\""))),
            ["127.0.0.1:7343"],
            "{one}"
        );
    }
    assert!(listen(&Host::with(ROOT)).is_empty());
}

#[test]
fn the_command_line_goes_before_the_variable_and_this_before_the_file() {
    let mut host =
        with("listen = \"127.0.0.1:1\"").set("LAPSED_HTTP_LISTEN", "127.0.0.1:2, [::1]:2");
    assert_eq!(listen(&host), ["127.0.0.1:2", "[::1]:2"]);
    host.overrides.http = vec!["127.0.0.1:3".to_owned(), "[::1]:3".to_owned()];
    assert_eq!(listen(&host), ["127.0.0.1:3", "[::1]:3"]);
    host.overrides.http = vec!["nonsense".to_owned()];
    refused!(host, @r#"
    --http "nonsense" is not an IP address and a port
      examples: 127.0.0.1:7343, [::1]:7343
    "#);
}

#[test]
fn other_hosts_are_let_in_by_tls_or_a_word() {
    for address in [
        "0.0.0.0:7343",
        "[::]:7343",
        "192.0.2.1:7343",
        "[::ffff:192.0.2.1]:1",
    ] {
        let listen = format!("listen = [\"127.0.0.1:1\", \"{address}\"]");
        assert!(
            with(&listen)
                .refusal()
                .contains("can be reached from other hosts"),
            "{address}"
        );
        let plain = with(&format!("{listen}\nallow_plain = true")).good().http;
        assert!(plain.allow_plain && plain.tls.is_none() && plain.listen.len() == 2);
        let host = with(&format!(
            "{listen}\ntls = {{ cert = \"c.pem\", key = \"/k.pem\" }}"
        ));
        let files = TlsFiles {
            cert: host.path("data/c.pem"),
            key: "/k.pem".into(),
        };
        assert_eq!(host.good().http.tls, Some(files));
    }
    refused!(with("listen = \"0.0.0.0:7343\""), @r#"
    HOST/etc/lapsed.toml:2: [http]: listen = "0.0.0.0:7343" can be reached from other hosts, and has no TLS
      set [http] tls = { cert = "…", key = "…" }; or, behind a proxy or in a private network, allow_plain = true (LAPSED_HTTP_ALLOW_PLAIN=true)
    "#);
    let host = Host::with(ROOT).set("LAPSED_HTTP_LISTEN", "127.0.0.1:1,[::]:7343");
    refused!(host, @r#"
    LAPSED_HTTP_LISTEN = "127.0.0.1:1,[::]:7343" can be reached from other hosts, and has no TLS
      set [http] tls = { cert = "…", key = "…" }; or, behind a proxy or in a private network, allow_plain = true (LAPSED_HTTP_ALLOW_PLAIN=true)
    "#);
    let host = host
        .set("LAPSED_HTTP_TLS_CERT", "c")
        .set("LAPSED_HTTP_TLS_KEY", "k");
    assert!(host.good().http.tls.is_some());
}

#[test]
fn what_is_no_address() {
    refused!(with("listen = [\"127.0.0.1\", \"::1\", \"[::1]\", \":7343\", \"*:7343\", \"db.example.org:80\", \"127.0.0.1:65536\", \"::1:7343\", \"\", \"x\", \"0x7f.1:80\"]"), @r#"
    HOST/etc/lapsed.toml:2: [http]: listen = "" is not an IP address and a port
      examples: 127.0.0.1:7343, [::1]:7343
    HOST/etc/lapsed.toml:2: [http]: listen = "*:7343" does not say on which addresses
      127.0.0.1:7343 is for this host alone, 0.0.0.0:7343 and [::]:7343 for every host
    HOST/etc/lapsed.toml:2: [http]: listen = "0x7f.1:80" has a host name, and names are not looked up
      write an IP address; examples: 127.0.0.1:7343, [::1]:7343
    HOST/etc/lapsed.toml:2: [http]: listen = "127.0.0.1" has no port
      write 127.0.0.1:7343
    HOST/etc/lapsed.toml:2: [http]: listen = "127.0.0.1:65536" is not an IP address and a port
      examples: 127.0.0.1:7343, [::1]:7343
    HOST/etc/lapsed.toml:2: [http]: listen = ":7343" does not say on which addresses
      127.0.0.1:7343 is for this host alone, 0.0.0.0:7343 and [::]:7343 for every host
    HOST/etc/lapsed.toml:2: [http]: listen = "::1" has no port
      write [::1]:7343
    HOST/etc/lapsed.toml:2: [http]: listen = "::1:7343" has no port
      write [::1:7343]:7343
    HOST/etc/lapsed.toml:2: [http]: listen = "[::1]" has no port
      write [::1]:7343
    HOST/etc/lapsed.toml:2: [http]: listen = "db.example.org:80" has a host name, and names are not looked up
      write an IP address; examples: 127.0.0.1:7343, [::1]:7343
    HOST/etc/lapsed.toml:2: [http]: listen = "x" is not an IP address and a port
      examples: 127.0.0.1:7343, [::1]:7343
    "#);
    refused!(with("listen = 7343"), @r#"
    HOST/etc/lapsed.toml:2: [http]: listen = 7343 is a number, but must be a string or a list of strings
      such as listen = "127.0.0.1:7343"
    "#);
    refused!(with("listen = [\"127.0.0.1:80\", \"localhost:80\"]"), @r#"HOST/etc/lapsed.toml:2: [http]: listen = "localhost:80" is given twice"#);
    let many: Vec<_> = (1..18).map(|port| format!("\"{port}\"")).collect();
    refused!(with(&format!("listen = [{}]", many.join(", "))), @r#"HOST/etc/lapsed.toml:2: [http]: listen = "1" is one of 17 addresses, but the limit is 16"#);
}

#[test]
fn half_of_tls() {
    refused!(with("tls = { cert = \"c.pem\" }"), @r#"
    HOST/etc/lapsed.toml:2: [http.tls]: cert = "c.pem" needs key beside it
      TLS takes a certificate and its private key
    "#);
    refused!(with("tls.key = \"k.pem\""), @r#"
    HOST/etc/lapsed.toml:2: [http.tls]: key = "k.pem" needs cert beside it
      TLS takes a certificate and its private key
    "#);
    refused!(with("tls = \"k.pem\""), @r#"
    HOST/etc/lapsed.toml:2: tls = "k.pem" is not a table
      write [http.tls], and its keys on the lines below it
    "#);
    refused!(with("[http.tls]\ncert = \"c\"\nkey = \"\"\nkye = \"k\""), @r#"
    HOST/etc/lapsed.toml:4: [http.tls]: key = "" is empty, but must be a path
    HOST/etc/lapsed.toml:5: [http.tls]: unknown key "kye"
      allowed: cert, key; did you mean "key"?
    "#);
    refused!(Host::with(ROOT).set("LAPSED_HTTP_TLS_KEY", "k"), @r#"
    LAPSED_HTTP_TLS_KEY = "k" needs cert beside it
      TLS takes a certificate and its private key
    "#);
}
