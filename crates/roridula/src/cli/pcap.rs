//! `roridula pcap`

use super::recorded::Source;
use super::{Failure, incidents, out};
use clap::Args;
use roridula_desk::pcapng::tcp::Ends;
use roridula_desk::pcapng::{self, Recorded, Written};
use roridula_evidence::Reader;
use roridula_proto::connection::ConnectionId;
use roridula_proto::event::Transport;
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{BufWriter, IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Where dissectors expect SMB.
const SMB_PORTS: [u16; 2] = [139, 445];
/// For transcripts from elsewhere: addresses that RFC 5737 sets aside for documentation.
const VISITOR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const DECOY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// First of the ports that systems choose from (RFC 6335), and how many there are.
const EPHEMERAL: (u16, usize) = (49_152, 16_384);

/// Write recorded connections as a packet capture (pcapng) for Wireshark
#[derive(Debug, Args)]
#[command(after_help = "\
The packets are made from transcripts: what the visitor sent, when, and how it ended are as
recorded; replies are made again by this build; TCP around them is invented, without loss or
repeats. Comments on packets tell what the honeypot recognised. Several connections become one
file, in order of time. A truncated transcript is written as far as it goes.

Examples:
  roridula pcap 7t1c --output visit.pcapng      one connection, for Wireshark
  roridula pcap 7t1c | tshark -r - -Y frame.comment -T fields -e frame.comment
                                                what it did, packet by packet
  roridula pcap 7t1c --decoded -o clear.pcapng  uploads without their XOR
  roridula pcap i36205jjysge00 -o attack.pcapng an incident: all of its connections
  roridula pcap k3f9 7t1c visit.txt -o all.pcapng
                                                several connections, and a transcript file

Packets have the ports that the connection had. Where the honeypot does not listen on 445 or
139 itself, tell the dissector: wireshark -d tcp.port==4445,nbss. A transcript file that is not
of this journal gets documentation addresses, 192.0.2.1 and 192.0.2.2. With --decoded the file
may hold captured malware in clear.")]
pub(crate) struct PcapArgs {
    /// Names of connections in the journal (or their last characters), of incidents, or transcript files
    #[arg(required = true, value_name = "CONNECTION|INCIDENT|FILE")]
    what: Vec<String>,
    /// The new file, or `-` for standard output
    #[arg(long, short, value_name = "FILE|-", default_value = "-")]
    output: String,
    /// Show uploads decoded: chunks and their parameters without the XOR that was on the wire
    #[arg(long)]
    decoded: bool,
}

/// Writes the file.
pub(crate) fn run(args: &PcapArgs, data: &Path) -> Result<(), Failure> {
    let to_stdout = args.output == "-";
    if to_stdout && std::io::stdout().is_terminal() {
        let hint = "a packet capture is binary, and this is a terminal: use `--output FILE`, or a pipe";
        return Err(Failure::new(hint));
    }
    let journal = Reader::open(data).ok();
    let mut sources = Vec::new();
    for what in &args.what {
        match incidents::members(what, data)? {
            Some(connections) => sources.extend(all_of(what, &connections, journal.as_ref(), data)?),
            None => sources.push(Source::find(what, journal.as_ref(), data)?),
        }
    }
    let connections: Vec<Recorded<'_>> =
        sources.iter().enumerate().map(|(number, source)| recorded(source, number)).collect();
    let written = if to_stdout {
        pcapng::write(out::stdout(), &connections, args.decoded)?
    } else {
        let path = Path::new(&args.output);
        let at = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(at)?;
        let written = pcapng::write(BufWriter::new(file), &connections, args.decoded);
        written.map_err(|error| {
            // Half a file helps nobody; the failure itself is what is told.
            let _ = std::fs::remove_file(path);
            at(error)
        })?
    };
    tell(&sources, &written, args)
}

/// The connections of the incident `name`; one without a transcript is told and left out.
fn all_of(
    name: &str,
    connections: &[ConnectionId],
    journal: Option<&Reader>,
    data: &Path,
) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    for id in connections {
        match Source::find(&id.to_string(), journal, data) {
            Ok(source) => sources.push(source),
            Err(Failure(why)) => writeln!(std::io::stderr(), "{name}: left out: {why}")?,
        }
    }
    if sources.is_empty() {
        return Err(Failure::new(format!("{name}: no transcript of any of its connections was kept")));
    }
    Ok(sources)
}

/// A source as the desk takes it; `number` gives transcripts from elsewhere a port each.
fn recorded(source: &Source, number: usize) -> Recorded<'_> {
    let ends = match &source.known {
        Some(view) => Ends::new(view.source, view.destination),
        None => {
            let (first, count) = EPHEMERAL;
            let port = match source.transcript.opening().transport {
                Transport::DirectTcp => 445,
                Transport::NetBios => 139,
            };
            let visitor = SocketAddr::from((VISITOR, first + (number % count) as u16));
            Ends::new(visitor, SocketAddr::from((DECOY, port)))
        }
    };
    Recorded { transcript: &source.transcript, payloads: &*source.payloads, decoy: &source.decoy, ends }
}

/// Says what the file is not, on stderr; fails where something is missing that could be there.
fn tell(sources: &[Source], written: &Written, args: &PcapArgs) -> Result<(), Failure> {
    let mut err = std::io::stderr().lock();
    let mut ports = BTreeSet::new();
    for Source { name, transcript, known, .. } in sources {
        if !transcript.is_complete() {
            writeln!(err, "{name}: its transcript is truncated, and so are its packets")?;
        }
        ports.extend(known.as_ref().map(|view| view.destination.port()));
    }
    for port in ports.iter().filter(|port| !SMB_PORTS.contains(port)) {
        writeln!(err, "they came to port {port}; read them with -d tcp.port=={port},nbss")?;
    }
    if args.output != "-" {
        writeln!(err, "{}: {} packets", args.output, written.packets)?;
    }
    let gone = written.gone.iter().map(|(id, gone)| {
        format!("{id}: {gone}; its packets end there. Write it where its samples are (--data)")
    });
    match gone.collect::<Vec<_>>() {
        gone if gone.is_empty() => Ok(()),
        gone => Err(Failure(gone.join("\n"))),
    }
}
