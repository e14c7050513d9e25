//! Captures the vectors in `vectors/handshake_wireguard_go.txt` from a real wireguard-go.
//!
//! Run as root, with wireguard-go, wireguard-tools, iproute2 and util-linux installed:
//! `cargo test -p whalescale-core --test unit handshake::capture -- --ignored`. The test runs itself again
//! in a network namespace of its own, where the only peer is wireguard-go on loopback; the namespace,
//! the interface and the process end with it.

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant as Clock};

use super::captured::{
    CAPTURED_PSK, INITIATION_TIME, INITIATOR_INDEX, NamedEntropy, RESPONDER_INDEX,
    WIREGUARD_GO_PRIVATE, captured_node, captured_psk, open, seal,
};
use data_encoding::{BASE64, HEXLOWER};
use whalescale_core::handshake::mac::{MacSigner, MacVerifier};
use whalescale_core::handshake::noise::{Initiator, Responder};
use whalescale_core::handshake::tai64n::Tai64n;
use whalescale_core::identity::PublicKey;
use whalescale_core::time::Instant;
use whalescale_core::wire::datagram::{Datagram, parse, write_transport_header};

const INTERFACE: &str = "whalecapture0";
const WIREGUARD_GO_PORT: u16 = 51820;
const INSIDE: &str = "WHALESCALE_CAPTURE_INSIDE";
const NOW: Instant = Instant::from_nanos(0);

