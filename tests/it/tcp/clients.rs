//! Clients that people use, with a token, over TLS; nginx in front; another host.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Output};

use super::tls::write_pair;
use super::{exchange, serve, serve_tls};
use crate::common::{Daemon, Place, wait_for};

/// Asks for the health of the daemon at `$1` with the token `$2`, trusting the certificate `$3`, and prints the status code and
/// the answer.
const CLIENTS: [(&str, &[&str], &str); 4] = [
    (
        "curl",
        &["sh", "-c"],
        r#"curl -sS -w '%{http_code}\n' --cacert "$3" -H "Authorization: Bearer $2" "$1/v1/health""#,
    ),
    (
        "http.client of Python",
        &["/usr/bin/python3", "-c"],
        r#"
import http.client, ssl, sys, urllib.parse
url, token, cert = sys.argv[2:5]
context = ssl.create_default_context(cafile=cert)
client = http.client.HTTPSConnection(urllib.parse.urlsplit(url).netloc, context=context)
for _ in range(2):
    client.request("GET", "/v1/health", headers={"Authorization": "Bearer " + token})
    answer = client.getresponse()
    print(answer.read().decode(), answer.status)
"#,
    ),
    (
        "requests of Python",
        &["/usr/bin/python3", "-c"],
        r#"
import requests, sys
url, token, cert = sys.argv[2:5]
with requests.Session() as session:
    for _ in range(2):
        answer = session.get(url + "/v1/health", headers={"Authorization": "Bearer " + token}, verify=cert)
        print(answer.text, answer.status_code)
"#,
    ),
    (
        "fetch of Node",
        &["sh", "-c"],
        r#"
exec env NODE_EXTRA_CA_CERTS="$3" node -e '
const [url, token] = process.argv.slice(1);
fetch(url + "/v1/health", { headers: { Authorization: "Bearer " + token } })
  .then(async answer => console.log(await answer.text(), answer.status));
' "$1" "$2""#,
    ),
];

/// Makes a token, and returns it.
fn token(place: &Place, role: &str) -> String {
    let said = place.said(&["token", "new", "--role", role, "--name", role]);
    said.lines().last().unwrap().trim().to_owned()
}

#[track_caller]
fn said(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    format!("{said}{}", String::from_utf8_lossy(&output.stderr))
}

#[test]
fn curl_python_and_node_ask_with_a_token_over_tls() {
    let place = Place::new();
    write_pair(&place, "127.0.0.1", "");
    let (_daemon, address) = serve_tls(&place);
    let (url, cert) = (format!("https://{address}"), place.path("cert.pem"));
    let token = token(&place, "viewer");
    for (name, program, script) in CLIENTS {
        let ask = |token: &str| {
            let output = Command::new(program[0])
                .args(&program[1..])
                .arg(script)
                .args(["lapsed", &url, token])
                .arg(&cert)
                .output();
            said(&output.unwrap_or_else(|error| panic!("{name}: {error}; tests/run installs it")))
        };
        let answer = ask(&token);
        assert!(
            answer.contains("\"status\":") && answer.contains("200"),
            "{name}: {answer}"
        );
        let answer = ask("lapsed_wrong");
        assert!(answer.contains("401"), "{name}: {answer}");
    }
}

/// nginx with the given locations. Stopped when it is dropped.
pub struct Nginx(Child);

impl Nginx {
    pub fn start(place: &Place, address: SocketAddr, locations: &str) -> Self {
        let dir = place.make_dir("nginx");
        let path = dir.join("nginx.conf");
        let text = format!(
            "daemon off; master_process off; pid {dir}/pid; error_log stderr;\n\
             events {{}}\nhttp {{ access_log off; client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;\n\
             fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;\n\
             server {{ listen {address};\n{locations}\n}} }}\n",
            dir = dir.display()
        );
        fs::write(&path, text).unwrap();
        let child = Command::new("nginx")
            .arg("-c")
            .arg(&path)
            .arg("-p")
            .arg(&dir)
            .spawn();
        let nginx = Self(child.expect("nginx; tests/run installs it"));
        wait_for("nginx listens", || {
            std::net::TcpStream::connect(address).ok()
        });
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

pub fn snippet(name: &str, address: SocketAddr) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/proxy");
    let text = fs::read_to_string(dir.join(name)).unwrap();
    assert!(text.contains("127.0.0.1:7343"));
    text.replace("127.0.0.1:7343", &address.to_string())
}

fn request(method: &str, token: Option<&str>) -> Vec<u8> {
    let token = token.map_or_else(String::new, |token| {
        format!("authorization: Bearer {token}\r\n")
    });
    format!("{method} /lapsed/v1/health HTTP/1.1\r\nhost: app.example.org\r\nconnection: close\r\n{token}\r\n")
        .into_bytes()
}

#[test]
fn nginx_passes_tokens_on() {
    let place = Place::new();
    let (_daemon, address) = serve(&place, &[]);
    let token = token(&place, "viewer");
    let front = free_address();
    let _nginx = Nginx::start(&place, front, &snippet("nginx.conf", address));
    let answer = exchange(front, &request("GET", Some(&token)));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for wrong in [None, Some("lapsed_wrong")] {
        let answer = exchange(front, &request("GET", wrong));
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    }
}

#[test]
fn nginx_adds_a_token_to_questions_alone() {
    let place = Place::new();
    let (_daemon, address) = serve(&place, &[]);
    let header = format!(
        "proxy_set_header Authorization \"Bearer {}\";\n",
        token(&place, "viewer")
    );
    let path = place.path("token.conf");
    fs::write(&path, header).unwrap();
    let locations = snippet("nginx-token.conf", address);
    let locations = locations.replace("/etc/nginx/lapsed-token.conf", path.to_str().unwrap());
    let front = free_address();
    let _nginx = Nginx::start(&place, front, &locations);
    let answer = exchange(front, &request("GET", Some("whatever")));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = exchange(front, &request("DELETE", None));
    assert!(
        answer.starts_with("HTTP/1.1 403") && answer.contains("nginx"),
        "{answer}"
    );
}

/// Two network namespaces with a cable between them. Removed when it is dropped.
struct Hosts([String; 2]);

impl Hosts {
    const SERVER: &str = "10.213.7.1";

    fn new() -> Self {
        let id = std::process::id();
        let hosts = Self([format!("lapsed-a{id}"), format!("lapsed-b{id}")]);
        let [one, two] = &hosts.0;
        let cable = format!("la{id}");
        for line in [
            format!("netns add {one}"),
            format!("netns add {two}"),
            format!("-n {one} link add {cable} type veth peer name {cable} netns {two}"),
            format!("-n {one} address add {}/30 dev {cable}", Self::SERVER),
            format!("-n {two} address add 10.213.7.2/30 dev {cable}"),
            format!("-n {one} link set {cable} up"),
            format!("-n {two} link set {cable} up"),
        ] {
            let output = Command::new("ip").args(line.split(' ')).output();
            let output = output.expect("ip of iproute2; tests/run installs it");
            assert!(
                output.status.success(),
                "ip {line}: {}; the tests need root",
                said(&output)
            );
        }
        hosts
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in &self.0 {
            let _ = Command::new("ip").args(["netns", "del", name]).output();
        }
    }
}

#[test]
fn another_host_asks() {
    let hosts = Hosts::new();
    let place = Place::new();
    let watch = format!("{}=1h", place.make_dir("root").display());
    let lapsed = place.lapsed();
    let mut command = Command::new("ip");
    for (name, value) in lapsed.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .args(["netns", "exec", &hosts.0[0]])
        .arg(lapsed.get_program())
        .args([
            "serve",
            "--watch",
            &watch,
            "--http",
            &format!("{}:7343", Hosts::SERVER),
        ])
        .env("LAPSED_HTTP_ALLOW_PLAIN", "true")
        .current_dir(place.dir.path());
    let daemon = Daemon::start(command, place.socket());
    daemon.wait_until_up();
    let token = token(&place, "viewer");
    let ask = |token: &str| {
        let output = Command::new("ip")
            .args([
                "netns",
                "exec",
                &hosts.0[1],
                "curl",
                "-sS",
                "-w",
                "%{http_code}",
            ])
            .args(["-H", &format!("Authorization: Bearer {token}")])
            .arg(format!("http://{}:7343/v1/health", Hosts::SERVER))
            .output()
            .expect("ip and curl; tests/run installs them");
        said(&output)
    };
    assert!(ask(&token).ends_with("200"), "{}", ask(&token));
    assert!(ask("lapsed_wrong").ends_with("401"));
}