#[test]
#[ignore = "writes the vectors anew; needs root and wireguard-go"]
fn capture_a_conversation_with_wireguard_go() {
    if std::env::var_os(INSIDE).is_none() {
        let myself = std::env::current_exe().unwrap();
        let status = Command::new("unshare")
            .arg("--net")
            .arg(myself)
            .args(["handshake::capture", "--ignored", "--nocapture"])
            .env(INSIDE, "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    run("ip", &["link", "set", "lo", "up"]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let peer = Peer::start(socket.local_addr().unwrap().port());
    socket.connect(("127.0.0.1", WIREGUARD_GO_PORT)).unwrap();

    let mut vectors = Vec::new();
    they_initiate(&socket, &mut vectors);
    we_initiate(&socket, &peer.public_key, &mut vectors);
    we_initiate_under_load(&socket, &peer.public_key, &mut vectors);
    drop(peer);
    write(&vectors);
}

type Vectors = Vec<(&'static str, Vec<u8>)>;

fn they_initiate(socket: &UdpSocket, vectors: &mut Vectors) {
    let local = captured_node();
    let initiation = receive(socket, |datagram| {
        matches!(datagram, Datagram::Initiation(_))
    });
    assert!(MacVerifier::new(&local.public_key()).mac1_valid(&initiation));
    let message = initiation.as_slice().try_into().unwrap();
    let mut entropy = NamedEntropy::new("they initiate");
    let responder = Responder::read(&local, message, &mut entropy).unwrap();
    let remote = responder.remote();
    let (mut response, keys) = responder.respond(&captured_psk(), RESPONDER_INDEX).unwrap();
    MacSigner::new(&remote).sign(&mut response, NOW);
    socket.send(&response).unwrap();
    let transport = receive(socket, addressed_to(RESPONDER_INDEX));
    assert_eq!(open(&keys.receive, &transport), Some(Vec::new()));
    vectors.push(("their_initiation", initiation));
    vectors.push(("our_response", response.to_vec()));
    vectors.push(("their_first_transport", transport));
}

fn we_initiate(socket: &UdpSocket, remote: &PublicKey, vectors: &mut Vectors) {
    let (mut initiator, initiation) = initiation(remote, "we initiate", INITIATION_TIME);
    let mut signed = initiation;
    MacSigner::new(remote).sign(&mut signed, NOW);
    socket.send(&signed).unwrap();
    let response = receive(socket, |datagram| matches!(datagram, Datagram::Response(_)));
    let message = response.as_slice().try_into().unwrap();
    let keys = initiator.finish(message).unwrap();

    let index = u32::from_le_bytes(response[4..8].try_into().unwrap());
    let mut keepalive = [0; 16];
    write_transport_header(&mut keepalive, index, 0);
    let keepalive = [&keepalive[..], &seal(&keys.send, 0, &[])].concat();
    socket.send(&keepalive).unwrap();
    let transport = receive(socket, addressed_to(INITIATOR_INDEX));
    assert_eq!(open(&keys.receive, &transport), Some(Vec::new()));
    vectors.push(("our_initiation", signed.to_vec()));
    vectors.push(("their_response", response));
    vectors.push(("their_second_transport", transport));
}

fn we_initiate_under_load(socket: &UdpSocket, remote: &PublicKey, vectors: &mut Vectors) {
    let (_, mut flood) = initiation(remote, "flood", INITIATION_TIME);
    let mut signer = MacSigner::new(remote);
    signer.sign(&mut flood, NOW);
    for _ in 0..4000 {
        socket.send(&flood).unwrap();
    }
    let reply = receive(socket, |datagram| {
        matches!(datagram, Datagram::CookieReply(_))
    });
    assert!(signer.take_cookie(reply.as_slice().try_into().unwrap(), NOW));

    let (_, mut with_cookie) = initiation(remote, "with cookie", INITIATION_TIME + 1);
    signer.sign(&mut with_cookie, NOW);
    socket.send(&with_cookie).unwrap();
    receive(socket, |datagram| matches!(datagram, Datagram::Response(_)));
    vectors.push(("our_refused_initiation", flood.to_vec()));
    vectors.push(("their_cookie_reply", reply));
    vectors.push(("our_initiation_with_cookie", with_cookie.to_vec()));
}

fn initiation(remote: &PublicKey, entropy: &'static str, seconds: u64) -> (Initiator, [u8; 148]) {
    Initiator::start(
        &captured_node(),
        remote,
        &captured_psk(),
        INITIATOR_INDEX,
        Tai64n::from_unix(Duration::from_secs(seconds)),
        &mut NamedEntropy::new(entropy),
    )
    .unwrap()
}

fn addressed_to(index: u32) -> impl Fn(&Datagram<'_>) -> bool {
    move |datagram| matches!(datagram, Datagram::Transport { receiver, .. } if *receiver == index)
}

fn receive(socket: &UdpSocket, wanted: impl Fn(&Datagram<'_>) -> bool) -> Vec<u8> {
    let mut buffer = [0; 2048];
    loop {
        let length = socket.recv(&mut buffer).unwrap();
        let bytes = &buffer[..length];
        if parse(bytes).is_ok_and(|datagram| wanted(&datagram)) {
            return bytes.to_vec();
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {complaint}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// wireguard-go with our node as its only peer.
struct Peer {
    process: Child,
    keys: PathBuf,
    public_key: PublicKey,
}

impl Peer {
    fn start(our_port: u16) -> Self {
        let process = Command::new("wireguard-go")
            .args(["-f", INTERFACE])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let keys = std::env::temp_dir().join(format!("whalecapture-{}", std::process::id()));
        let mut peer = Self {
            process,
            keys,
            public_key: captured_node().public_key(),
        };
        #[expect(clippy::disallowed_methods, reason = "a real process is waited for")]
        let started = Clock::now();
        while !Path::new("/var/run/wireguard")
            .join(format!("{INTERFACE}.sock"))
            .exists()
        {
            assert!(started.elapsed() < Duration::from_secs(10));
            std::thread::yield_now();
        }
        peer.configure(our_port);
        peer.public_key = run("wg", &["show", INTERFACE, "public-key"])
            .trim()
            .parse()
            .unwrap();
        peer
    }

    fn configure(&self, our_port: u16) {
        fs::create_dir(&self.keys).unwrap();
        let private = self.keys.join("private");
        let psk = self.keys.join("psk");
        fs::write(&private, BASE64.encode(&WIREGUARD_GO_PRIVATE)).unwrap();
        fs::write(&psk, BASE64.encode(&CAPTURED_PSK)).unwrap();
        run("ip", &["link", "set", INTERFACE, "up"]);
        let arguments = format!(
            "set {INTERFACE} private-key {} listen-port {WIREGUARD_GO_PORT} peer {} \
             preshared-key {} endpoint 127.0.0.1:{our_port} persistent-keepalive 1",
            private.display(),
            captured_node().public_key(),
            psk.display(),
        );
        run("wg", &arguments.split_whitespace().collect::<Vec<_>>());
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended already, and the directory may not exist: both are what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.keys);
        let _ = fs::remove_file(format!("/var/run/wireguard/{INTERFACE}.sock"));
    }
}

fn write(vectors: &Vectors) {
    let version = run("wireguard-go", &["--version"]);
    let version = version.lines().next().unwrap_or_default();
    let mut text = format!(
        "# Captured on loopback from {version}\n\
         # by tests/unit/handshake/capture.rs, where keys, indices and times are; our ephemeral keys come\n\
         # from NamedEntropy. wireguard-go accepted every message of ours, the last one under load.\n",
    );
    for (name, bytes) in vectors {
        text += &format!("{name} = {}\n", HEXLOWER.encode(bytes));
    }
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/handshake_wireguard_go.txt");
    fs::write(path, text).unwrap();
}
